"""Which devices a node has, and how often the claims of a pod fit on them.

Allocation follows the scheduler: devices in the order of their slices, the first option of a request that can be had,
shared counters, taints, and what devices of a claim must have in common. To be exact is cheap: a node has few devices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.live.config import GPU_MILLI
from autoscaler.live.device_config import DeviceTemplate
from autoscaler.live.device_model import Amounts, ClaimSpec, Constraint, DeviceId, DeviceKind, DeviceRequest, Option
from autoscaler.live.kube.devices import SliceView, device_kind
from autoscaler.live.kube.quantities import parse_milli

MAX_STEPS = 5000
"""So many devices are tried for the claims of a pod; what is not found by then counts as not there."""

MAX_UNITS = 1000

Matches = Callable[[Option, DeviceKind], bool | None]
"""Whether the selectors of an option select a kind of device, taints aside; None: they cannot be evaluated for it."""

Need = tuple[ClaimSpec, ...]
"""The claims of a pod."""

_Bound = tuple[int, Constraint]
"""A constraint, and the position of its claim."""


@dataclass(frozen=True, slots=True)
class StockDevice:
    """A device of a node.

    Attributes:
        id: its name.
        kind: by what it is chosen.
        consumes: what it takes of the stock's counters.
        gpu_milli: thousandths of a GPU that it is.
        free: nothing holds it.
    """

    id: DeviceId
    kind: DeviceKind
    consumes: Amounts = ()
    gpu_milli: int = 0
    free: bool = True


@dataclass(frozen=True, slots=True)
class Stock:
    """The devices of a node.

    Attributes:
        devices: in the order in which they are given out.
        counters: what is left of each shared counter.
        complete: drivers all of whose slices are there.
    """

    devices: tuple[StockDevice, ...] = ()
    counters: Amounts = ()
    complete: frozenset[str] = frozenset()

    def without(self, taken: Iterable[int]) -> Stock:
        """What is left when some devices, by position, are given out."""
        gone = set(taken)
        counters = dict(self.counters)
        for index in gone:
            for counter, amount in self.devices[index].consumes:
                counters[counter] -= amount
        devices = (
            replace(device, free=False) if index in gone else device for index, device in enumerate(self.devices)
        )
        return replace(self, devices=tuple(devices), counters=tuple(sorted(counters.items())))

    def emptied(self, totals: Mapping[str, int]) -> Stock:
        """The same while nothing is given out.

        Args:
            totals: of all shared counters.
        """
        devices = tuple(device if device.free else replace(device, free=True) for device in self.devices)
        return replace(self, devices=devices, counters=tuple((name, totals[name]) for name, _ in self.counters))


PoolCache = dict[
    tuple[str, str], tuple[tuple[frozenset[DeviceId], tuple[tuple[str, str], ...]], tuple[tuple[str, Stock], ...]]
]
"""By driver and pool of devices: what was allocated of which slices, and the devices of each node."""


def node_stocks(
    slices: Iterable[SliceView], taken: frozenset[DeviceId], cache: PoolCache | None = None
) -> dict[str, Stock]:
    """The devices of each node by its name; devices of no single node are left out.

    Args:
        slices: all that there are. Of each pool of devices only the newest generation counts, and only if all of its
            slices are there.
        taken: devices that are allocated.
        cache: what was worked out before. A stock stays the same object while nothing of it changes.
    """
    known = {} if cache is None else cache
    taken_of: defaultdict[tuple[str, str], set[DeviceId]] = defaultdict(set)
    for device in taken:
        taken_of[device.driver, device.pool].add(device)
    pools: defaultdict[tuple[str, str], list[SliceView]] = defaultdict(list)
    for each in slices:
        pools[each.driver, each.pool].append(each)
    found: defaultdict[str, list[Stock]] = defaultdict(list)
    missing: defaultdict[str, set[str]] = defaultdict(set)
    for name, members in sorted(pools.items()):
        newest = max(each.generation for each in members)
        current = sorted((each for each in members if each.generation == newest), key=lambda each: each.name)
        if len(current) == current[0].pool_slices:
            held = frozenset(taken_of[name])
            key = held, tuple((each.uid, each.resource_version) for each in current)
            if name not in known or known[name][0] != key:
                known[name] = key, tuple(_pool_stocks(current, held))
            for node, stock in known[name][1]:
                found[node].append(stock)
        else:
            for each in current:
                missing[each.node_name].add(name[0])
    stocks = {node: _united(parts) for node, parts in found.items()}
    for gone in known.keys() - pools.keys():
        del known[gone]
    for node in missing.keys() & stocks.keys():
        stocks[node] = replace(stocks[node], complete=stocks[node].complete - missing[node])
    return stocks


def _pool_stocks(slices: Sequence[SliceView], taken: frozenset[DeviceId]) -> Iterator[tuple[str, Stock]]:
    """The devices of one complete pool, node by node."""
    driver, pool = slices[0].driver, slices[0].pool
    prefix = f"{driver}/{pool}/"
    left = {f"{prefix}{name}": amount for each in slices for name, amount in each.counters}
    by_node: defaultdict[str, list[StockDevice]] = defaultdict(list)
    for each in slices:
        for device in each.devices:
            node = each.node_name or device.node_name
            identity = DeviceId(driver, pool, device.name)
            consumes = tuple((f"{prefix}{name}", amount) for name, amount in device.consumes)
            if identity in taken:
                for name, amount in consumes:
                    left[name] = left.get(name, 0) - amount
            if node:
                by_node[node].append(StockDevice(identity, device.kind, consumes, 0, identity not in taken))
    for node, devices in by_node.items():
        yield node, Stock(tuple(devices), tuple(sorted(left.items())), frozenset({driver}))


def _united(stocks: Sequence[Stock]) -> Stock:
    if len(stocks) == 1:
        return stocks[0]
    return Stock(
        tuple(device for stock in stocks for device in stock.devices),
        tuple(sorted(counter for stock in stocks for counter in stock.counters)),
        frozenset().union(*(stock.complete for stock in stocks)),
    )


def template_stock(templates: Iterable[DeviceTemplate]) -> Stock:
    """The devices of a node that does not exist yet.

    Raises:
        ParseError: an attribute or a capacity cannot be read.
        QuantityError: a counter cannot be read.
    """
    devices: list[StockDevice] = []
    counters: dict[str, int] = {}
    drivers: set[str] = set()
    for place, template in enumerate(templates):
        drivers.add(template.driver)
        whole = device_kind(template.driver, template.attributes, template.capacity, classes=template.classes)
        for index in range(template.count):
            name = f"{place}-{index}"
            sizes = {f"{name}/{counter}": parse_milli(amount) for counter, amount in template.counters.items()}
            counters |= sizes
            devices.append(StockDevice(_named(template, name), whole, tuple(sorted(sizes.items())), template.gpu_milli))
            devices += _parts(template, name, sizes)
    return Stock(tuple(devices), tuple(sorted(counters.items())), frozenset(drivers))


def _named(template: DeviceTemplate, name: str) -> DeviceId:
    return DeviceId(template.driver, "", name)


def _parts(template: DeviceTemplate, name: str, sizes: Mapping[str, int]) -> Iterator[StockDevice]:
    for place, part in enumerate(template.parts):
        kind = device_kind(template.driver, part.attributes, part.capacity, classes=template.classes)
        consumes = tuple(
            sorted((f"{name}/{counter}", parse_milli(amount)) for counter, amount in part.consumes.items())
        )
        size = share(consumes, sizes, template.gpu_milli)
        for index in range(part.count):
            yield StockDevice(_named(template, f"{name}-{place}-{index}"), kind, consumes, size)


def share(consumes: Amounts, totals: Mapping[str, int], gpu_milli: int) -> int:
    """Thousandths of a GPU that a device is which takes from shared counters: by the counter of which it takes most.

    Rounded down, so that parts that fill a GPU are no more than one GPU; never nothing. One that takes from counters
    of several GPUs is a part of each.

    Args:
        consumes: what it takes.
        totals: of the counters.
        gpu_milli: of a device that takes all counters of one set.
    """
    if not consumes or gpu_milli == 0:
        return gpu_milli
    by_set: dict[str, int] = {}
    for name, amount in consumes:
        if totals.get(name, 0) > 0:
            owner = _set_of(name)
            by_set[owner] = max(by_set.get(owner, 0), amount * gpu_milli // totals[name])
    return max(1, sum(by_set.values()))


def _set_of(counter: str) -> str:
    """The set of a counter: the counters of one GPU."""
    return counter.rpartition("/")[0]


def sized(stock: Stock, templates: Sequence[tuple[DeviceTemplate, DeviceKind]], totals: Mapping[str, int]) -> Stock:
    """The stock with the size of each device: that of the template that is most like it, 0 without one of its driver.

    Args:
        stock: the devices of a node.
        templates: of the node's pool, each with the kind of its whole devices.
        totals: of the shared counters, whatever is taken of them.
    """
    return replace(
        stock, devices=tuple(replace(each, gpu_milli=_size(each, templates, totals)) for each in stock.devices)
    )


def _size(
    device: StockDevice, templates: Sequence[tuple[DeviceTemplate, DeviceKind]], totals: Mapping[str, int]
) -> int:
    alike = [(template, kind) for template, kind in templates if template.driver == device.id.driver]
    if not alike:
        return 0
    known = set(device.kind.attributes)
    whole, _ = max(alike, key=lambda each: len(known.intersection(each[1].attributes)))
    return share(device.consumes, totals, whole.gpu_milli)


def counter_totals(slices: Iterable[SliceView]) -> dict[str, int]:
    """All shared counters, as `Stock` names them."""
    return {f"{each.driver}/{each.pool}/{name}": amount for each in slices for name, amount in each.counters}


def total_gpu_milli(stock: Stock) -> int:
    """Thousandths of a GPU of all devices that claims may have; those that share counters are one GPU at most.

    Args:
        stock: the devices, taken ones too.
    """
    total = 0
    by_set: dict[str, int] = {}
    for device in stock.devices:
        if device.kind.taints:
            continue
        owners = {_set_of(name) for name, _ in device.consumes}
        for owner in owners:
            by_set[owner] = min(GPU_MILLI, by_set.get(owner, 0) + device.gpu_milli // len(owners))
        if not owners:
            total += device.gpu_milli
    return total + sum(by_set.values())


def units(need: Need, stock: Stock, matches: Matches) -> int:
    """How many pods with the same claims fit on what is free."""
    found = 0
    while found < MAX_UNITS:
        taken = allocate(need, stock, matches)
        if not taken:
            break
        stock = stock.without(taken)
        found += 1
    return found


def allocate(need: Need, stock: Stock, matches: Matches) -> tuple[int, ...] | None:
    """Choose devices for the claims of a pod.

    Args:
        need: the claims; those of admin access are left out.
        stock: the devices of a node.
        matches: see `Matches`.

    Returns:
        Positions of the devices in the stock, None: there are not enough.
    """
    return _Allocation(need, stock, matches).found()


class _Allocation:
    """A search with a bound on its steps: requests one by one, each from the first device on."""

    def __init__(self, need: Need, stock: Stock, matches: Matches) -> None:
        self._stock, self._matches = stock, matches
        self._requests = [(claim, request) for claim, spec in enumerate(need) for request in spec.requests]
        self._constraints = [spec.constraints for spec in need]
        self._left = dict(stock.counters)
        self._taken: list[int] = []
        self._values: list[tuple[_Bound, object]] = []
        self._steps = 0

    def found(self) -> tuple[int, ...] | None:
        return tuple(self._taken) if self._serve(0) else None

    def _serve(self, place: int) -> bool:
        if place == len(self._requests):
            return True
        claim, request = self._requests[place]
        binding = [(claim, each) for each in self._constraints[claim] if _binds(each, request)]
        return any(self._serve_option(place, binding, option) for option in request.options)

    def _serve_option(self, place: int, binding: list[_Bound], option: Option) -> bool:
        alike, has_all = self._alike(option)
        if option.count == 0:
            return has_all and bool(alike) and self._choose(place, binding, option, alike, 0, len(alike))
        return len(alike) >= option.count and self._choose(place, binding, option, alike, 0, option.count)

    def _alike(self, option: Option) -> tuple[list[int], bool]:
        """Devices that an option selects, of a number of them only free ones; False: not all were looked at.

        The scheduler gives up at the first device for which a selector cannot be evaluated.
        """
        alike: list[int] = []
        for index, device in enumerate(self._stock.devices):
            if option.count == 0 or device.free:
                selected = self._matches(option, device.kind)
                if selected is None:
                    return alike, False
                if selected:
                    alike.append(index)
        return alike, True

    def _choose(
        self, place: int, binding: list[_Bound], option: Option, among: list[int], start: int, count: int
    ) -> bool:
        """Take `count` more devices from `among[start:]`, then serve the requests that follow."""
        if count == 0:
            return self._serve(place + 1)
        for position in range(start, len(among) - count + 1):
            self._steps += 1
            if self._steps > MAX_STEPS:
                return False
            if not self._take(among[position], binding, option):
                continue
            if self._choose(place, binding, option, among, position + 1, count - 1):
                return True
            self._give_back(among[position], binding)
        return False

    def _take(self, index: int, binding: list[_Bound], option: Option) -> bool:
        device = self._stock.devices[index]
        if not device.free or index in self._taken or not option.tolerates(device.kind.taints):
            return False
        if any(self._left.get(name, 0) < amount for name, amount in device.consumes):
            return False
        values = [(each, device.kind.attribute(each[1].attribute)) for each in binding]
        if not all(self._agrees(each, value) for each, value in values):
            return False
        for name, amount in device.consumes:
            self._left[name] -= amount
        self._taken.append(index)
        self._values += values
        return True

    def _give_back(self, index: int, binding: list[_Bound]) -> None:
        self._taken.pop()
        del self._values[len(self._values) - len(binding) :]
        for name, amount in self._stock.devices[index].consumes:
            self._left[name] += amount

    def _agrees(self, bound: _Bound, value: object) -> bool:
        if value is None:
            return False
        others = [other for each, other in self._values if each == bound]
        return value not in others if bound[1].distinct else all(value == other for other in others)


def _binds(constraint: Constraint, request: DeviceRequest) -> bool:
    """Whether a constraint is about a request; it may name one of its options, as `request/option`."""
    return not constraint.requests or request.name in {each.partition("/")[0] for each in constraint.requests}
