"""Orders nodes so that no order is made twice, whatever dies in between.

The name of an order follows from its pool and a sequence number, and the number moves on in the cluster only after the
order was made. Whoever repeats an order, after a lost answer or a restart, repeats its name, and the API server knows
it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.kube.client import KubeClient, KubeError, NotFoundError
from autoscaler.live.kube.fields import ParseError, string_map
from autoscaler.live.model import ClusterView, OrderView
from autoscaler.live.names import ORDERS_CONFIG_MAP
from autoscaler.live.providers import Instance, Provider, ProviderError
from autoscaler.live.providers.kube import pool_part, provider_error

HASH_DIGITS = 10


def order_name(pool: str, sequence: int) -> str:
    """The name of an order: a valid name of any Kubernetes object, the same in every attempt."""
    digest = hashlib.sha256(f"{pool}/{sequence}".encode()).hexdigest()[:HASH_DIGITS]
    return f"{pool_part(pool)}-{digest}"


class Sequences:
    """The number of the next order of each pool, in a ConfigMap beside the Lease.

    Args:
        client: fenced, see `KubeClient.fenced`.
        namespace: of the ConfigMap.
    """

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"
        self._path = f"{self._collection}/{ORDERS_CONFIG_MAP}"

    def next(self, pool: str) -> tuple[int, str]:
        """The number of a pool's next order, 0 where none was made, and the version of the ConfigMap.

        Raises:
            KubeError: it cannot be read.
        """
        try:
            item = self._client.get(self._path)
        except NotFoundError:
            return 0, ""
        try:
            number = int(string_map(item.get("data"), "data").get(_key(pool), "0"))
        except (ParseError, ValueError):
            number = 0  # damaged: it starts anew, and orders that exist are skipped by their name
        return number, str((item.get("metadata") or {}).get("resourceVersion") or "")

    def advance(self, pool: str, sequence: int, version: str) -> None:
        """Set the number of a pool's next order.

        Args:
            pool: the pool.
            sequence: the number.
            version: as `next` returned it. A write that a dead process left in the queue of a frozen API server cannot
                turn the number back, because it has another one.

        Raises:
            KubeError: it cannot be written, or somebody else wrote it.
        """
        data = {_key(pool): str(sequence)}
        if version:
            self._client.patch(self._path, {"metadata": {"resourceVersion": version}, "data": data})
        else:
            body = {"kind": "ConfigMap", "metadata": {"name": ORDERS_CONFIG_MAP}, "data": data}
            self._client.create(self._collection, body)


def _key(pool: str) -> str:
    """A key that a ConfigMap takes."""
    return re.sub(r"[^-._a-zA-Z0-9]", "_", pool)


@dataclass(frozen=True, slots=True)
class Ordered:
    """What became of an order of several nodes.

    Attributes:
        pool: the pool.
        orders: nodes that are on their way because of it.
        error: why it stopped early; None: it did not.
    """

    pool: str
    orders: tuple[OrderView, ...]
    error: ProviderError | None = None


def known_names(view: ClusterView, state: GuardrailState) -> frozenset[str]:
    """Names of all nodes and orders that a decision on this view counted."""
    nodes = {node.name for pool in view.pools for node in pool.nodes}
    orders = {order.name for pool in view.pools for order in pool.orders}
    return frozenset(nodes | orders | state.orders.keys() | {machine.name for machine in view.machines})


class ScaleUp:
    """Orders nodes.

    Args:
        client: fenced, see `KubeClient.fenced`.
        config: the pools.
        clock: the time of orders.
        providers: by pool.
    """

    def __init__(self, client: KubeClient, config: LiveConfig, clock: Clock, providers: dict[str, Provider]) -> None:
        self._sequences = Sequences(client, config.leader_election.namespace)
        self._config, self._clock, self._providers = config, clock, providers

    def order(self, pool: LivePool, count: int, known: Collection[str]) -> Ordered:
        """Order nodes of a pool.

        Args:
            pool: the pool.
            count: how many.
            known: names of the nodes and orders that the decision counted. What exists beside them was ordered by
                somebody whose answer was lost, so it is a part of this order.
        """
        orders: list[OrderView] = []
        try:
            existing = {each.name: each for each in self._providers[pool.name].instances() if each.pool == pool.name}
            for name in sorted(existing.keys() - set(known)):
                if not existing[name].is_deleting and len(orders) < count:
                    orders.append(self._view(existing[name]))
            if len(orders) < count:
                self._create(pool, count, existing, orders)
        except ProviderError as error:
            return Ordered(pool.name, tuple(orders), error)
        except KubeError as error:
            return Ordered(pool.name, tuple(orders), provider_error(error, pool.name))
        return Ordered(pool.name, tuple(orders))

    def _create(self, pool: LivePool, count: int, existing: Mapping[str, Instance], orders: list[OrderView]) -> None:
        """Create until `orders` has `count`, and move the number on for as far as that went."""
        start, version = self._sequences.next(pool.name)
        sequence = start
        failure: ProviderError | None = None
        while len(orders) < count and failure is None:
            name = order_name(pool.name, sequence)
            try:
                if name not in existing:
                    orders.append(self._view(self._providers[pool.name].create(pool, name)))
                sequence += 1
            except ProviderError as error:
                failure = error
        if sequence > start:
            self._sequences.advance(pool.name, sequence, version)
        if failure is not None:
            raise failure

    def _view(self, instance: Instance) -> OrderView:
        return OrderView(instance.pool, instance.name, min(instance.created_seconds, self._clock.now()))
