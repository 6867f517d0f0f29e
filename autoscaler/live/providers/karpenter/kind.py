"""What the live loop has to know of Karpenter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, LivePool, settings_of
from autoscaler.live.kube.client import ClusterAccessError, Json, KubeClient
from autoscaler.live.kube.discovery import group_serves, kinds
from autoscaler.live.kube.fields import conditions, mapping, text
from autoscaler.live.kube.metadata import common_fields, read_metadata
from autoscaler.live.kube.rights import each_verb
from autoscaler.live.objects import MachineView
from autoscaler.live.providers.base import MachineWatch, ProviderKind
from autoscaler.live.providers.karpenter.names import (
    ANNOTATION_DO_NOT_DISRUPT,
    LABEL_NODE_POOL,
    NAMES,
    TAINT_DISRUPTED,
    TAINT_UNREGISTERED,
)
from autoscaler.live.providers.karpenter.provider import GROUP, NODE_CLAIMS, KarpenterProvider
from autoscaler.live.providers.karpenter.settings import KarpenterSettings


class KarpenterKind(ProviderKind):
    """NodeClaims of `karpenter.sh/v1`."""

    settings = KarpenterSettings
    names = NAMES
    observe = each_verb(GROUP, "nodeclaims", "list watch", "observe orders")
    act = each_verb(GROUP, "nodeclaims", "get create delete", "create and delete NodeClaims")
    startup_taints = frozenset({TAINT_UNREGISTERED})
    removal_taints = frozenset({TAINT_DISRUPTED})
    protecting_annotations = frozenset({ANNOTATION_DO_NOT_DISRUPT})

    def make(self, client: KubeClient, config: LiveConfig, clock: Clock) -> KarpenterProvider:
        """See `ProviderKind`."""
        return KarpenterProvider(client, config, clock)

    def check(self, client: KubeClient, pools: Sequence[LivePool]) -> None:
        """Check that the CRDs of NodeClaims and of the node classes are installed; see `ProviderKind`."""
        if "NodeClaim" not in kinds(client, f"/apis/{GROUP}/v1"):
            raise ClusterAccessError(
                f"pool {pools[0].name}: the cluster has no CRD for NodeClaims of {GROUP}/v1; install Karpenter, or "
                "choose another provider"
            )
        for pool in pools:
            settings = settings_of(pool, KarpenterSettings)
            kind, group = settings.node_class_kind, settings.node_class_group
            if not group_serves(client, group, kind):
                raise ClusterAccessError(
                    f"pool {pool.name}: the cluster has no CRD for {kind}.{group}; install it, or set "
                    "provider_settings.node_class_kind"
                )

    def watches(self, pool_of: Callable[[Mapping[str, str]], str | None], clock: Clock) -> tuple[MachineWatch, ...]:
        """NodeClaims; see `ProviderKind`."""
        return (MachineWatch("nodeclaims", NODE_CLAIMS, lambda raw: node_claim(raw, pool_of, clock)),)

    def template_labels(self, pool: LivePool) -> Mapping[str, str]:
        """Requirements that leave one value, such as the zone; see `ProviderKind`."""
        requirements = settings_of(pool, KarpenterSettings).requirements
        return {key: values[0] for key, values in requirements.items() if len(values) == 1}

    def node_labels(self, pool: LivePool) -> Mapping[str, str]:
        """The label of nodes that Karpenter creates by itself, for a NodePool that a pool names."""
        node_pool = settings_of(pool, KarpenterSettings).node_pool
        return {} if node_pool is None else {LABEL_NODE_POOL: node_pool}


def node_claim(raw: Json, pool_of: Callable[[Mapping[str, str]], str | None], clock: Clock) -> MachineView:
    """Read a NodeClaim.

    Args:
        raw: as the API server has it.
        pool_of: from its labels to the name of its pool.
        clock: in whose seconds its times are.

    Raises:
        ParseError: it cannot be read.
    """
    base = read_metadata(raw, clock)
    status = mapping(raw.get("status"), "status")
    states = conditions(status)
    bad = [states[kind] for kind in ("Launched", "Registered", "Initialized") if kind in states]
    failures = [f"{item.get('reason')}: {item.get('message')}" for item in bad if item.get("status") == "False"]
    return MachineView(
        **common_fields(base),
        pool=pool_of(base.labels),
        node_name=text(status.get("nodeName"), "status.nodeName"),
        provider_id=text(status.get("providerID"), "status.providerID"),
        ready=states.get("Ready", {}).get("status") == "True",
        failure=failures[0][:500] if failures else "",
    )
