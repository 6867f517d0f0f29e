"""Which objects can be suspended, and by which field.

Sources:
    https://kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job
    https://jobset.sigs.k8s.io/docs/concepts/
"""

from __future__ import annotations

from typing import NamedTuple

from autoscaler.live.gangs.registry import KINDS
from autoscaler.live.kube.rights import Right, each_verb
from autoscaler.live.objects import ObjectRef

PURPOSE = "suspend jobs, and resume them"


class SuspendField(NamedTuple):
    """How the objects of a kind are suspended.

    Attributes:
        group: API group.
        plural: name of the collection.
        field: path of the field that suspends.
    """

    group: str
    plural: str
    field: tuple[str, ...]


FIELDS: dict[str, SuspendField] = {
    "Job": SuspendField("batch", "jobs", ("spec", "suspend")),
    **{
        kind.collection.kind: SuspendField(kind.collection.group, kind.collection.plural, kind.suspend)
        for kind in KINDS.values()
        if kind.collection is not None and kind.suspend
    },
}
"""By kind. A pod, and groups that have no such field, are not served."""


def suspend_field(ref: ObjectRef) -> SuspendField | None:
    """How an object is suspended; None: it cannot be."""
    found = FIELDS.get(ref.kind)
    return found if found is not None and ref.api_version.partition("/")[0] == found.group else None


def needed_rights() -> tuple[Right, ...]:
    """What it takes, whether or not the cluster has all kinds."""
    return tuple(
        right for each in FIELDS.values() for right in each_verb(each.group, each.plural, "get patch", PURPOSE)
    )
