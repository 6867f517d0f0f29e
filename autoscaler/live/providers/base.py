"""What every node provider is, and the errors that it raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from autoscaler.live.config import LivePool


class ProviderError(Exception):
    """A provider could not do what it was asked; the base of every error of a provider.

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
    """The provider refuses the pool's template: a person has to mend the config."""


class InstanceNotFoundError(ProviderError, LookupError):
    """There is no instance of that name (any more)."""


class TransientError(ProviderError, OSError):
    """It may or may not have happened: ask again, with the same name. No reason to back off."""


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
