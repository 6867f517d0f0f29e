"""Looks that no cache is between: at one node with its pods and the budgets, or at all of the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails.protection import evictable_pods
from autoscaler.live.kube.client import Json, KubeClient, NotFoundError
from autoscaler.live.kube.fields import ParseError
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import NodeView, ObjectView, PdbView, PodView
from autoscaler.live.view.claims import ClaimResolver, DeviceObjects
from autoscaler.live.view.parse import Parser
from autoscaler.live.view.store import Contents, Resource
from autoscaler.live.view.view import ViewBuilder
from autoscaler.live.view.watch import DEVICE_PATHS

View = TypeVar("View", bound=ObjectView)


@dataclass(frozen=True, slots=True)
class FreshNode:
    """A node as it is now.

    Attributes:
        raw: the Node.
        view: the same, with its pods.
        cluster: a view that holds its pods and all budgets.
        pods: the pods on it that would have to be evicted.
    """

    raw: Json
    view: NodeView
    cluster: ClusterView
    pods: tuple[PodView, ...]

    def with_raw(self, raw: Json) -> FreshNode:
        """The same after the Node was written."""
        return replace(self, raw=raw)


class Freshness:
    """Looks.

    Args:
        client: calls the API server.
        config: pools, for the parser.
        clock: in whose seconds views have their times.
    """

    def __init__(self, client: KubeClient, config: LiveConfig, clock: Clock) -> None:
        self._client, self._config, self._clock = client, config, clock
        self._parser = Parser(config, clock)
        self._views = ViewBuilder(config, clock)
        self._claims = ClaimResolver(config)

    def node(self, name: str) -> FreshNode | None:
        """A node with its pods; None: there is no such node.

        Raises:
            KubeError: the API server cannot be reached.
            ParseError: the node itself cannot be read.
        """
        try:
            raw = self._client.get(f"/api/v1/nodes/{name}")
        except NotFoundError:
            return None
        items = self._client.get("/api/v1/pods", {"fieldSelector": f"spec.nodeName={name}"}).get("items") or []
        pods = {pod.uid: pod for pod in (self._pod(item) for item in items) if not pod.finished}
        if any(pod.claims for pod in pods.values()):
            pods = dict(self._claims.resolve(pods, {}, self._devices(), self._clock.now()).pods)
        view = replace(self._parser.node(raw), pods=tuple(pods))
        cluster = ClusterView(now_seconds=self._clock.now(), pools=(), pods=pods, pdbs=self._budgets())
        here = evictable_pods(view, cluster)
        if view.faults and not view.ready:
            # Nobody is there to end them, and Kubernetes forgets them with the Node.
            here = tuple(pod for pod in here if pod.deleted_seconds is None)
        return FreshNode(raw, view, cluster, here)

    def cluster(self) -> ClusterView:
        """All that the rules about moving jobs read. Nodes and Jobs that cannot be read are left out.

        Raises:
            KubeError: the API server cannot be reached.
        """
        pods = [self._pod(item) for item in self._items("/api/v1/pods")]
        contents = Contents(
            nodes={each.uid: each for each in self._readable("/api/v1/nodes", self._parser.node)},
            pods={pod.uid: pod for pod in pods},
            jobs={each.uid: each for each in self._readable("/apis/batch/v1/jobs", self._parser.job)},
            pdbs={each.uid: each for each in self._budgets()},
            devices=self._devices() if self._uses_devices(pods) else DeviceObjects(),
        )
        view, _ = self._views.build(contents)
        return view

    def _uses_devices(self, pods: Iterable[PodView]) -> bool:
        return any(pool.devices for pool in self._config.pools) or any(pod.claims for pod in pods)

    def _devices(self) -> DeviceObjects:
        """Devices and claims; none where the API server knows none."""
        parser = self._parser.devices
        try:
            return DeviceObjects(
                slices=self._by_uid(Resource.SLICES, parser.resource_slice),
                claims=self._by_uid(Resource.CLAIMS, parser.claim),
                templates=self._by_uid(Resource.CLAIM_TEMPLATES, parser.claim_template),
                classes=self._by_uid(Resource.DEVICE_CLASSES, parser.device_class),
            )
        except NotFoundError:
            return DeviceObjects()

    def _by_uid(self, resource: str, parse: Callable[[Json], View]) -> dict[str, View]:
        return {each.uid: each for each in self._readable(DEVICE_PATHS[resource], parse)}

    def _items(self, path: str) -> list[Json]:
        return self._client.get(path).get("items") or []

    def _readable(self, path: str, parse: Callable[[Json], View]) -> list[View]:
        found = []
        for item in self._items(path):
            with suppress(ParseError):
                found.append(parse(item))
        return found

    def _pod(self, item: Json) -> PodView:
        """A pod; one that cannot be read counts as one that must not be touched."""
        try:
            return self._parser.pod(item)
        except ParseError:
            metadata = item.get("metadata") or {}
            return self._parser.unreadable_pod(item) or PodView(
                name=str(metadata.get("name")), uid=str(metadata.get("uid")), readable=False
            )

    def _budgets(self) -> tuple[PdbView, ...]:
        """All budgets; one that cannot be read is left to the API server, which refuses the eviction."""
        return tuple(self._readable("/apis/policy/v1/poddisruptionbudgets", self._parser.pdb))
