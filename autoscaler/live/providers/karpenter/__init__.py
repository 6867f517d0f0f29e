"""Karpenter creates the machines: we create and delete NodeClaims of `karpenter.sh/v1`."""

from autoscaler.live.providers.karpenter.kind import KarpenterKind

__all__ = ["KIND"]

KIND = KarpenterKind()
