"""Labels, taints and annotations of Karpenter."""

from __future__ import annotations

from typing import Final

from autoscaler.live.names import NameTable

_table = NameTable()
_name = _table.add

LABEL_NODE_POOL: Final = _name("label", "karpenter.sh/nodepool", "NodeClaim, Node: Karpenter's NodePool.")
TAINT_UNREGISTERED: Final = _name(
    "taint", "karpenter.sh/unregistered", "Node: Karpenter has not matched it with its NodeClaim yet."
)
TAINT_DISRUPTED: Final = _name("taint", "karpenter.sh/disrupted", "Node: Karpenter is removing it.")
ANNOTATION_DO_NOT_DISRUPT: Final = _name(
    "annotation", "karpenter.sh/do-not-disrupt", 'Pod, Node: "true" protects it from eviction and removal.'
)

NAMES: Final = _table.all()
