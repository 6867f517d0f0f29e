"""Node providers: who makes and deletes the machines of a pool."""

from collections.abc import Callable, Mapping

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, ProviderKind
from autoscaler.live.kube.client import KubeClient
from autoscaler.live.providers.base import (
    AccessDeniedError,
    Instance,
    InstanceNotFoundError,
    InvalidPoolError,
    OutOfStockError,
    Provider,
    ProviderError,
    QuotaExceededError,
    TransientError,
)
from autoscaler.live.providers.karpenter import KarpenterProvider
from autoscaler.live.providers.kwok import KwokProvider

__all__ = [
    "PROVIDERS",
    "AccessDeniedError",
    "Instance",
    "InstanceNotFoundError",
    "InvalidPoolError",
    "OutOfStockError",
    "Provider",
    "ProviderError",
    "QuotaExceededError",
    "TransientError",
    "make_providers",
]

PROVIDERS: Mapping[ProviderKind, Callable[[KubeClient, LiveConfig, Clock], Provider]] = {
    ProviderKind.KWOK: KwokProvider,
    ProviderKind.KARPENTER: KarpenterProvider,
}
"""What makes a provider, by its name in the config."""


def make_providers(client: KubeClient, config: LiveConfig, clock: Clock) -> dict[str, Provider]:
    """The provider of each pool, by the pool's name; pools of one kind share it."""
    kinds = {pool.provider for pool in config.pools}
    made = {kind: PROVIDERS[kind](client, config, clock) for kind in kinds}
    return {pool.name: made[pool.provider] for pool in config.pools}
