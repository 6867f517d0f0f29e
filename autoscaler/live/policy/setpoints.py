"""Which setpoint and reserve are in force in each pool, and since when: so the codec says whether they may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from autoscaler.live.model import ClusterView
from envs.gpu_cluster.codec import Decision


class InForce(NamedTuple):
    """A setpoint and a reserve in nodes that were decided.

    Attributes:
        setpoint: its index.
        reserve_nodes: an index into the codec's `RESERVE_NODES`.
        since_seconds: when the later of the two came into force, in clock seconds.
    """

    setpoint: int
    reserve_nodes: int
    since_seconds: float


Setpoints: TypeAlias = Mapping[str, InForce]
"""By pool; a pool without an entry has had no decision yet, and any setpoint is free. So it is after a restart."""


def setpoints_after(before: Setpoints, decision: Decision, view: ClusterView) -> Setpoints:
    """What is in force once a decision about a view is carried out; a pair that stays keeps its time."""
    after = {}
    for pool in view.pools:
        last = before.get(pool.name)
        chosen = int(decision.setpoint[pool.index]), int(decision.reserve_nodes[pool.index])
        after[pool.name] = last if last and last[:2] == chosen else InForce(*chosen, view.now_seconds)
    return after
