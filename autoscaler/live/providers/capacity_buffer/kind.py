"""What the live loop has to know of CapacityBuffers."""

from __future__ import annotations

from collections.abc import Sequence

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.kube.client import ClusterAccessError, KubeClient
from autoscaler.live.kube.discovery import group_serves
from autoscaler.live.kube.rights import Right
from autoscaler.live.providers.base import ProviderKind
from autoscaler.live.providers.capacity_buffer.provider import GROUP, KIND_NAME, VERSIONS, CapacityBufferProvider
from autoscaler.live.providers.capacity_buffer.settings import CapacityBufferSettings

VERBS = ("create", "patch", "list", "delete")


class CapacityBufferKind(ProviderKind):
    """CapacityBuffers of `autoscaling.x-k8s.io`, which Cluster Autoscaler and Karpenter serve."""

    settings = CapacityBufferSettings
    act = tuple(
        Right(group, resource, verb, "reserve free nodes of pools whose nodes others make", namespaced=True)
        for group, resource in ((GROUP, "capacitybuffers"), ("", "podtemplates"))
        for verb in VERBS
    )
    reserves = True

    def make(self, client: KubeClient, config: LiveConfig, clock: Clock) -> CapacityBufferProvider:
        """See `ProviderKind`."""
        return CapacityBufferProvider(client, config, clock)

    def check(self, client: KubeClient, pools: Sequence[LivePool]) -> None:
        """Check that the CRD is installed, and that no pool asks for what only who makes its nodes can do."""
        if not group_serves(client, GROUP, KIND_NAME):
            raise ClusterAccessError(
                f"pool {pools[0].name}: the cluster has no CRD for {KIND_NAME} of {GROUP} ({' or '.join(VERSIONS)}); "
                "install it with Cluster Autoscaler >= 1.34 or Karpenter >= 1.14, or choose another provider"
            )
        for pool in pools:
            if pool.repair.enabled:
                raise ClusterAccessError(
                    f"pool {pool.name}: provider capacity-buffer removes no nodes, so it cannot repair them; leave out "
                    "repair"
                )
            if pool.devices:
                raise ClusterAccessError(
                    f"pool {pool.name}: a CapacityBuffer reserves resources such as nvidia.com/gpu, not device claims; "
                    "leave out devices, or choose another provider"
                )
