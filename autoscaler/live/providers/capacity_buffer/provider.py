"""Writes one CapacityBuffer and one PodTemplate for each pool; another autoscaler keeps so many nodes free.

One replica of a buffer is a whole node: a placeholder pod that requests all GPUs of a node of the pool. The other
autoscaler counts such pods as if they waited, and never creates them.

Source: Kubernetes SIG Autoscaling, CapacityBuffer of `autoscaling.x-k8s.io` (alpha in Cluster Autoscaler 1.34, beta in
1.35 and Karpenter 1.14).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, LivePool, settings_of
from autoscaler.live.kube.client import Json, KubeClient, KubeError, NotFoundError
from autoscaler.live.kube.discovery import served_version
from autoscaler.live.names import ANNOTATION_LEASE, LABEL_POOL
from autoscaler.live.providers.base import Instance, InvalidPoolError
from autoscaler.live.providers.capacity_buffer.settings import CapacityBufferSettings
from autoscaler.live.providers.kube import pool_part, provider_error

NAME = "capacity-buffer"
GROUP = "autoscaling.x-k8s.io"
KIND_NAME = "CapacityBuffer"
VERSIONS = ("v1", "v1beta1", "v1alpha1")
"""Newest first; the fields that are written are the same in all of them."""

PREFIX = "green-autoscaler-"
REFRESH_SECONDS = 300.0
"""A buffer that has not changed is written again after so many wall seconds, in case somebody else changed it."""


def buffer_name(pool: str) -> str:
    """The name of the objects of a pool; names of pools that are no names of objects get a digest."""
    part = pool_part(pool)
    return f"{PREFIX}{part}" if part == pool else f"{PREFIX}{part}-{hashlib.sha256(pool.encode()).hexdigest()[:10]}"


class CapacityBufferProvider:
    """Says how many nodes of a pool are kept free. It neither creates nor deletes nodes.

    Args:
        client: fenced, see `KubeClient.fenced`.
        config: the pools; buffers lie in the namespace of the Lease.
        clock: says when a buffer was written last.
    """

    name = NAME

    def __init__(self, client: KubeClient, config: LiveConfig, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._namespace, self._lease = config.leader_election.namespace, config.leader_election.name
        self._version: str | None = None
        self._written: dict[str, tuple[int, float]] = {}

    def instances(self) -> list[Instance]:
        """None: it orders nothing; see `Provider`."""
        return []

    def create(self, pool: LivePool, name: str) -> Instance:
        """Refuse; see `Provider`."""
        raise InvalidPoolError(f"its nodes are made by another autoscaler, not as {name}", pool.name)

    def delete(self, instance: Instance) -> None:
        """Refuse; see `Provider`."""
        raise InvalidPoolError(f"{instance.name} is removed by another autoscaler", instance.pool)

    def reserve(self, pool: LivePool, nodes: int) -> bool:
        """Write what is kept free, where it changed or was written long ago; see `Reserves`."""
        now = self._clock.wall()
        before = self._written.get(pool.name)
        if before is not None and before[0] == nodes and now - before[1] < REFRESH_SECONDS:
            return False
        try:
            self._version = self._version or served_version(self._client, GROUP, VERSIONS, KIND_NAME)
            for body in self.manifests(pool, nodes):
                path = f"{self._collection(body['kind'])}/{body['metadata']['name']}"
                self._client.patch(path, body, "apply", params={"force": "true"})
        except KubeError as error:
            raise provider_error(error, pool.name) from error
        self._written[pool.name] = nodes, now
        return before is None or before[0] != nodes

    def keep_only(self, pools: Collection[str]) -> None:
        """Delete the buffers of pools that are not among these; see `Reserves`."""
        try:
            self._version = self._version or served_version(self._client, GROUP, VERSIONS, KIND_NAME)
            if self._version is None:
                return  # a cluster without the CRD holds no buffer
            for kind in (KIND_NAME, "PodTemplate"):
                found = self._client.get(self._collection(kind), {"labelSelector": LABEL_POOL}).get("items") or []
                for metadata in (item["metadata"] for item in found):
                    if metadata["labels"][LABEL_POOL] not in pools and self._is_ours(metadata):
                        self._delete(f"{self._collection(kind)}/{metadata['name']}")
        except KubeError as error:
            raise provider_error(error, "") from error

    def _is_ours(self, metadata: Json) -> bool:
        """Whether this autoscaler wrote an object; another one may lead by another Lease of the same namespace."""
        return (metadata.get("annotations") or {}).get(ANNOTATION_LEASE) == self._lease

    def _delete(self, path: str) -> None:
        try:
            self._client.delete(path)
        except NotFoundError:
            return  # somebody else was quicker

    def manifests(self, pool: LivePool, nodes: int) -> list[Json]:
        """The PodTemplate and the CapacityBuffer as they are written; see `Reserves`."""
        settings = settings_of(pool, CapacityBufferSettings)
        metadata = {
            "name": buffer_name(pool.name),
            "namespace": self._namespace,
            "labels": {LABEL_POOL: pool.name},
            "annotations": {ANNOTATION_LEASE: self._lease},
        }
        gpus = {name: str(count) for name, count in pool.gpu_counts.items() if count}
        container = {"name": "reserve", "image": settings.image, "resources": {"requests": gpus, "limits": gpus}}
        tolerations = [
            {"key": each.key, "operator": "Equal", "value": each.value, "effect": each.effect}
            for each in pool.template.taints
        ]
        spec = {"nodeSelector": {LABEL_POOL: pool.name}, "tolerations": tolerations, "containers": [container]}
        template = {
            "apiVersion": "v1",
            "kind": "PodTemplate",
            "metadata": metadata,
            "template": {"metadata": {"labels": {LABEL_POOL: pool.name}}, "spec": spec},
        }
        buffer = {
            "apiVersion": f"{GROUP}/{self._version or VERSIONS[1]}",
            "kind": KIND_NAME,
            "metadata": metadata,
            "spec": {
                "podTemplateRef": {"name": metadata["name"]},
                "replicas": nodes,
                "provisioningStrategy": settings.provisioning_strategy,
            },
        }
        return [template, buffer]

    def _collection(self, kind: str) -> str:
        if kind == "PodTemplate":
            return f"/api/v1/namespaces/{self._namespace}/podtemplates"
        return f"/apis/{GROUP}/{self._version or VERSIONS[1]}/namespaces/{self._namespace}/capacitybuffers"
