"""Why jobs wait in a simulated cluster, told from what they request and from what its nodes do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from autoscaler.recordings.event_log import PoolNodes
from envs.gpu_cluster.simulator.problem import Problem

GPU = 1000
"""Thousandths."""


class WaitReasons:
    """Says what keeps a job from starting, once a decision left it waiting.

    A job that would fit waits because the policy or a rule of the queue wants it to: an event log does not say which,
    so the text names those that there are.

    Args:
        problem: the jobs, the cluster and the settings.
    """

    def __init__(self, problem: Problem) -> None:
        self._pools, queue = problem.cluster.pools, problem.config.physics.queue
        self._allowed = problem.allowed_bits
        has_quotas = queue.default_quota_gpus is not None or bool(queue.quotas_gpus)
        self._owner = problem.owner if has_quotas else None
        self._quota_milli = problem.quota_milli if has_quotas else None
        self._in_use = Counter[int]()
        held = ["the policy holds it"] if len(self._pools) == 1 else ["the policy holds it or chose another pool"]
        if has_quotas or queue.preemption or queue.backfill_policy != "any":
            held.append("it is not its turn")
        if problem.config.grid_events:
            held.append("the power budget leaves no room")
        if problem.config.physics.second_resources:
            held.append("CPUs or memory are short")
        self._held = ", or ".join(held)

    def use(self, job: int, milli: int) -> None:
        """Note that a job has so many thousandths of a GPU more, or fewer."""
        if self._owner is not None:
            self._in_use[int(self._owner[job])] += milli

    def reason(self, job: int, milli: int, nodes: Mapping[int, PoolNodes]) -> str:
        """Why a job waits after a decision.

        Args:
            job: its number in the trace.
            milli: thousandths of a GPU that it requests.
            nodes: what the nodes of each pool do; a pool that is missing has none on.
        """
        if self._owner is not None and self._quota_milli is not None:
            used, quota = self._in_use[int(self._owner[job])], int(self._quota_milli[job])
            if used + milli > quota:
                return f"its owner uses {used / GPU:g} of the {quota / GPU:g} GPUs of its quota"
        bits = int(self._allowed[job])
        allowed = [(nodes.get(pool, PoolNodes()), pool) for pool in range(len(self._pools)) if bits >> pool & 1]
        free = [pool for own, pool in allowed if own.fits(milli, GPU * self._pools[pool].gpus_per_node)]
        if free:
            return f"there are free GPUs for it{self._named(free)}: {self._held}"
        booting = [pool for own, pool in allowed if own.booting > 0]
        if booting:
            return f"{self._missing(milli, bits)}; nodes boot{self._named(booting)}"
        if all(own.on + own.away >= self._pools[pool].max_nodes for own, pool in allowed):
            return f"{self._missing(milli, bits)}, and no more can be ordered"
        return f"{self._missing(milli, bits)}, and none boots"

    def _named(self, pools: list[int]) -> str:
        """Where some pools are; nothing where the cluster has only one."""
        if len(self._pools) == 1:
            return ""
        return " in " + " and ".join(self._pools[pool].name for pool in pools)

    def _missing(self, milli: int, bits: int) -> str:
        largest = max(pool.gpus_per_node for number, pool in enumerate(self._pools) if bits >> number & 1)
        if milli > GPU * largest:
            return f"too few nodes are free for its {milli / GPU:g} GPUs"
        return "no node has a free GPU" if milli <= GPU else f"no node has {milli / GPU:g} free GPUs"
