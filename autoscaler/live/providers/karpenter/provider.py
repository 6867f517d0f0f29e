"""Creates and deletes NodeClaims: Karpenter launches a machine for each and terminates it with its claim."""

from __future__ import annotations

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, LivePool, settings_of
from autoscaler.live.kube.client import Json, KubeClient
from autoscaler.live.names import ANNOTATION_ORDERED_AT, LABEL_POOL
from autoscaler.live.providers.base import Instance
from autoscaler.live.providers.karpenter.names import LABEL_NODE_POOL
from autoscaler.live.providers.karpenter.settings import KarpenterSettings
from autoscaler.live.providers.kube import KubeInstances

NAME = "karpenter"
GROUP = "karpenter.sh"
NODE_CLAIMS = f"/apis/{GROUP}/v1/nodeclaims"


class KarpenterProvider:
    """Creates and deletes NodeClaims. Their spec is immutable, so nothing is ever changed.

    Args:
        client: fenced, see `KubeClient.fenced`.
        config: the pools.
        clock: in whose seconds instances have their times.
    """

    name = NAME

    def __init__(self, client: KubeClient, config: LiveConfig, clock: Clock) -> None:
        self._clock = clock
        pools = {pool.name for pool in config.pools if pool.provider == NAME}
        self._claims = KubeInstances(client, clock, NODE_CLAIMS, pools, node_name_of)

    def instances(self) -> list[Instance]:
        """All NodeClaims of its pools; see `Provider`."""
        return self._claims.list()

    def create(self, pool: LivePool, name: str) -> Instance:
        """Create a NodeClaim; see `Provider`."""
        return self._claims.create(pool.name, self.manifest(pool, name))

    def delete(self, instance: Instance) -> None:
        """Delete a NodeClaim; Karpenter then deletes Node and machine; see `Provider`."""
        self._claims.delete(instance)

    def manifest(self, pool: LivePool, name: str) -> Json:
        """The NodeClaim as it is created; Karpenter copies its labels and taints to the Node."""
        settings = settings_of(pool, KarpenterSettings)
        owner = {} if settings.node_pool is None else {LABEL_NODE_POOL: settings.node_pool}
        requirements = [
            {"key": key, "operator": "In", "values": list(values)} for key, values in settings.requirements.items()
        ]
        taints = [{"key": each.key, "value": each.value, "effect": each.effect} for each in pool.template.taints]
        return {
            "apiVersion": f"{GROUP}/v1",
            "kind": "NodeClaim",
            "metadata": {
                "name": name,
                "labels": {**pool.template.labels, LABEL_POOL: pool.name, **owner},
                "annotations": {ANNOTATION_ORDERED_AT: f"{self._clock.wall():.3f}"},
            },
            "spec": {
                "nodeClassRef": {
                    "group": settings.node_class_group,
                    "kind": settings.node_class_kind,
                    "name": settings.node_class_name,
                },
                "requirements": requirements,
                "resources": {"requests": {name: str(count) for name, count in pool.gpu_counts.items() if count}},
                "taints": taints,
                # Karpenter's own default takes a node away after 30 days, whatever runs on it.
                "expireAfter": "Never",
            },
        }


def node_name_of(claim: Json) -> str | None:
    """The Node of a NodeClaim, None while it is not registered."""
    status = claim.get("status")
    name = status.get("nodeName") if isinstance(status, dict) else None
    return name if isinstance(name, str) and name else None
