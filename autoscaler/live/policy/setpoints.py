"""Which setpoint is in force in each pool, and since when: by that the codec says whether it may be changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from autoscaler.live.model import ClusterView
from envs.gpu_cluster.codec import Decision


class InForce(NamedTuple):
    """A setpoint that was decided.

    Attributes:
        setpoint: its index.
        since_seconds: when it came into force, in clock seconds.
    """

    setpoint: int
    since_seconds: float


Setpoints: TypeAlias = Mapping[str, InForce]
"""By pool; a pool without an entry has had no decision yet, and any setpoint is free. So it is after a restart."""


def setpoints_after(before: Setpoints, decision: Decision, view: ClusterView) -> Setpoints:
    """The setpoints in force once a decision about a view is carried out; one that stays keeps its time."""
    after = {}
    for pool in view.pools:
        last, setpoint = before.get(pool.name), int(decision.setpoint[pool.index])
        after[pool.name] = last if last and last.setpoint == setpoint else InForce(setpoint, view.now_seconds)
    return after
