"""What `autoscaler explain` is asked about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autoscaler.live.objects import ObjectView
from configs.errors import UserError, did_you_mean

KINDS = {
    **dict.fromkeys(("node", "nodes", "no"), "Node"),
    **dict.fromkeys(("pod", "pods", "po"), "Pod"),
    **dict.fromkeys(("job", "jobs", "job.batch", "jobs.batch"), "Job"),
}
"""Kinds by what people write, as kubectl reads it."""


class TargetError(UserError, ValueError):
    """Something that names no object."""


class UnknownObjectError(UserError, LookupError):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class Target:
    """An object.

    Attributes:
        name: its name.
        kind: `Node`, `Pod` or `Job`; empty: whichever has that name.
        namespace: its namespace; empty for a Node.
    """

    name: str
    kind: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        """As people write it."""
        parts = (self.kind.lower(), self.namespace if self.kind != "Node" else "", self.name)
        return "/".join(part for part in parts if part)


def parse_target(text: str, namespace: str = "default") -> Target:
    """`node/NAME`, `pod/NAMESPACE/NAME`, `job/NAMESPACE/NAME`, without the namespace or the kind too.

    Args:
        text: what was written.
        namespace: of a pod or Job that says none.

    Raises:
        TargetError: it is none of these.
    """
    parts = text.split("/")
    if not all(parts) or len(parts) > 3:
        raise TargetError(f"{text!r} names no object; write node/NAME, pod/NAMESPACE/NAME or job/NAMESPACE/NAME")
    if len(parts) == 1:
        return Target(parts[0], "", namespace)
    kind = KINDS.get(parts[0].lower())
    if kind is None:
        nearest = did_you_mean(parts[0], ("node", "pod", "job"))
        raise TargetError(f"{text!r}: is not the folder of a run, and there is no kind {parts[0]!r} here{nearest}")
    if kind == "Node":
        if len(parts) == 3:
            raise TargetError(f"{text!r}: a node has no namespace; write node/{parts[2]}")
        return Target(parts[1], kind)
    return Target(parts[-1], kind, parts[1] if len(parts) == 3 else namespace)


def unknown(target: Target, views: Iterable[ObjectView]) -> UnknownObjectError:
    """The error that there is no such object, with the nearest one.

    Args:
        target: what was asked for.
        views: all objects of its kind.
    """
    known = {view.name: view for view in views}
    elsewhere = sorted({view.namespace for view in known.values() if view.name == target.name})
    if elsewhere and target.kind != "Node":
        return UnknownObjectError(f"{target} does not exist; there is one in the namespace {elsewhere[0]!r}")
    return UnknownObjectError(f"{target} does not exist{did_you_mean(target.name, known)}")
