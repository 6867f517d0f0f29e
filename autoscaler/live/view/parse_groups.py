"""From raw JSON of group objects to views."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autoscaler.live.gangs import kueue
from autoscaler.live.gangs.base import Collection, Role, is_suspended
from autoscaler.live.gangs.model import GroupView, WorkloadView
from autoscaler.live.gangs.registry import KINDS
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import conditions, controller, mapping, text
from autoscaler.live.kube.metadata import common_fields
from autoscaler.live.objects import CheckView, ObjectRef, ObjectView, PodsToCome
from autoscaler.live.view.parse import Parser


class GroupParser:
    """Reads objects that describe groups of pods.

    Args:
        parser: reads metadata and pods.
    """

    def __init__(self, parser: Parser) -> None:
        self._parser = parser

    def readers(self) -> dict[str, Callable[[Json], ObjectView]]:
        """How the objects of each collection are read, by its resource."""
        readers: dict[str, Callable[[Json], ObjectView]] = {
            kueue.WORKLOADS.resource: self.workload,
            kueue.CHECKS.resource: self.check,
        }
        for kind in KINDS.values():
            if kind.collection is not None:
                readers[kind.collection.resource] = self._reader(kind.name)
        return readers

    def _reader(self, kind: str) -> Callable[[Json], ObjectView]:
        return lambda raw: self.group(kind, raw)

    def group(self, kind: str, raw: Json) -> GroupView:
        """An object of a kind of group.

        Raises:
            ParseError: it cannot be read.
        """
        entry = KINDS[kind]
        assert entry.collection is not None
        base, shape = self._parser.metadata(raw), entry.shape(raw)
        return GroupView(
            **common_fields(base),
            kind=kind,
            ref=_ref(raw, base, entry.collection),
            roles=self._roles(base, shape.roles),
            least=shape.least,
            late=shape.late,
            together=shape.together,
            over=shape.over,
            suspended=is_suspended(raw, entry.suspend),
            owner=controller(mapping(raw.get("metadata"), "metadata")),
        )

    def workload(self, raw: Json) -> WorkloadView:
        """A Workload of Kueue.

        Raises:
            ParseError: it cannot be read.
        """
        base, shape = self._parser.metadata(raw), kueue.read_workload(raw)
        return WorkloadView(
            **common_fields(base),
            ref=_ref(raw, base, kueue.WORKLOADS),
            owner=controller(mapping(raw.get("metadata"), "metadata")),
            roles=self._roles(base, shape.roles),
            reserved=shape.reserved,
            over=shape.over,
            priority=shape.priority,
            checks=shape.checks,
        )

    def check(self, raw: Json) -> CheckView:
        """An AdmissionCheck of Kueue.

        Raises:
            ParseError: it cannot be read.
        """
        base = self._parser.metadata(raw)
        spec = mapping(raw.get("spec"), "spec")
        return CheckView(
            **common_fields(base),
            ref=_ref(raw, base, kueue.CHECKS),
            controller=text(spec.get("controllerName"), "spec.controllerName"),
            conditions=tuple(conditions(mapping(raw.get("status"), "status")).values()),
        )

    def _roles(self, base: ObjectView, roles: Iterable[Role]) -> tuple[PodsToCome, ...]:
        return tuple(PodsToCome(self._parser.pod(_pod(base, role)), role.count, role.name) for role in roles)


def _pod(base: ObjectView, role: Role) -> Json:
    """A pod as a template has it."""
    said = mapping(role.template.get("metadata"), "template.metadata")
    metadata = {
        "name": f"{base.name}-{role.name}",
        "uid": f"{base.uid}/{role.name}",
        "namespace": base.namespace,
        "annotations": said.get("annotations"),
    }
    spec = mapping(role.template.get("spec"), "template.spec")
    # It is judged as it will be once nothing holds it back any more.
    return {"metadata": metadata, "spec": {**spec, "schedulingGates": None}}


def _ref(raw: Json, base: ObjectView, collection: Collection) -> ObjectRef:
    # Objects in a list say their version only where their kind is not built in.
    version = text(raw.get("apiVersion"), "apiVersion") or f"{collection.group}/{collection.versions[0]}"
    return ObjectRef(collection.kind, base.name, base.namespace, base.uid, version)
