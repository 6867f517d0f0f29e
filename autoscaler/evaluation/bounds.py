"""Lower bounds on the hours for which nodes are on.

The *migration-packed* bound lets every job start when it is submitted and moves running jobs between nodes at any time
and for free, so that at each moment the GPUs in use fill as few nodes as they can: the integral of ceil(GPUs in use /
GPUs per node). No policy that starts every job at once is below it. A policy that lets jobs wait may fall slightly
below it in principle, because it can shift work to moments at which nodes have free capacity anyway. The
*floor*, all work on nodes that are always full, holds for every policy, also for one that delays.

Several pools: pools that some job may choose between form a group (and so on through shared pools). The work of a group
is packed on nodes of its largest size, whichever pool a policy chooses, and groups add up. Nodes that a pool must keep
on (`min_nodes`) are on until the last job ends. Boot times count as nothing, and so do waits for data of other regions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscaler.evaluation.windows import Window
from envs.gpu_cluster.accounting import MS_PER_HOUR
from envs.gpu_cluster.simulator.problem import Problem


class NodeHourBounds(NamedTuple):
    """Bounds on the node-hours of a window.

    Attributes:
        packed: migration-packed bound, hours; holds where no job waits.
        floor: all work on full nodes, hours; holds for every policy.
    """

    packed: float
    floor: float


class PackedGroup(NamedTuple):
    """Pools that share jobs, and their work on as few nodes as can be.

    Attributes:
        pools: their positions.
        node_milli: thousandths of a GPU of a node of the largest size.
        packed_ms: node time of the migration-packed bound, ms.
        floor_ms: node time with all work on full nodes, ms.
        work_milli_ms: GPU time of the work, in thousandths of a GPU times ms.
    """

    pools: tuple[int, ...]
    node_milli: int
    packed_ms: int
    floor_ms: float
    work_milli_ms: int


def node_hour_bounds(problem: Problem, window: Window) -> NodeHourBounds:
    """The bounds of a window; jobs that run when it begins count from then on.

    Args:
        problem: jobs and pools.
        window: the window.
    """
    groups = packed_nodes(problem, window)
    packed, floor = sum(group.packed_ms for group in groups), sum(group.floor_ms for group in groups)
    return NodeHourBounds(packed / MS_PER_HOUR, floor / MS_PER_HOUR)


def packed_nodes(problem: Problem, window: Window) -> list[PackedGroup]:
    """The fewest nodes of each group of pools that share jobs; arguments as in `node_hour_bounds`."""
    ends = problem.submit_ms + problem.duration_ms
    alive = np.flatnonzero(ends[: window.last_job] > window.start_ms)
    end, gpu_milli, allowed = ends[alive], problem.gpu_milli[alive], problem.allowed_bits[alive]
    start = np.maximum(problem.submit_ms[alive], window.start_ms)
    length = int(end.max(initial=window.start_ms)) - window.start_ms
    found = []
    for group in pool_groups(problem):
        numbers = tuple(index for index in range(len(problem.cluster.pools)) if group >> index & 1)
        pools = [problem.cluster.pools[index] for index in numbers]
        member = (allowed & group) != 0
        node_milli, kept = 1000 * max(pool.gpus_per_node for pool in pools), sum(pool.min_nodes for pool in pools)
        milli = gpu_milli[member]
        packed = packed_node_ms(start[member], end[member], milli, node_milli, kept, length)
        work = int(milli @ (end[member] - start[member]))
        floor = max(float(work) / node_milli, float(kept * length))
        found.append(PackedGroup(numbers, node_milli, packed, floor, work))
    return found


def pool_groups(problem: Problem) -> list[int]:
    """Pools that some job may choose between, as bit masks that do not overlap."""
    groups = [1 << index for index in range(len(problem.cluster.pools))]
    for allowed in np.unique(problem.allowed_bits).tolist():
        joined = allowed
        for group in groups:
            if group & allowed:
                joined |= group
        groups = [group for group in groups if not group & allowed] + [joined]
    return groups


def packed_node_ms(
    start_ms: NDArray[np.int64],
    end_ms: NDArray[np.int64],
    gpu_milli: NDArray[np.int64],
    node_milli: int,
    kept_nodes: int,
    length_ms: int,
) -> int:
    """The integral of the fewest nodes that hold the GPUs in use.

    Args:
        start_ms: [J] int64, when each job starts.
        end_ms: [J] int64, when it ends.
        gpu_milli: [J] int64, thousandths of a GPU that it uses.
        node_milli: thousandths of a GPU of a node.
        kept_nodes: nodes that are always on.
        length_ms: for how long these are on.

    Returns:
        Node ms, exact.
    """
    times = np.concatenate([start_ms, end_ms])
    order = np.argsort(times, kind="stable")
    in_use = np.cumsum(np.concatenate([gpu_milli, -gpu_milli])[order])[:-1]
    nodes = np.maximum(-(-in_use // node_milli) - kept_nodes, 0)
    return int(nodes @ np.diff(times[order])) + kept_nodes * length_ms
