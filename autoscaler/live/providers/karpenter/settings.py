"""Settings of the provider `karpenter`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class KarpenterSettings:
    """How NodeClaims are made.

    Attributes:
        node_pool: NodePool that they belong to; None: none, so that Karpenter does not manage them itself.
        node_class_group: API group of the node class.
        node_class_kind: its kind.
        node_class_name: its name.
        requirements: values by label, such as the instance types, that Karpenter may choose from.
    """

    node_pool: str | None = None
    node_class_group: str = "karpenter.kwok.sh"
    node_class_kind: str = "KWOKNodeClass"
    node_class_name: str = "default"
    requirements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
