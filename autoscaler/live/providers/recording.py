"""A provider that only remembers: for tests, with failures by script."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from autoscaler.live.config import LivePool
from autoscaler.live.providers.base import Instance, InstanceNotFoundError, ProviderError


@dataclass(frozen=True, slots=True)
class Call:
    """One call, also when it failed.

    Attributes:
        method: `create` or `delete`.
        pool: the pool.
        name: the instance.
    """

    method: str
    pool: str
    name: str


@dataclass(frozen=True, slots=True)
class _Failure:
    error: ProviderError
    takes_effect: bool


class RecordingProvider:
    """Keeps instances in memory.

    Args:
        now: time of the orders, in clock seconds.
        on_create: called with each instance that is made, for a test that lets its Node appear.
        on_delete: called with each instance that is deleted.

    Attributes:
        calls: every call in order.
        existing: the instances by name.
    """

    name = "recording"

    def __init__(
        self,
        now: Callable[[], float] = lambda: 0.0,
        on_create: Callable[[Instance], None] = lambda _: None,
        on_delete: Callable[[Instance], None] = lambda _: None,
    ) -> None:
        self.calls: list[Call] = []
        self.existing: dict[str, Instance] = {}
        self._now, self._on_create, self._on_delete = now, on_create, on_delete
        self._failures: defaultdict[str, deque[_Failure | None]] = defaultdict(deque)

    def fail(self, method: str, error: ProviderError, *, after_calls: int = 0, takes_effect: bool = False) -> None:
        """Let a call to come fail.

        Args:
            method: `instances`, `create` or `delete`.
            error: what it raises.
            after_calls: calls from now on that do not fail before it, besides those that do by script.
            takes_effect: it happens all the same: only the answer is lost.
        """
        self._failures[method].extend([None] * after_calls)
        self._failures[method].append(_Failure(error, takes_effect))

    def instances(self) -> list[Instance]:
        """All instances; see `Provider`."""
        failure = self._next_failure("instances")
        if failure is not None:
            raise failure.error
        return list(self.existing.values())

    def create(self, pool: LivePool, name: str) -> Instance:
        """Remember an instance; see `Provider`."""
        self.calls.append(Call("create", pool.name, name))
        failure = self._next_failure("create")
        if failure is not None and not failure.takes_effect:
            raise failure.error
        if name not in self.existing:
            self.existing[name] = Instance(name, pool.name, self._now(), f"uid-{name}-{len(self.calls)}", name)
            self._on_create(self.existing[name])
        if failure is not None:
            raise failure.error
        return self.existing[name]

    def delete(self, instance: Instance) -> None:
        """Forget an instance; see `Provider`."""
        self.calls.append(Call("delete", instance.pool, instance.name))
        failure = self._next_failure("delete")
        if failure is not None and not failure.takes_effect:
            raise failure.error
        found = self.existing.get(instance.name)
        if found is None or (instance.uid and instance.uid != found.uid):
            raise InstanceNotFoundError(f"no instance {instance.name}", instance.pool)
        del self.existing[instance.name]
        self._on_delete(replace(found, is_deleting=True))
        if failure is not None:
            raise failure.error

    def _next_failure(self, method: str) -> _Failure | None:
        script = self._failures[method]
        return script.popleft() if script else None
