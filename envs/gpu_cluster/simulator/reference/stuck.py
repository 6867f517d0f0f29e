"""Jobs that CPUs or memory alone keep from starting, and the nodes that are ordered for them."""

from __future__ import annotations

from envs.gpu_cluster.simulator.reference.objects import Job
from envs.gpu_cluster.simulator.reference.placement import split
from envs.gpu_cluster.simulator.reference.state import State


def note_stuck(c: State, job: Job, pool: int) -> None:
    """Remember a job that finds no room though one busy node has the GPUs for its part: CPUs or memory lack."""
    if c.detail is None:
        return
    whole_nodes, rest = split(c, job, pool)
    if not rest or len(c.idle_nodes(pool)) != whole_nodes:
        return
    pod = c.detail.pod(job.number, pool, rest, True, 1)
    busy = [c.detail.number(pool, node.number) for node in c.of_pool(pool) if node.is_busy]
    if any(c.detail.has_room(number, pod) for number in busy):
        return  # it is kept from starting by a reservation
    if any(c.detail.has_gpus(number, pod) for number in busy):
        c.stuck[pool].append(pod)


def with_stuck(c: State, pool: int, target: int) -> int:
    """The target of a pool, raised where the nodes that boot are too few for the jobs that are stuck."""
    if c.detail is None:
        return target
    needed = c.detail.nodes_needed(pool, c.stuck[pool])
    states = [node.state for node in c.of_pool(pool)]
    if needed <= states.count("booting"):
        return target
    return max(target, states.count("on") + needed)
