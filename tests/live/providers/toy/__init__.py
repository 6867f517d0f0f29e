"""A provider with settings, rights, a check, a watch, a taint and an annotation of its own, which orders Toys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, LivePool, settings_of
from autoscaler.live.kube.client import ClusterAccessError, Json, KubeClient
from autoscaler.live.kube.discovery import group_serves
from autoscaler.live.kube.metadata import common_fields, read_metadata
from autoscaler.live.kube.rights import each_verb
from autoscaler.live.names import LABEL_POOL
from autoscaler.live.objects import MachineView
from autoscaler.live.providers.base import Instance, MachineWatch, ProviderKind
from autoscaler.live.providers.kube import KubeInstances

TOYS = "/apis/toys.example/v1/toys"


@dataclass(frozen=True, slots=True)
class ToySettings:
    """How Toys are made."""

    colour: str
    shelf: str | None = None


class ToyProvider:
    name = "toy"

    def __init__(self, client: KubeClient, config: LiveConfig, clock: Clock) -> None:
        pools = {pool.name for pool in config.pools if pool.provider == self.name}
        self._toys = KubeInstances(client, clock, TOYS, pools, lambda toy: toy.get("status", {}).get("node"))

    def instances(self) -> list[Instance]:
        return self._toys.list()

    def create(self, pool: LivePool, name: str) -> Instance:
        metadata = {"name": name, "labels": {LABEL_POOL: pool.name}}
        body = {"kind": "Toy", "metadata": metadata, "spec": {"colour": settings_of(pool, ToySettings).colour}}
        return self._toys.create(pool.name, body)

    def delete(self, instance: Instance) -> None:
        self._toys.delete(instance)


class ToyKind(ProviderKind):
    settings = ToySettings
    observe = each_verb("toys.example", "toys", "list watch", "observe toys")
    act = each_verb("toys.example", "toys", "create delete", "make toys")
    startup_taints = frozenset({"toys.example/wrapped"})
    removal_taints = frozenset({"toys.example/broken"})
    protecting_annotations = frozenset({"toys.example/hands-off"})

    def make(self, client: KubeClient, config: LiveConfig, clock: Clock) -> ToyProvider:
        return ToyProvider(client, config, clock)

    def check(self, client: KubeClient, pools: Sequence[LivePool]) -> None:
        if not group_serves(client, "toys.example", "Toy"):
            raise ClusterAccessError(f"pool {pools[0].name}: the cluster has no CRD for Toys; install toys")

    def watches(self, pool_of: Callable[[Mapping[str, str]], str | None], clock: Clock) -> tuple[MachineWatch, ...]:
        def parse(raw: Json) -> MachineView:
            base = read_metadata(raw, clock)
            node_name = raw.get("status", {}).get("node", "")
            return MachineView(**common_fields(base), pool=pool_of(base.labels), node_name=node_name)

        return (MachineWatch("toys", TOYS, parse),)

    def node_labels(self, pool: LivePool) -> Mapping[str, str]:
        shelf = settings_of(pool, ToySettings).shelf
        return {} if shelf is None else {"toys.example/shelf": shelf}


KIND = ToyKind()
