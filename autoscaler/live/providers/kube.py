"""Machines that are objects in the API server: what such providers have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from autoscaler.live.clock import Clock
from autoscaler.live.kube.client import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    Json,
    KubeClient,
    KubeError,
    NotFoundError,
)
from autoscaler.live.kube.fields import ParseError, string_map, text, unix_seconds
from autoscaler.live.names import LABEL_POOL
from autoscaler.live.providers.base import (
    AccessDeniedError,
    Instance,
    InstanceNotFoundError,
    InvalidPoolError,
    ProviderError,
    QuotaExceededError,
    TransientError,
)

MAX_POOL_PART = 40


def pool_part(pool: str) -> str:
    """The name of a pool as far as the name of an object may have it; two pools can have one."""
    return re.sub(r"[^a-z0-9]+", "-", pool.lower()).strip("-")[:MAX_POOL_PART].strip("-") or "pool"


def provider_error(error: KubeError, pool: str) -> ProviderError:
    """What an error of the API server means for an order or a deletion."""
    if isinstance(error, ForbiddenError):
        kind = QuotaExceededError if "exceeded quota" in error.message else AccessDeniedError
        return kind(error.message, pool)
    if isinstance(error, InvalidError):
        return InvalidPoolError(f"the API server refuses it: {error.message}", pool)
    if isinstance(error, NotFoundError):
        # On creation: the resource itself is not there. A missing object is handled where it is deleted.
        return InvalidPoolError(f"its CRD is not installed: {error.message}", pool)
    return TransientError(error.message, pool)


class KubeInstances:
    """The objects of one collection that carry our pool label.

    Args:
        client: fenced, see `KubeClient.fenced`.
        clock: in whose seconds instances have their times.
        path: the collection.
        pools: names of the pools whose objects count.
        node_name_of: the name of the Node of an object, None while it has none.
    """

    def __init__(
        self,
        client: KubeClient,
        clock: Clock,
        path: str,
        pools: Collection[str],
        node_name_of: Callable[[Json], str | None],
    ) -> None:
        self._client, self._clock = client, clock
        self._path, self._pools, self._node_name_of = path, pools, node_name_of

    def list(self) -> list[Instance]:
        """All of them; see `Provider.instances`."""
        try:
            # Without a resourceVersion the answer is what was written last, not what a cache holds.
            items = self._client.get(self._path, {"labelSelector": LABEL_POOL}).get("items") or []
        except KubeError as error:
            raise provider_error(error, "") from error
        found = [self._instance(item) for item in items]
        return [each for each in found if each is not None and each.pool in self._pools]

    def create(self, pool: str, body: Json) -> Instance:
        """Create one, or return the one of that name; see `Provider.create`."""
        name = body["metadata"]["name"]
        try:
            try:
                item = self._client.create(self._path, body)
            except ConflictError:
                item = self._client.get(f"{self._path}/{name}")
        except KubeError as error:
            raise provider_error(error, pool) from error
        found = self._instance(item)
        if found is None or found.pool != pool:
            raise InvalidPoolError(f"{self._path}/{name} exists and is not of pool {pool}", pool)
        return found

    def delete(self, instance: Instance) -> None:
        """Delete one; see `Provider.delete`."""
        body = {"preconditions": {"uid": instance.uid}} if instance.uid else None
        try:
            self._client.delete(f"{self._path}/{instance.name}", body)
        except (NotFoundError, ConflictError) as error:
            raise InstanceNotFoundError(error.message, instance.pool) from error
        except KubeError as error:
            raise provider_error(error, instance.pool) from error

    def _instance(self, item: Json) -> Instance | None:
        """An object as an instance; None when it is too odd for that."""
        metadata = item.get("metadata")
        if not isinstance(metadata, dict):
            return None
        try:
            labels = string_map(metadata.get("labels"), "metadata.labels")
            created = unix_seconds(metadata.get("creationTimestamp"), "metadata.creationTimestamp")
            name, uid = text(metadata.get("name"), "metadata.name"), text(metadata.get("uid"), "metadata.uid")
        except ParseError:
            return None
        seconds = self._clock.now() if created is None else self._clock.from_wall(created)
        leaves = metadata.get("deletionTimestamp") is not None
        return Instance(name, labels.get(LABEL_POOL, ""), seconds, uid, self._node_name_of(item), leaves)
