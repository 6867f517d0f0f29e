"""KWOK, the fake kubelet, brings plain Node objects to life: for demos and tests."""

from autoscaler.live.providers.kwok.kind import KwokKind

__all__ = ["KIND"]

KIND = KwokKind()
