"""Creates and deletes plain Node objects."""

from __future__ import annotations

from datetime import UTC, datetime

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, LivePool, settings_of
from autoscaler.live.kube.client import ConflictError, Json, KubeClient, KubeError, NotFoundError
from autoscaler.live.names import ANNOTATION_ORDERED_AT, LABEL_HOSTNAME, RESOURCE_NVIDIA_GPU
from autoscaler.live.providers.base import Instance, InstanceNotFoundError
from autoscaler.live.providers.kube import KubeInstances, provider_error
from autoscaler.live.providers.kwok.names import (
    ANNOTATION_KWOK_BOOT_SECONDS,
    ANNOTATION_KWOK_BOOT_STARTED,
    ANNOTATION_KWOK_GPU_DELAY_SECONDS,
    ANNOTATION_KWOK_GPUS,
    ANNOTATION_KWOK_NODE,
)
from autoscaler.live.providers.kwok.settings import KwokSettings

NAME = "kwok"
NODES = "/api/v1/nodes"
NEVER = "never"


class KwokProvider:
    """Creates and deletes Node objects.

    Args:
        client: fenced, see `KubeClient.fenced`.
        config: the pools.
        clock: KWOK counts wall seconds, the config clock seconds.
    """

    name = NAME

    def __init__(self, client: KubeClient, config: LiveConfig, clock: Clock) -> None:
        self._clock = clock
        self._client = client
        self._pools = {pool.name: pool for pool in config.pools if pool.provider == NAME}
        self._nodes = KubeInstances(
            client, clock, NODES, self._pools.keys(), lambda node: str(node["metadata"]["name"])
        )

    def instances(self) -> list[Instance]:
        """All Nodes of its pools; see `Provider`."""
        return self._nodes.list()

    def create(self, pool: LivePool, name: str) -> Instance:
        """Create a Node; see `Provider`."""
        return self._nodes.create(pool.name, self.manifest(pool, name))

    def delete(self, instance: Instance) -> None:
        """Delete a Node; see `Provider`."""
        self._nodes.delete(instance)

    def reboot(self, instance: Instance) -> None:
        """Let a Node boot again as KWOK simulates it: not ready and without GPUs for the boot time; see `Reboots`."""
        pool = self._pools[instance.pool]
        began = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        path = f"{NODES}/{instance.name}"
        none = dict.fromkeys(pool.gpu_counts)
        ready = {"type": "Ready", "status": "False", "reason": "NodeReboots", "message": "it was told to reboot"}
        try:
            self._client.patch(
                path, {"metadata": {"uid": instance.uid, "annotations": {ANNOTATION_KWOK_BOOT_STARTED: began}}}
            )
            status = {"conditions": [ready], "allocatable": none, "capacity": none}
            self._client.patch(f"{path}/status", {"status": status}, "strategic")
        except (NotFoundError, ConflictError) as error:
            raise InstanceNotFoundError(error.message, instance.pool) from error
        except KubeError as error:
            raise provider_error(error, instance.pool) from error

    def manifest(self, pool: LivePool, name: str) -> Json:
        """The Node as it is created: not ready, and without GPUs, as a real one is at first."""
        template, scale = pool.template, self._clock.time_scale
        delay = settings_of(pool, KwokSettings).gpu_delay_seconds
        gpus = pool.gpu_counts.get(RESOURCE_NVIDIA_GPU, 0)
        annotations = {
            ANNOTATION_KWOK_NODE: "fake",
            ANNOTATION_KWOK_BOOT_SECONDS: f"{pool.boot_seconds / scale:.3f}",
            ANNOTATION_KWOK_GPUS: str(gpus),
            ANNOTATION_KWOK_GPU_DELAY_SECONDS: NEVER if delay is None or not gpus else f"{delay / scale:.3f}",
            ANNOTATION_ORDERED_AT: f"{self._clock.wall():.3f}",
        }
        # The stages of the fake kubelet add whole NVIDIA GPUs, later; they know no other resource.
        others = {name: str(units) for name, units in pool.gpu_counts.items() if units and name != RESOURCE_NVIDIA_GPU}
        allocatable = {**template.allocatable, **others}
        taints = [{"key": each.key, "value": each.value, "effect": each.effect} for each in template.taints]
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "labels": {LABEL_HOSTNAME: name, "kubernetes.io/os": "linux", **pool.node_labels},
                "annotations": {**template.annotations, **annotations},
            },
            "spec": {"taints": taints},
            "status": {"capacity": allocatable, "allocatable": dict(allocatable)},
        }
