"""What an entry of the table of group kinds is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import conditions, count, mapping
from autoscaler.live.kube.rights import Right, each_verb
from autoscaler.live.objects import GroupRef, ObjectRef

PURPOSE = "know which pods must run together, and how many they are"


@dataclass(frozen=True, slots=True)
class Collection:
    """The objects that describe groups of one kind.

    Attributes:
        group: API group.
        versions: versions that can be read, the preferred one first.
        plural: name of the collection.
        kind: kind of its objects.
    """

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str

    @property
    def resource(self) -> str:
        """How metrics and messages name it."""
        return f"{self.plural}.{self.group}"

    def path(self, version: str) -> str:
        """Where the API server has it."""
        return f"/apis/{self.group}/{version}/{self.plural}"


@dataclass(frozen=True, slots=True)
class Member:
    """What a pod says of itself, as the kinds read it.

    Attributes:
        labels: its labels.
        annotations: its annotations.
        spec: its spec.
        owner: its controller.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]
    owner: ObjectRef | None


@dataclass(frozen=True, slots=True)
class Role:
    """Pods of a group that are alike.

    Attributes:
        name: as `GroupRef.role` of its pods.
        count: how many there are.
        template: their pod template; empty: unknown.
    """

    name: str
    count: int
    template: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shape:
    """What an object says of its group.

    Attributes:
        roles: its pods by role; empty: the object does not say it.
        least: pods that must run side by side; None: those of all roles.
        late: some of its pods are created only once others run.
        together: False: its pods need not run together.
        over: it is finished or suspended, so no pod of it is to come.
    """

    roles: tuple[Role, ...] = ()
    least: int | None = None
    late: bool = False
    together: bool = True
    over: bool = False


@dataclass(frozen=True, slots=True)
class GangKind:
    """One kind of group.

    Attributes:
        name: unique.
        title: how people call it.
        reads: the fields, labels and annotations that are read, for the documentation.
        member: the group that a pod is of, None: of none of this kind.
        collection: the objects that describe the groups; None: the pods say all that is needed, or it is not served.
        shape: reads one of these objects; raises `autoscaler.live.kube.fields.ParseError` where it cannot.
        suspend: path of the field of these objects that suspends them; empty: they have none.
    """

    name: str
    title: str
    reads: str
    member: Callable[[Member], GroupRef | None]
    collection: Collection | None = None
    shape: Callable[[Json], Shape] = lambda _: Shape()
    suspend: tuple[str, ...] = ()

    @property
    def rights(self) -> tuple[Right, ...]:
        """What it must be allowed to do."""
        if self.collection is None:
            return ()
        return each_verb(self.collection.group, self.collection.plural, "list watch", PURPOSE)


def by_label(kind: str, key: str) -> Callable[[Member], GroupRef | None]:
    """The group that a label names."""
    return lambda pod: GroupRef(kind, pod.labels[key]) if pod.labels.get(key) else None


def whole(value: str | None) -> int:
    """A positive number that a label says, 0 where it says none."""
    return int(value) if value is not None and value.isascii() and value.isdigit() else 0


def part(raw: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """A mapping inside an object, empty where it is missing.

    Raises:
        ParseError: something on the way is no mapping.
    """
    found: dict[str, Any] = dict(raw)
    for at, name in enumerate(path):
        found = mapping(found.get(name), ".".join(path[: at + 1]))
    return found


def is_suspended(raw: Json, path: tuple[str, ...]) -> bool:
    """Whether a field suspends an object; one without such a field is not.

    Raises:
        ParseError: something on the way is no mapping.
    """
    return bool(path) and part(raw, *path[:-1]).get(path[-1]) is True


def is_over(raw: Json, *ends: str) -> bool:
    """Whether one of some conditions of an object is True, or it is being deleted."""
    states = conditions(part(raw, "status"))
    if part(raw, "metadata").get("deletionTimestamp") is not None:
        return True
    return any(states.get(end, {}).get("status") == "True" for end in ends)


def replicas(owner: Mapping[str, Any], key: str = "replicas", default: int = 1) -> int:
    """A number of pods or groups.

    Raises:
        ParseError: it is none.
    """
    return count(owner.get(key), key, default)
