"""Measured curves as integer tables: how fast jobs run in each pool, at each width, spread and power cap.

All values are parts per million. One row per workload that the trace names, and a last one for jobs without a workload.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.errors import ClusterError
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.codec import POWER_CAP_FRACTIONS
from envs.gpu_cluster.config import CurvesConfig
from envs.gpu_cluster.simulator.state import MAX_SPREAD_NODES, MAX_WIDTH_GPUS, PPM, Table
from traces.curves.registry import load_power_caps, load_scaling, load_speeds, load_spread
from traces.errors import TraceError
from traces.trace import Trace


class Curves(NamedTuple):
    """Tables for C classes of jobs and P pools.

    Attributes:
        speed: [C, P] int64, speed in a pool over that on the reference model.
        spread: [C, MAX_SPREAD_NODES + 1] int64, speed on that many nodes over that on one.
        scaling: [C, MAX_WIDTH_GPUS + 1] int64, throughput at a width over that on one GPU.
        cap_speed: [C, P, L] int64, speed under each of `POWER_CAP_FRACTIONS`, over that without a cap.
        cap_watts: [C, P, L] int64, likewise the power of a GPU that works.
    """

    speed: NDArray[np.int64]
    spread: NDArray[np.int64]
    scaling: NDArray[np.int64]
    cap_speed: NDArray[np.int64]
    cap_watts: NDArray[np.int64]

    def flat(self) -> Table:
        """[C, columns] int64, all tables side by side in the order of the fields."""
        return np.concatenate([table.reshape(len(table), -1) for table in self], axis=1)


def make_curves(trace: Trace, cluster: ClusterConfig, config: CurvesConfig) -> tuple[Curves, NDArray[np.int64]]:
    """The tables that a config names, and the class of each job.

    Returns:
        The tables; and int64, shape (jobs,), a row of them for each job.

    Raises:
        ClusterError: a table cannot be read or does not know a pool's GPU model.
    """
    names, codes = trace.codes("workload")
    rows, pools = len(names) + 1, len(cluster.pools)
    speed = np.full((rows, pools), PPM, np.int64)
    spread = np.full((rows, MAX_SPREAD_NODES + 1), PPM, np.int64)
    scaling = np.tile(np.arange(MAX_WIDTH_GPUS + 1) * PPM, (rows, 1))
    caps = np.full((2, rows, pools, len(POWER_CAP_FRACTIONS)), PPM, np.int64)
    try:
        if config.speeds is not None:
            models = [pool.gpu_model or config.reference_model for pool in cluster.pools]
            speed = load_speeds(config.speeds).speed_ppm(names, models, config.reference_model)
        if config.spread is not None:
            spread = load_spread(config.spread).spread_ppm(names, MAX_SPREAD_NODES)
        if config.scaling is not None:
            scaling = load_scaling(config.scaling).scaling_ppm(names, MAX_WIDTH_GPUS)
        if config.power_caps is not None:
            table = load_power_caps(config.power_caps)
            caps[:] = np.stack(table.cap_ppm(names, POWER_CAP_FRACTIONS))[:, :, None, :]
    except TraceError as error:
        raise ClusterError(f"physics.curves: {error}") from error
    return Curves(speed, spread, scaling, caps[0], caps[1]), np.where(codes < 0, rows - 1, codes)
