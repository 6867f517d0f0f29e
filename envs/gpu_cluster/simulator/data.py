"""Where the data of jobs are, in a cluster of several regions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from envs.errors import ClusterError
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.regions import find_region
from traces.trace import Trace

EVERYWHERE = -1
"""Bits of all pools."""


class JobData(NamedTuple):
    """The data of the J jobs.

    Attributes:
        mb: [J] int64, their size, MB.
        bits: [J] int64, bit p is set where pool p is in the region of the data.
        regions: [P] int64, for each pool the bits of those in its region.
        is_moved: whether any job may run where its data are not, and that takes anything.
    """

    mb: NDArray[np.int64]
    bits: NDArray[np.int64]
    regions: NDArray[np.int64]
    is_moved: bool


def job_data(trace: Trace, cluster: ClusterConfig, config: EnvironmentConfig, allowed: NDArray[np.bool_]) -> JobData:
    """Where data are; everywhere for jobs that do not say it, and where the environment has no regions.

    Args:
        trace: the jobs.
        cluster: the pools.
        config: the regions.
        allowed: [J, P], where jobs may run.

    Raises:
        ClusterError: the data of a job are in a region that the environment does not have.
    """
    places = [find_region(config.regions, pool.region, pool.name) for pool in cluster.pools]
    names = np.array(["" if place is None else place.name for place in places])
    bit = 1 << np.arange(len(names))
    bits = np.full(trace.num_jobs, EVERYWHERE)
    if config.regions:
        home = [(names == name) @ bit for name in _data_regions(trace, [region.name for region in config.regions])]
        bits = np.array([*home, EVERYWHERE], np.int64)[trace.codes("data_region")[1]]
    elsewhere = allowed & (bits[:, None] >> np.arange(len(names)) & 1 == 0)
    takes = np.array([pool.transfer.takes_anything for pool in cluster.pools])
    is_moved = bool((elsewhere & takes[None, :] & (trace.data_mb > 0)[:, None]).any())
    return JobData(trace.data_mb, bits, (names[:, None] == names) @ bit, is_moved)


def _data_regions(trace: Trace, known: list[str]) -> tuple[str, ...]:
    found, codes = trace.codes("data_region")
    for code, name in enumerate(found):
        if name not in known:
            job = trace.table.column("job_id")[int(np.flatnonzero(codes == code)[0])]
            hint = did_you_mean(name, known)
            raise ClusterError(f"{trace.uri}: the data of job {job} are in region {name!r}, which is not there{hint}")
    return found
