"""What is known of a cluster at one moment, in the same arrays from the simulator and from Kubernetes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.layout import (
    IDLE_AGE_EDGES_SECONDS,
    MAX_GPUS_PER_NODE,
    POOL_SIGNALS,
    CodecLayout,
    Pool,
    Signal,
    Slot,
)


class ClusterSnapshot(NamedTuple):
    """A handful of flat float64 arrays; counts are whole numbers, so they are exact.

    With P = `max_pools`, W = `window_slots`, E = ages in `IDLE_AGE_EDGES_SECONDS`, G = `MAX_GPUS_PER_NODE`:

    Attributes:
        pools: [P, len(Pool)], one row per pool, absent pools all zero.
        idle_age_nodes: [P, E], nodes that have been idle for at least the age of that edge (so column 0 = idle nodes).
        free_nodes: [P, G + 1], busy nodes with exactly that many GPUs free and unshared.
        queue: [W, len(Slot)], the head of the queue in its order, absent slots all zero.
        allowed: [W, P], the relative speed of that job in that pool (1 where nothing else is known), 0 where it can
            never run there.
        transfer_gb: [W, P], data of that job that would have to come to that pool from another region, GB.
        signals: [len(Signal)].
        pool_signals: [P, POOL_SIGNALS], what energy costs and emits, see `PoolSignal`; without columns where the layout
            does not show it.
    """

    pools: NDArray[np.float64]
    idle_age_nodes: NDArray[np.float64]
    free_nodes: NDArray[np.float64]
    queue: NDArray[np.float64]
    allowed: NDArray[np.float64]
    transfer_gb: NDArray[np.float64]
    signals: NDArray[np.float64]
    pool_signals: NDArray[np.float64]


class PackingPlan(NamedTuple):
    """Where the jobs of the window would go, pool by pool; scratch memory of `encode` and `decode`.

    Attributes:
        free: [P, G + 1], busy nodes by free GPUs, after the plan.
        upcoming: [P, G + 1], nodes not ready yet that the plan filled partly, by free GPUs.
        shared_free_gpus: [P], unused shares after the plan.
        idle_nodes: [P], ready idle nodes that the plan left alone.
        booting_nodes: [P], booting nodes that the plan left alone.
        new_nodes: [P], nodes that must be ordered for the plan.
        allowed: [P], of a job behind the window, as `ClusterSnapshot.allowed` has it of those in it.
        transfer_gb: [P], likewise.
    """

    free: NDArray[np.float64]
    upcoming: NDArray[np.float64]
    shared_free_gpus: NDArray[np.float64]
    idle_nodes: NDArray[np.float64]
    booting_nodes: NDArray[np.float64]
    new_nodes: NDArray[np.float64]
    allowed: NDArray[np.float64]
    transfer_gb: NDArray[np.float64]


def empty_snapshot(layout: CodecLayout) -> ClusterSnapshot:
    """A snapshot of zeros with the shapes of a layout."""
    pools, slots = layout.max_pools, layout.window_slots
    return ClusterSnapshot(
        np.zeros((pools, len(Pool))),
        np.zeros((pools, len(IDLE_AGE_EDGES_SECONDS))),
        np.zeros((pools, MAX_GPUS_PER_NODE + 1)),
        np.zeros((slots, len(Slot))),
        np.zeros((slots, pools)),
        np.zeros((slots, pools)),
        np.zeros(len(Signal)),
        np.zeros((pools, POOL_SIGNALS if layout.signals else 0)),
    )


def empty_plan(layout: CodecLayout) -> PackingPlan:
    """Scratch memory with the shapes of a layout."""
    pools = layout.max_pools
    return PackingPlan(
        np.zeros((pools, MAX_GPUS_PER_NODE + 1)),
        np.zeros((pools, MAX_GPUS_PER_NODE + 1)),
        np.zeros(pools),
        np.zeros(pools),
        np.zeros(pools),
        np.zeros(pools),
        np.zeros(pools),
        np.zeros(pools),
    )
