"""Jobs that CPUs or memory alone keep from starting, and the nodes that are ordered for them."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.objects import Job
from envs.gpu_cluster.simulator.reference.placement import split
from envs.gpu_cluster.simulator.reference.state import State


def note_stuck(state: State, job: Job, pool: int) -> None:
    """Remember a job that does not fit though one busy node has the GPUs for its part: CPUs or memory lack."""
    if state.detail is None:
        return
    whole_nodes, rest = split(state, job, pool)
    if not rest or len(state.idle_nodes(pool)) != whole_nodes:
        return
    pod = state.detail.pod(job.number, pool, rest, True, 1)
    busy = [state.detail.number(pool, node.number) for node in state.of_pool(pool) if node.is_busy]
    if any(state.detail.fits(number, pod) for number in busy):
        return  # it is kept from starting by a reservation
    if any(state.detail.has_gpus(number, pod) for number in busy):
        state.stuck[pool].append(pod)


def with_stuck(state: State, pool: int, target: int) -> int:
    """The target of a pool, raised where the nodes that boot are too few for the jobs that are stuck."""
    if state.detail is None:
        return target
    needed = state.detail.nodes_needed(pool, state.stuck[pool])
    states = [node.state for node in state.of_pool(pool)]
    if needed <= states.count("booting"):
        return target
    return max(target, states.count("on") + needed)
