"""The search for devices finds what there is: compared with a look at every choice."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.live.device_model import ClaimSpec, Constraint, DeviceId, DeviceKind, DeviceRequest, Option
from autoscaler.live.view.devices import Need, Stock, StockDevice, allocate

COLOURS = ("red", "green", "blue")


def matches(option: Option, kind: DeviceKind) -> bool:
    """An option selects devices of the colours that its class names."""
    return kind.attribute("d/colour") in option.device_class.split()


def kind_of(colour: str, place: int) -> DeviceKind:
    return DeviceKind("d", ((("d", "colour"), colour), (("d", "place"), place)))


devices = st.lists(
    st.tuples(st.sampled_from(COLOURS), st.integers(0, 1), st.integers(0, 2), st.booleans()), min_size=0, max_size=5
)
options = st.builds(
    lambda colours, count: Option(" ".join(sorted(colours)), count=count),
    st.sets(st.sampled_from(COLOURS), min_size=1),
    st.integers(1, 2),
)
requests = st.lists(st.lists(options, min_size=1, max_size=2), min_size=1, max_size=3)


def exists(need: Need, stock: Stock, chosen: tuple[int, ...] = (), place: int = 0) -> bool:
    """Whether any choice at all serves the requests from `place` on."""
    (spec,) = need
    if place == len(spec.requests):
        return is_allowed(stock, spec, chosen)
    for option in spec.requests[place].options:
        alike = [
            index
            for index, device in enumerate(stock.devices)
            if device.free and index not in chosen and matches(option, device.kind)
        ]
        for more in combinations(alike, option.count):
            if exists(need, stock, chosen + more, place + 1):
                return True
    return False


def is_allowed(stock: Stock, spec: ClaimSpec, chosen: tuple[int, ...]) -> bool:
    left = dict(stock.counters)
    for index in chosen:
        for name, amount in stock.devices[index].consumes:
            left[name] -= amount
    places = [stock.devices[index].kind.attribute("d/place") for index in chosen]
    agree = not spec.constraints or len(set(places)) <= 1
    return agree and all(amount >= 0 for amount in left.values())


@given(devices, requests, st.sampled_from(((), (Constraint((), "d/place"),))), st.integers(0, 4))
def test_devices_are_found_where_there_are_any(
    made: list[tuple[str, int, int, bool]],
    wanted: list[list[Option]],
    common: tuple[Constraint, ...],
    shared: int,
) -> None:
    stock = Stock(
        tuple(
            StockDevice(
                DeviceId("d", "n", str(index)), kind_of(colour, place), (("s/c", takes),) if takes else (), 1000, free
            )
            for index, (colour, place, takes, free) in enumerate(made)
        ),
        (("s/c", shared),),
    )
    spec = ClaimSpec(tuple(DeviceRequest(str(index), tuple(each)) for index, each in enumerate(wanted)), common)
    found = allocate((spec,), stock, matches)
    assert (found is not None) == exists((spec,), stock)
    if found is not None:
        assert len(set(found)) == len(found)
        assert all(stock.devices[index].free for index in found)
        assert is_allowed(stock, spec, found)
