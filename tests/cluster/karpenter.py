"""Manifests of Karpenter's objects, for its KWOK provider."""

from collections.abc import Mapping, Sequence
from typing import Any

Manifest = dict[str, Any]

NODE_CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
NODE_POOLS = "/apis/karpenter.sh/v1/nodepools"
NODE_CLASSES = "/apis/karpenter.kwok.sh/v1alpha1/kwoknodeclasses"


def node_class(name: str, *, registration_delay_seconds: int = 0) -> Manifest:
    """Return a KWOKNodeClass; its nodes appear so long after their NodeClaim (its CRD wants whole seconds)."""
    return {
        "apiVersion": "karpenter.kwok.sh/v1alpha1",
        "kind": "KWOKNodeClass",
        "metadata": {"name": name},
        "spec": {"nodeRegistrationDelay": f"{registration_delay_seconds}s"},
    }


def node_pool(
    name: str,
    *,
    node_class: str,
    instance_types: Sequence[str] = ("gpu-8x-h100",),
    gpu_limit: int | None = None,
    consolidate_after: str = "Never",
    consolidation: str = "WhenEmpty",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, str]] = (),
) -> Manifest:
    """Return a NodePool.

    Args:
        name: Name of the NodePool.
        node_class: Name of its KWOKNodeClass.
        instance_types: Names out of karpenter_instance_types.json.
        gpu_limit: The most `nvidia.com/gpu` that it may have; None means no limit.
        consolidate_after: How long a node stands empty before it goes, as `30s`, or `Never`.
        consolidation: Its consolidationPolicy: `WhenEmpty`, `WhenEmptyOrUnderutilized` or `Balanced`.
        labels: Labels of its nodes.
        annotations: Annotations of its nodes.
        taints: Taints of its nodes.
    """
    key = "node.kubernetes.io/instance-type"
    spec: Manifest = {
        "template": {
            "metadata": {"labels": dict(labels or {}), "annotations": dict(annotations or {})},
            "spec": {
                "nodeClassRef": {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": node_class},
                "requirements": [{"key": key, "operator": "In", "values": list(instance_types)}],
                "taints": [dict(taint) for taint in taints],
                "expireAfter": "Never",
            },
        },
        "disruption": {"consolidationPolicy": consolidation, "consolidateAfter": consolidate_after},
    }
    if gpu_limit is not None:
        spec["limits"] = {"nvidia.com/gpu": str(gpu_limit)}
    return {"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name}, "spec": spec}
