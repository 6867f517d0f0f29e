"""What detailed nodes need to know of a trace and a cluster: who fits where, and which pods are typical."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.errors import ClusterError
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.packing.choice import PACKER_NUMBERS
from envs.gpu_cluster.simulator.packing.counted import COUNTED
from envs.gpu_cluster.simulator.packing.fragmentation import make_tables
from envs.gpu_cluster.simulator.packing.packer import Packer
from envs.gpu_cluster.simulator.settings import DetailSettings
from envs.gpu_cluster.simulator.state import Table
from traces.trace import Trace

MOST_CPU_LEVELS = 1024
"""More different requests of CPUs than that count in whole cores, rounded up, where packers use what is typical."""


def node_cpu_milli(pool: PoolConfig) -> int:
    """CPUs of a node, thousandths; -1: no limit."""
    return -1 if pool.cpus_per_node is None else round(pool.cpus_per_node * 1000)


def node_memory_mib(pool: PoolConfig) -> int:
    """Memory of a node, MiB; -1: no limit."""
    return -1 if pool.memory_gib_per_node is None else round(pool.memory_gib_per_node * 1024)


def _parts_fit(requested: NDArray[np.int64], gpu_milli: NDArray[np.int64], gpus: int, limit: int) -> NDArray[np.bool_]:
    """[J] bool: every part of the job, on empty nodes of so many GPUs, requests at most `limit` of a node."""
    if limit < 0:
        return np.ones(len(requested), np.bool_)
    units = np.maximum(gpu_milli // 1000, 1)
    rest = units % gpus if gpus > 1 else np.where(gpu_milli < 1000, 1, 0)
    each, left = np.divmod(requested, units)
    full = np.where(units - rest > 0, each * gpus + np.where(rest == 0, left, 0), 0)
    return (full <= limit) & (np.where(rest > 0, each * rest + left, 0) <= limit)


def fits_empty_nodes(pool: PoolConfig, trace: Trace) -> NDArray[np.bool_]:
    """[J] bool: empty nodes of the pool have the CPUs and the memory that the job requests with its GPUs."""
    cpu = _parts_fit(trace.cpu_milli, trace.gpu_milli, pool.gpus_per_node, node_cpu_milli(pool))
    memory = _parts_fit(trace.memory_mib, trace.gpu_milli, pool.gpus_per_node, node_memory_mib(pool))
    return cpu & memory


def write_requests(trace: Trace, config: EnvironmentConfig, jobs: Table) -> None:
    """Write the columns of the trace's jobs that only detailed nodes read."""
    if config.physics.second_resources:
        jobs[:-1, st.CPU_MILLI], jobs[:-1, st.MEMORY_MIB] = trace.cpu_milli, trace.memory_mib
    predicted = trace.predicted_duration_milliseconds
    jobs[:-1, st.LIFETIME_MS] = np.where(predicted > 0, predicted, trace.duration_milliseconds)


def typical_pods(jobs: Table, pools: Table) -> NDArray[np.int64]:
    """[pods, POD_COLUMNS] int64: all jobs of the trace that one node of the largest kind holds; a model is a pool."""
    fitting = jobs[:-1][jobs[:-1, st.MILLI] <= 1000 * pools[:, st.GPUS].max()]
    pods = np.zeros((len(fitting), ns.POD_COLUMNS), np.int64)
    cpu = fitting[:, st.CPU_MILLI]
    pods[:, ns.CPU] = cpu if len(np.unique(cpu)) <= MOST_CPU_LEVELS else -(-cpu // 1000) * 1000
    pods[:, ns.NUM_GPUS] = np.maximum(fitting[:, st.MILLI] // 1000, 1)
    pods[:, ns.MILLI] = np.minimum(fitting[:, st.MILLI], 1000)
    pods[:, ns.MODELS] = fitting[:, st.ALLOWED_BITS]
    return pods


def _most_cpu(pods: NDArray[np.int64], pools: Table) -> int:
    """CPUs of the largest node, thousandths; one without a limit counts as large enough for every typical pod."""
    largest = int(pools[:, st.NODE_CPU].max())
    if (pools[:, st.NODE_CPU] < 0).any():
        largest = max(largest, int(pods[:, ns.CPU].max(initial=0)))
    largest = max(largest, 1)
    gpu_milli = 1000 * int(pools[:, st.GPUS].max())
    if 2 * largest * gpu_milli >= 1 << ns.BEST_FIT_BITS:
        most = ((1 << ns.BEST_FIT_BITS) - 1) // (2000 * gpu_milli)
        raise ClusterError(
            f"a node or a job with {largest // 1000} CPUs is too large for the packers; they take up to {most}"
        )
    return largest


def custom_packer(config: EnvironmentConfig) -> Packer | None:
    """The custom packer that the settings name, None: it is one of the package.

    Raises:
        EnvironmentConfigError: there is none of that name; settings may come from another process, or it be gone.
        PackingError: what has this name cannot be a packer.
    """
    packer: Packer = PACKERS[config.packer]
    return None if config.packer in PACKER_NUMBERS else packer


def has_detailed_nodes(config: EnvironmentConfig) -> bool:
    """Whether CPUs, memory and each GPU of a node are kept, not only the number of its free GPUs."""
    return config.physics.second_resources or config.packer not in COUNTED


def detail_settings(config: EnvironmentConfig, jobs: Table, pools: Table) -> DetailSettings:
    """The numbers of detailed nodes, empty tables without; a custom packer's address is `Simulator`'s to fill in.

    Raises:
        ClusterError: a node is too large for the packers.
    """
    if not has_detailed_nodes(config):
        return DetailSettings(packer=-1, idle_first=False, tables=ns.empty_tables(), has_custom=False)
    pods = typical_pods(jobs, pools)
    return DetailSettings(
        packer=PACKER_NUMBERS.get(config.packer, -1),
        idle_first=PACKERS[config.packer].idle_first,
        has_custom=config.packer not in PACKER_NUMBERS,
        tables=make_tables(
            pods,
            most_cpu_milli=_most_cpu(pods, pools),
            most_gpus=int(pools[:, st.GPUS].max()),
            num_models=len(pools),
        ),
    )


def describe_request(trace: Trace, job: int) -> str:
    """The CPUs and the memory of a job, in words."""
    return f", {trace.cpu_milli[job] / 1000:g} CPUs and {trace.memory_mib[job] / 1024:g} GiB of memory"


def describe_limits(cluster: ClusterConfig) -> dict[str, str]:
    """The limits of the nodes of each pool, in words."""
    limits = {}
    for pool in cluster.pools:
        cpus = "" if pool.cpus_per_node is None else f", {pool.cpus_per_node:g} CPUs"
        memory = "" if pool.memory_gib_per_node is None else f", {pool.memory_gib_per_node:g} GiB"
        limits[pool.name] = cpus + memory
    return limits
