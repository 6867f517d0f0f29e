"""What is known of devices from one reconcile to the next, so that it need not be worked out again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from autoscaler.live.device_model import DeviceKind
from autoscaler.live.kube.devices import DeviceClassView
from autoscaler.live.kube.selectors import SelectorError, selects
from autoscaler.live.view.devices import PoolCache, Stock

MAX_CACHED = 200_000
"""So many answers of selectors are remembered."""


SEEN_SECONDS = 3600.0
"""So long the devices of a node that is gone count before what the config says of them."""


class SelectorCache:
    """Which kinds of devices an expression selects, and why one cannot be evaluated."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, DeviceKind], bool | None] = {}
        self.problems: dict[str, str] = {}

    def select(self, expressions: Iterable[str], kind: DeviceKind) -> bool | None:
        """Whether all expressions select a kind of device; None: one cannot be evaluated, see `problems`."""
        return next((each for each in (self._selects(text, kind) for text in expressions) if not each), True)

    def _selects(self, expression: str, kind: DeviceKind) -> bool | None:
        key = expression, kind
        if key not in self._known:
            if len(self._known) > MAX_CACHED:
                self._known.clear()
                self.problems.clear()
            try:
                self._known[key] = selects(expression, kind)
            except SelectorError as error:
                self._known[key] = None
                self.problems[expression] = str(error)
        return self._known[key]


class Memory:
    """What need not be worked out again while its objects stay the same."""

    def __init__(self) -> None:
        self.selectors = SelectorCache()
        self.pools: PoolCache = {}
        self._sized: dict[str, tuple[Stock, str, Stock]] = {}
        self._units: dict[str, tuple[Stock, dict[str, int]]] = {}
        self._seen: dict[str, tuple[Stock, float]] = {}
        self._classes: frozenset[tuple[str, str]] = frozenset()

    def see_classes(self, classes: Iterable[DeviceClassView]) -> None:
        """Forget what was counted with other DeviceClasses."""
        now = frozenset((each.uid, each.resource_version) for each in classes)
        if now != self._classes:
            self._units.clear()
            self._classes = now

    def sized(self, node: str, stock: Stock, pool: str, make: Callable[[], Stock]) -> Stock:
        """The stock of a node with sizes."""
        known = self._sized.get(node)
        if known is None or known[0] is not stock or known[1] != pool:
            known = self._sized[node] = stock, pool, make()
        return known[2]

    def units(self, node: str, stock: Stock, resource: str, count: Callable[[], int]) -> int:
        """How often the claims of a resource fit on a node."""
        known = self._units.get(node)
        if known is None or known[0] is not stock:
            known = self._units[node] = stock, {}
        if resource not in known[1]:
            known[1][resource] = count()
        return known[1][resource]

    def remember(self, pool: str, stock: Stock, now_seconds: float) -> Stock:
        """Note what an empty node of a pool has."""
        self._seen[pool] = stock, now_seconds
        return stock

    def recall(self, pool: str, now_seconds: float) -> Stock | None:
        """What an empty node of a pool had, not long ago."""
        stock, seconds = self._seen.get(pool, (None, 0.0))
        return stock if now_seconds - seconds < SEEN_SECONDS else None

    def forget_others(self, nodes: Collection[str]) -> None:
        """Keep only what is of some nodes."""
        for table in (self._sized, self._units):
            for node in table.keys() - set(nodes):
                del table[node]
