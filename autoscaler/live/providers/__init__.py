"""Node providers: who creates and deletes the machines of a pool. `autoscaler.live.registry` lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.kube.client import KubeClient
from autoscaler.live.names import LABEL_POOL, Name
from autoscaler.live.providers.base import (
    AccessDeniedError,
    Instance,
    InstanceNotFoundError,
    InvalidPoolError,
    MachineWatch,
    OutOfStockError,
    Provider,
    ProviderError,
    ProviderKind,
    QuotaExceededError,
    Reboots,
    Reserves,
    TransientError,
)
from autoscaler.live.registry import PROVIDERS, load_provider

__all__ = [
    "AccessDeniedError",
    "Instance",
    "InstanceNotFoundError",
    "InvalidPoolError",
    "MachineWatch",
    "OutOfStockError",
    "Provider",
    "ProviderError",
    "ProviderKind",
    "QuotaExceededError",
    "Reboots",
    "Reserves",
    "TransientError",
    "drop_reserves",
    "kind_of",
    "machine_watches",
    "make_providers",
    "pool_finder",
    "protecting_annotations",
    "provider_names",
    "removal_taints",
    "reserve_pools",
    "startup_taints",
    "used_kinds",
]


def kind_of(name: str) -> ProviderKind:
    """The provider of a name.

    Raises:
        UnknownProviderError: there is none.
    """
    kind: ProviderKind = load_provider(name)
    return kind


def used_kinds(config: LiveConfig) -> dict[str, ProviderKind]:
    """The providers of a config's pools by name, in the order of the pools."""
    return {pool.provider: kind_of(pool.provider) for pool in config.pools}


def reserve_pools(config: LiveConfig) -> frozenset[str]:
    """Names of the pools whose nodes another autoscaler makes and removes."""
    return frozenset(pool.name for pool in config.pools if kind_of(pool.provider).reserves)


def make_providers(client: KubeClient, config: LiveConfig, clock: Clock) -> dict[str, Provider]:
    """The provider of each pool, by the pool's name. Pools of one kind share it."""
    made = {name: kind.make(client, config, clock) for name, kind in used_kinds(config).items()}
    return {pool.name: made[pool.provider] for pool in config.pools}


def drop_reserves(client: KubeClient, config: LiveConfig, clock: Clock) -> dict[str, ProviderError]:
    """Take back what was kept free for pools that are not in a config, whichever process wrote it.

    Providers that no pool uses are asked too; that these are denied access is no failure: a config that reserves
    nothing needs no rights for it.

    Returns:
        What failed, by the name of the provider.
    """
    failed: dict[str, ProviderError] = {}
    for name in PROVIDERS:
        kind = kind_of(name)
        if not kind.reserves:
            continue
        pools = [pool.name for pool in config.pools if pool.provider == name]
        provider = kind.make(client, config, clock)
        assert isinstance(provider, Reserves)
        try:
            provider.keep_only(pools)
        except AccessDeniedError as error:
            if pools:
                failed[name] = error
        except ProviderError as error:
            failed[name] = error
    return failed


def machine_watches(config: LiveConfig, clock: Clock) -> tuple[MachineWatch, ...]:
    """What the providers of a config want to have watched."""
    pool_of = pool_finder(config)
    return tuple(watch for kind in used_kinds(config).values() for watch in kind.watches(pool_of, clock))


def pool_finder(config: LiveConfig) -> Callable[[Mapping[str, str]], str | None]:
    """A function from the labels of an object to the name of its pool; None: it is of no pool.

    Our own label counts before the labels of a provider.
    """
    names = {pool.name for pool in config.pools}
    by_label = {label: pool.name for pool in config.pools for label in kind_of(pool.provider).node_labels(pool).items()}

    def find(labels: Mapping[str, str]) -> str | None:
        name = labels.get(LABEL_POOL)
        if name is None and by_label:
            name = next((by_label[label] for label in labels.items() if label in by_label), None)
        return name if name in names else None

    return find


# Nodes and pods carry taints and annotations of every provider in a cluster, not only of those that the config uses.


def startup_taints() -> frozenset[str]:
    """Keys of the taints that a node has while a provider starts it."""
    return _united(tuple(PROVIDERS), "startup_taints")


def removal_taints() -> frozenset[str]:
    """Keys of the taints that a node has while a provider removes it."""
    return _united(tuple(PROVIDERS), "removal_taints")


def protecting_annotations() -> frozenset[str]:
    """Annotations that protect a pod from eviction and a node from removal where they are "true"."""
    return _united(tuple(PROVIDERS), "protecting_annotations")


@cache
def _united(providers: tuple[str, ...], attribute: str) -> frozenset[str]:
    return frozenset().union(*(getattr(kind_of(name), attribute) for name in providers))


def provider_names() -> tuple[Name, ...]:
    """Names that the providers give to Kubernetes or read from it, for the documentation."""
    return tuple(name for provider in PROVIDERS for name in kind_of(provider).names)
