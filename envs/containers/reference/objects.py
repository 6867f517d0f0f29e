"""What the reference simulator is made of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(eq=False)
class Node:
    """A node: `state` is off, booting or on; `idle` has its idle containers, the longest idle first."""

    number: int
    place: int
    free: list[int]
    state: str = "off"
    ready_ms: int = 0
    pull_free_ms: int = 0
    sleep_ms: int = 0
    sleeps_at: int | None = None
    containers: list[Container] = field(default_factory=list)
    idle: list[Container] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    cached: dict[int, int] = field(default_factory=dict)
    """Layer -> when it is there; in the order of use."""


@dataclass(eq=False)
class Container:
    """A container: `state` is started, warm or busy."""

    serial: int
    key: int
    node: Node
    ready_ms: int
    state: str = "started"
    running: list[int] = field(default_factory=list)
    expires: int | None = None
    pre_warm_ms: int = 0
    count: int = 1
    bound: int | None = None
    ends_ms: int = 0
    is_held: bool = False
    was_used: bool = False


@dataclass(eq=False)
class Promise:
    """A container of a key is to be started on a node at `begin_ms` for a request."""

    key: int
    node: Node
    request: int
    begin_ms: int = 0
    ends_ms: int = 0


@dataclass(eq=False)
class Key:
    """A function in a place: `available` has its containers with a free slot, the one to use first in front."""

    number: int
    function: int
    place: int
    queue: list[int] = field(default_factory=list)
    available: list[Container] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    pre_warm_at: int | None = None
    pre_warm_count: int = 1
    running: int = 0
    last_above: dict[int, int] = field(default_factory=dict)
    gaps: dict[tuple[int, int], int] = field(default_factory=dict)
    """(level, bin) -> gaps."""

    @property
    def starting(self) -> int:
        """Containers that are not ready yet."""
        return sum(container.state == "started" for container in self.containers)
