"""What every node provider is, and the errors that it raises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig, LivePool
from autoscaler.live.kube.client import Json, KubeClient
from autoscaler.live.kube.rights import Right
from autoscaler.live.names import Name
from autoscaler.live.objects import MachineView


class ProviderError(Exception):
    """A provider could not create, delete or list; the base of every error of a provider.

    Attributes:
        pool: the pool that it is about.
    """

    def __init__(self, message: str, pool: str = "") -> None:
        super().__init__(message)
        self.pool = pool


class OutOfStockError(ProviderError, RuntimeError):
    """There is no such machine to be had now: back off, and let another pool take over."""


class QuotaExceededError(ProviderError, PermissionError):
    """The account may have no more: back off, a person has to act."""


class AccessDeniedError(ProviderError, PermissionError):
    """Our credentials do not allow it: a person has to grant the right."""


class InvalidPoolError(ProviderError, ValueError):
    """The provider refuses the pool's template: a person has to fix the config."""


class InstanceNotFoundError(ProviderError, LookupError):
    """There is no instance of that name (any more)."""


class TransientError(ProviderError, OSError):
    """It may or may not have happened: try again with the same name. No reason to back off."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A machine that was ordered and not yet given back, whether or not it is a Node already.

    Attributes:
        name: our name of it, unique for all time: a retry with the same name cannot order twice.
        pool: the pool that it belongs to.
        created_seconds: unix time of the order.
        uid: what tells it from another one of the same name; empty where the provider knows no such thing.
        node_name: its Node; None while there is none.
        is_deleting: it was given back and is on its way out.
    """

    name: str
    pool: str
    created_seconds: float
    uid: str = ""
    node_name: str | None = None
    is_deleting: bool = False


class Provider(Protocol):
    """Orders and gives back machines. Every call returns or raises within the client's time-out.

    Attributes:
        name: as in the config.
    """

    name: str

    def instances(self) -> list[Instance]:
        """Every instance of every pool of ours, read afresh and not from a cache.

        Raises:
            ProviderError: they could not be listed.
        """
        ...

    def create(self, pool: LivePool, name: str) -> Instance:
        """Order one instance, or return the one of that name that is there already.

        Raises:
            ProviderError: one of its subclasses says what is to be done.
        """
        ...

    def delete(self, instance: Instance) -> None:
        """Give one instance back. Its Node must be drained already.

        Raises:
            InstanceNotFoundError: it is gone, or another one has its name now.
            ProviderError: it could not be given back.
        """
        ...


@runtime_checkable
class Reboots(Protocol):
    """What a provider has besides that can reboot its machines; its kind has `can_reboot`."""

    def reboot(self, instance: Instance) -> None:
        """Reboot a machine. Its Node carries our repair taint, and no pod that would have to be evicted.

        Raises:
            InstanceNotFoundError: it is gone, or another one has its name now.
            ProviderError: it cannot be rebooted.
        """
        ...


@runtime_checkable
class Reserves(Protocol):
    """What a provider has besides whose nodes another autoscaler makes; its kind has `reserves`."""

    def reserve(self, pool: LivePool, nodes: int) -> bool:
        """Say how many nodes of a pool are to be kept free beside those that pods need; whether that is new.

        Raises:
            ProviderError: it could not be written.
        """
        ...

    def keep_only(self, pools: Collection[str]) -> None:
        """Take back what was said for pools that are not among these.

        Raises:
            ProviderError: it could not be taken back.
        """
        ...

    def manifests(self, pool: LivePool, nodes: int) -> list[Json]:
        """The objects that `reserve` writes, for a dry run."""
        ...


@dataclass(frozen=True, slots=True)
class MachineWatch:
    """A collection of objects, each of which stands for one machine.

    Attributes:
        resource: its plural name, such as `nodeclaims`; metrics and messages show it.
        path: where the API server has it.
        parse: reads one object; raises `autoscaler.live.kube.fields.ParseError` where it cannot.
    """

    resource: str
    path: str
    parse: Callable[[Json], MachineView]


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of a provider that has none."""


class ProviderKind(ABC):
    """One kind of provider, with all that the live loop has to know of it. Its package has one as `KIND`.

    Attributes:
        settings: frozen dataclass that describes `provider_settings` of a pool.
        names: names that it gives to Kubernetes or reads from it.
        observe: rights that a dry run needs.
        act: rights that it needs besides, to create and delete machines.
        startup_taints: keys of taints that its nodes have while they start.
        removal_taints: keys of taints that its nodes have while it removes them.
        protecting_annotations: annotations of pods and nodes that protect them where they are "true".
        can_reboot: its provider is `Reboots`.
        reserves: its provider is `Reserves`: another autoscaler makes and removes the nodes.
    """

    settings: type = NoSettings
    names: tuple[Name, ...] = ()
    observe: tuple[Right, ...] = ()
    act: tuple[Right, ...] = ()
    startup_taints: frozenset[str] = frozenset()
    removal_taints: frozenset[str] = frozenset()
    protecting_annotations: frozenset[str] = frozenset()
    can_reboot: bool = False
    reserves: bool = False

    @abstractmethod
    def make(self, client: KubeClient, config: LiveConfig, clock: Clock) -> Provider:
        """The provider for all pools of its kind.

        Args:
            client: fenced, see `KubeClient.fenced`.
            config: all pools.
            clock: in whose seconds instances have their times.
        """
        ...

    def check(self, client: KubeClient, pools: Sequence[LivePool]) -> None:
        """Check, before anything is changed, that the cluster has what its pools need.

        Raises:
            ClusterAccessError: it does not; one line that says what to do.
        """
        return

    def watches(self, pool_of: Callable[[Mapping[str, str]], str | None], clock: Clock) -> tuple[MachineWatch, ...]:
        """What is watched besides Nodes, for a provider whose machines are objects before they are Nodes.

        Args:
            pool_of: from labels to the name of a pool.
            clock: in whose seconds views have their times.
        """
        return ()

    def template_labels(self, pool: LivePool) -> Mapping[str, str]:
        """Labels that a new node of a pool will have besides those of its template."""
        return {}

    def node_labels(self, pool: LivePool) -> Mapping[str, str]:
        """Labels each of which says that a node without our own label belongs to a pool."""
        return {}
