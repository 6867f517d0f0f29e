"""One moment of a small cluster, as a rule sees it, and what the rule makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents.policy import Policy
from envs.gpu_cluster.codec import (
    ClusterSnapshot,
    CodecLayout,
    Decision,
    Signal,
    decode,
    empty_decision,
    empty_plan,
    empty_snapshot,
    encode,
    observation_size,
    write_mask,
)
from tests.envs.gpu_cluster.codec.snapshots import add_job, add_pool

LAYOUT = CodecLayout(
    max_pools=2,
    window_slots=3,
    max_hold_seconds=600.0,
    consolidation=True,
    power_caps=True,
    elastic_width=True,
    job_hints=True,
)
GPUS_PER_NODE = 8


def moment(
    queue: Sequence[float] = (),
    hour: float = 0.0,
    free: Sequence[int] = (),
    pools: int = 1,
    layout: CodecLayout = LAYOUT,
    **columns: float,
) -> ClusterSnapshot:
    """A cluster with one pool (or equal ones) of 8-GPU nodes.

    Args:
        queue: GPUs of the waiting jobs, which may run in every pool.
        hour: since Monday 00:00.
        free: free GPUs of each busy node; GPUs in use follow from it.
        pools: how many.
        layout: the codec layout.
        columns: of `Pool`, in lower case.
    """
    snapshot = empty_snapshot(layout)
    for pool in range(pools):
        used = sum(GPUS_PER_NODE - each for each in free)
        add_pool(snapshot, pool, **{"busy_nodes": len(free), "used_gpus": used, **columns})
        for each in free:
            snapshot.free_nodes[pool, each] += 1.0
    for slot, gpus in enumerate(queue):
        add_job(snapshot, slot, gpus, pools=tuple(range(pools)))
    signals = snapshot.signals
    signals[Signal.WEEK_SECONDS] = hour * 3600.0
    signals[Signal.QUEUE_JOBS], signals[Signal.QUEUE_GPUS] = len(queue), sum(queue)
    signals[Signal.USD_PER_GPU_HOUR] = 1.0
    return snapshot


def decide(policy: Policy, *moments: ClusterSnapshot, reset: bool = True) -> Decision:
    """What a rule decides at the last of some moments, after those before it."""
    layout, decision = policy.layout, empty_decision(policy.layout)
    if reset:
        policy.reset(1)
    for snapshot in moments:
        observation = np.zeros((1, observation_size(layout)), np.float32)
        mask = np.zeros((1, layout.mask_size), np.bool_)
        encode(snapshot, layout.tables(), empty_plan(layout), observation[0])
        write_mask(snapshot, layout.tables(), mask[0])
        action = policy.act(observation, mask)
        chosen = np.split(mask[0], np.cumsum(layout.action_sizes)[:-1])
        assert all(valid[choice] for valid, choice in zip(chosen, action[0], strict=True)), "an invalid choice"
        decode(action[0], snapshot, layout.tables(), empty_plan(layout), decision)
    return decision


def setpoint(policy: Policy, decision: Decision, pool: int = 0) -> tuple[float, float]:
    """Idle time-out and reserve that are in force from a decision on."""
    return tuple(policy.layout.setpoints[int(decision.setpoint[pool])])
