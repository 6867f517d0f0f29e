"""Which group each pod is of, how large it is, and which of its pods are still to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from autoscaler.live.gangs.model import GroupView
from autoscaler.live.gangs.registry import KINDS
from autoscaler.live.objects import ObjectRef, PodsToCome, PodView
from autoscaler.live.view.store import Contents


@dataclass(frozen=True, slots=True)
class Group:
    """Pods that run together or not at all.

    Attributes:
        key: unique.
        size: pods that must run side by side.
        description: the object that says so; None: its pods say it.
    """

    key: str
    size: int
    description: GroupView | None = None

    @property
    def late(self) -> bool:
        """Whether some of its pods are created only once others run."""
        return self.description is not None and self.description.late


class Groups:
    """The groups of all pods at one moment.

    Args:
        contents: what the store has.
    """

    def __init__(self, contents: Contents) -> None:
        self._objects = {(each.kind, each.namespace, each.name): each for each in contents.groups.values()}
        self._found: dict[tuple[str, ...], Group | str | None] = {}

    def of(self, pod: PodView) -> Group | None:
        """The group of a pod; None: it is of none, or of one that cannot be served."""
        found = self._find(pod)
        return found if isinstance(found, Group) else None

    def problem(self, pod: PodView) -> str:
        """Why the group of a pod cannot be served; empty: it can, or the pod is of none."""
        found = self._find(pod)
        return found if isinstance(found, str) else ""

    def _find(self, pod: PodView) -> Group | str | None:
        ref = pod.group
        if ref is None:
            return None
        key = (ref.kind, pod.namespace, ref.name, ref.index)
        if not isinstance(self._found.get(key), Group):
            self._found[key] = self._resolve(pod)
        return self._found[key]

    def _resolve(self, pod: PodView) -> Group | str | None:
        ref = pod.group
        assert ref is not None
        found = self._objects.get((ref.kind, pod.namespace, ref.name))
        collection = KINDS[ref.kind].collection
        if found is not None:
            size = sum(role.count for role in found.roles) if found.least is None else found.least
            return Group("/".join(filter(None, (found.uid, ref.index))), size, found) if found.together else None
        if ref.size > 0:
            return Group("/".join((ref.kind, pod.namespace, ref.name, ref.index)), ref.size)
        what = f"it is of the group {pod.namespace}/{ref.name} ({KINDS[ref.kind].title})"
        if collection is None:
            return f"{what}, and nothing that is read says how large that is"
        return (
            f"{what}, and there is no such {collection.kind}, or it cannot be read, or the API server does not serve "
            f"{collection.resource}"
        )


def with_problems(contents: Contents) -> Contents:
    """The contents with each pod whose group cannot be served marked."""
    groups = Groups(contents)
    marked: dict[str, PodView] = {}
    for uid, pod in contents.pods.items():
        if pod.group is not None and (problem := groups.problem(pod)):
            marked[uid] = replace(pod, group=replace(pod.group, problem=problem))
    return replace(contents, pods={**contents.pods, **marked}) if marked else contents


def to_come(group: Group, members: Sequence[PodView]) -> tuple[PodsToCome, ...]:
    """The pods of a group that use GPUs and that nobody has created yet.

    Args:
        group: the group.
        members: all its pods that there are, finished ones and those without GPUs too.
    """
    found, lacking = group.description, max(0, group.size - len(members))
    if found is not None and found.over:
        return ()
    if found is None or not found.roles:
        example = next((pod for pod in members if pod.gpu_milli > 0), None)
        return () if example is None or not lacking else (PodsToCome(unborn(example), lacking),)
    return remaining(found.roles, members, lacking)


def remaining(roles: Iterable[PodsToCome], members: Iterable[PodView], lacking: int) -> tuple[PodsToCome, ...]:
    """What of some roles is to come, those with GPUs only.

    Args:
        roles: all pods by role.
        members: those that there are.
        lacking: how many are to come at most.
    """
    there = Counter("" if pod.group is None else pod.group.role for pod in members)
    found = []
    # Of pods whose role is not known, those with GPUs count as missing.
    for role in sorted(roles, key=lambda each: each.pod.gpu_milli == 0):
        count = min(lacking, max(0, role.count - there[role.role]))
        lacking -= count
        if count and role.pod.gpu_milli > 0:
            found.append(replace(role, count=count))
    return tuple(found)


def unborn(example: PodView) -> PodView:
    """A pod like another one, before anything has happened to it."""
    return PodView(
        name=example.name,
        uid=f"{example.uid}/to-come",
        namespace=example.namespace,
        labels=example.labels,
        priority=example.priority,
        gpu_milli=example.gpu_milli,
        accelerators=example.accelerators,
        requests=example.requests,
        node_selector=example.node_selector,
        affinity_terms=example.affinity_terms,
        pod_affinity=example.pod_affinity,
        pod_anti_affinity=example.pod_anti_affinity,
        spreads=example.spreads,
        host_ports=example.host_ports,
        priority_class=example.priority_class,
        tolerations=example.tolerations,
        owner=example.owner,
        gang=example.gang,
    )


def ref_of(group: Group, members: Sequence[PodView]) -> ObjectRef:
    """Whom Events about a group tell: its object, the owner of its pods, or the first pod."""
    if group.description is not None:
        return group.description.ref
    first = min(members, key=lambda pod: pod.name)
    owners = {pod.owner for pod in members}
    return first.owner if first.owner is not None and len(owners) == 1 else first.ref
