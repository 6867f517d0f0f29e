"""Pools whose nodes another autoscaler makes: it is told by a CapacityBuffer how many are to be kept free."""

from autoscaler.live.providers.capacity_buffer.kind import CapacityBufferKind

__all__ = ["KIND"]

KIND = CapacityBufferKind()
