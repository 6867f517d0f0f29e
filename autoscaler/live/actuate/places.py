"""The look before an eviction: whether the pods of a node still fit elsewhere, on the cluster as it is now."""

from __future__ import annotations

from collections.abc import Callable

from autoscaler.live.actuate.eviction import UndoError
from autoscaler.live.actuate.fresh import Freshness, FreshNode
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.guardrails.capacity import Capacity
from autoscaler.live.guardrails.elsewhere import Elsewhere, pods_to_move

GOOD_SECONDS = 5.0
"""So long a look is good for, in wall seconds: evictions that budgets refuse are tried again many times."""


class Places:
    """Looks whether the pods of nodes that are drained have a place to go to.

    Args:
        config: pools and guardrails.
        fresh: looks.
        wall: wall seconds.
    """

    def __init__(self, config: LiveConfig, fresh: Freshness, wall: Callable[[], float]) -> None:
        self._config, self._fresh, self._wall = config, fresh, wall
        self._looked: dict[str, float] = {}  # when, by the uid of the node

    def check(self, fresh: FreshNode) -> None:
        """Look, unless the last look is recent.

        Raises:
            UndoError: a pod has no place any more.
        """
        uid, now = fresh.view.uid, self._wall()
        if uid in self._looked and now - self._looked[uid] < GOOD_SECONDS:
            return
        view = self._fresh.cluster()
        names = {node.name for node in (*view.unmanaged_nodes, *(each for pool in view.pools for each in pool.nodes))}
        if fresh.view.name not in names:
            raise UndoError("it went, or cannot be read any more")
        protection = self._config.guardrails.protection
        pods = pods_to_move(fresh.view, view, protection.expendable_priority_below)
        capacity = Capacity(view, GuardrailState(), self._config.counted_resources)
        problem = Elsewhere(view, capacity).place(pods, {fresh.view.name}, reserve=False)
        if problem:
            self.forget(uid)
            raise UndoError(problem)
        self._looked[uid] = now

    def forget(self, uid: str) -> None:
        """A node is drained no more."""
        self._looked.pop(uid, None)
