"""Views of the objects that describe groups of pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoscaler.live.objects import ObjectRef, ObjectView, PodsToCome


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView(ObjectView):
    """An object that describes a group of pods.

    Attributes:
        kind: name of the kind of group, see `autoscaler.live.gangs`.
        ref: its reference.
        roles: its pods as it will have them; empty: it does not say.
        least: pods that must run side by side; None: all of `roles`.
        late: some of its pods are created only once others run.
        together: False: its pods need not run together.
        over: it is finished or suspended.
        suspended: it is suspended.
        owner: its controller; None: it has none.
    """

    kind: str
    ref: ObjectRef
    roles: tuple[PodsToCome, ...] = ()
    least: int | None = None
    late: bool = False
    together: bool = True
    over: bool = False
    suspended: bool = False
    owner: ObjectRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadView(ObjectView):
    """A Workload of Kueue.

    Attributes:
        ref: its reference.
        owner: what it admits, such as a Job.
        roles: its pod sets.
        reserved: it has its quota, so its admission checks run.
        over: it is finished, evicted or deactivated.
        priority: of its pods.
        checks: its admission checks as they stand in it.
    """

    ref: ObjectRef
    owner: ObjectRef | None = None
    roles: tuple[PodsToCome, ...] = ()
    reserved: bool = False
    over: bool = False
    priority: int = 0
    checks: tuple[Mapping[str, Any], ...] = ()
