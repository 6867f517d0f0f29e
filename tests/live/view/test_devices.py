"""Devices of a node, and what claims get of them; every figure is worked out by hand."""

from typing import Any

import pytest

from autoscaler.live.clock import ManualClock
from autoscaler.live.device_config import DeviceConfigError, DevicePart, DeviceTemplate
from autoscaler.live.device_model import ClaimSpec, DeviceId, DeviceKind, Option
from autoscaler.live.kube.devices import DeviceParser, claim_spec
from autoscaler.live.kube.selectors import SelectorError, selects
from autoscaler.live.view.devices import (
    allocate,
    counter_totals,
    node_stocks,
    share,
    sized,
    template_stock,
    total_gpu_milli,
    units,
)
from tests.live import raw

DRIVER = "gpu.example.com"
SLICES = DeviceTemplate(
    DRIVER,
    count=2,
    attributes={"type": "gpu"},
    counters={"memory": "80Gi", "slices": "7"},
    parts=(
        DevicePart(7, {"memory": "10Gi", "slices": "1"}, {"type": "mig", "profile": "1g.10gb"}),
        DevicePart(2, {"memory": "40Gi", "slices": "3"}, {"type": "mig", "profile": "3g.40gb"}),
    ),
)


def matches(option: Option, kind: DeviceKind) -> bool | None:
    """The class `gpus` has the devices of the driver."""
    try:
        return kind.driver == DRIVER and all(selects(each, kind) for each in option.selectors)
    except SelectorError:
        return None


def exactly(count: int = 1, expression: str = "", name: str = "r", **more: Any) -> dict[str, Any]:
    selectors = [{"cel": {"expression": expression}}] if expression else []
    return {"name": name, "exactly": {"deviceClassName": "gpus", "count": count, "selectors": selectors, **more}}


def claim(*requests: dict[str, Any], constraints: Any = ()) -> tuple[ClaimSpec, ...]:
    return (claim_spec({"devices": {"requests": list(requests), "constraints": list(constraints)}}, "spec"),)


def profile(name: str) -> str:
    return f'device.attributes["{DRIVER}"].?profile.orValue("") == "{name}"'


WHOLE = f'device.attributes["{DRIVER}"].type == "gpu"'


def published(
    node: str, devices: list[dict[str, Any]], name: str = "", generation: int = 1, slices: int = 1, **more: Any
) -> Any:
    pool = {"name": node, "generation": generation, "resourceSliceCount": slices}
    spec = {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": devices, **more}
    return DeviceParser(ManualClock(0.0)).resource_slice({"metadata": raw.metadata(name or node), "spec": spec})


def gpus(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"name": f"gpu-{index}", **more} for index in range(count)]


def free(stocks: dict[str, Any], node: str) -> list[str]:
    return [device.id.device for device in stocks[node].devices if device.free]


def test_what_is_allocated_is_not_free() -> None:
    stocks = node_stocks([published("n", gpus(3))], frozenset({DeviceId(DRIVER, "n", "gpu-1")}))
    assert free(stocks, "n") == ["gpu-0", "gpu-2"]
    assert units(claim(exactly(1)), stocks["n"], matches) == 2
    assert units(claim(exactly(2)), stocks["n"], matches) == 1
    assert units(claim(exactly(3)), stocks["n"], matches) == 0


def test_only_a_complete_pool_of_the_newest_generation_counts() -> None:
    half = [published("n", gpus(4), "a", slices=2)]
    assert node_stocks(half, frozenset()) == {}
    other = published("n", [{"name": "gpu-9"}], "b", slices=2)
    assert len(node_stocks([*half, other], frozenset())["n"].devices) == 5
    newer = published("n", gpus(1), "c", generation=2, slices=1)
    assert free(node_stocks([*half, other, newer], frozenset()), "n") == ["gpu-0"]
    assert node_stocks([*half, other, published("n", gpus(1), "d", generation=3, slices=2)], frozenset()) == {}


def test_the_first_option_that_can_be_had_is_taken() -> None:
    stock = template_stock([SLICES])
    options = [
        {"name": "three", "deviceClassName": "gpus", "count": 3, "selectors": [{"cel": {"expression": WHOLE}}]},
        {
            "name": "slices",
            "deviceClassName": "gpus",
            "count": 2,
            "selectors": [{"cel": {"expression": profile("3g.40gb")}}],
        },
    ]
    need = claim({"name": "r", "firstAvailable": options})
    taken = allocate(need, stock, matches)
    assert taken is not None
    # There are two whole GPUs only, so two slices of 3/7 of the compute and half of the memory.
    assert [stock.devices[index].gpu_milli for index in taken] == [500, 500]
    assert units(need, stock, matches) == 2


def test_all_devices_are_had_only_while_none_is_taken() -> None:
    every = claim({"name": "r", "exactly": {"deviceClassName": "gpus", "allocationMode": "All"}})
    stock = node_stocks([published("n", gpus(4))], frozenset())["n"]
    taken = allocate(every, stock, matches)
    assert taken == (0, 1, 2, 3)
    assert units(every, stock, matches) == 1
    assert allocate(every, stock.without([2]), matches) is None


def test_slices_of_a_gpu_share_its_counters() -> None:
    stock = template_stock([SLICES])
    # 80Gi and 7 compute slices each: 7 small ones by compute, 2 of half of the memory.
    assert units(claim(exactly(1, profile("1g.10gb"))), stock, matches) == 14
    assert units(claim(exactly(1, profile("3g.40gb"))), stock, matches) == 4
    assert units(claim(exactly(1, WHOLE)), stock, matches) == 2
    taken = allocate(claim(exactly(1, profile("1g.10gb"))), stock, matches)
    assert taken is not None
    left = stock.without(taken)
    # One GPU has lost 10Gi and one slice: 70Gi hold one half, 6 slices hold six small ones.
    assert units(claim(exactly(1, WHOLE)), left, matches) == 1
    assert units(claim(exactly(1, profile("3g.40gb"))), left, matches) == 3
    assert units(claim(exactly(1, profile("1g.10gb"))), left, matches) == 13


def test_a_device_is_as_large_as_its_largest_share_of_a_counter() -> None:
    totals = {"a/memory": 80, "a/slices": 7, "b/memory": 80}
    assert share((("a/memory", 10), ("a/slices", 1)), totals, 1000) == 142
    assert share((("a/memory", 20), ("a/slices", 1)), totals, 1000) == 250
    assert share((("a/memory", 80), ("a/slices", 7)), totals, 1000) == 1000
    assert share((("a/memory", 40), ("b/memory", 80)), totals, 1000) == 1500
    assert share((), totals, 1000) == 1000
    assert share((("a/memory", 10),), totals, 0) == 0
    assert total_gpu_milli(template_stock([SLICES])) == 2000


def test_a_gpu_is_one_gpu_however_it_is_divided() -> None:
    def pool(*kinds: str) -> Any:
        wanted = {"whole": "80Gi", "half": "40Gi", "small": "10Gi"}
        devices = []
        for index, kind in enumerate(kinds):
            counters = [{"counterSet": "g", "counters": {"memory": {"value": wanted[kind]}}}]
            devices.append({"name": f"{kind}-{index}", "consumesCounters": counters})
        sets = [{"name": "g", "counters": {"memory": {"value": "80Gi"}}}]
        slices = [published("n", [], "c", slices=2, sharedCounters=sets), published("n", devices, "d", slices=2)]
        template = DeviceTemplate(DRIVER, 1)
        kinds_of = [(template, DeviceKind(DRIVER))]
        return sized(node_stocks(slices, frozenset())["n"], kinds_of, counter_totals(slices))

    assert total_gpu_milli(pool("whole", "half", "half", "small")) == 1000
    assert total_gpu_milli(pool("half", "small")) == 625
    assert total_gpu_milli(pool("half", "half", "half")) == 1000


def test_counters_of_a_separate_slice_are_shared_by_the_devices_of_the_pool() -> None:
    sets = [{"name": "gpu-0", "counters": {"memory": {"value": "80Gi"}}}]
    consumes = [{"counterSet": "gpu-0", "counters": {"memory": {"value": "30Gi"}}}]
    slices = [
        published("n", [], "counters", slices=2, sharedCounters=sets),
        published("n", gpus(4, consumesCounters=consumes), "devices", slices=2),
    ]
    stock = node_stocks(slices, frozenset())["n"]
    assert units(claim(exactly(1)), stock, matches) == 2
    assert counter_totals(slices) == {f"{DRIVER}/n/gpu-0/memory": 80 * 2**30 * 1000}
    held = node_stocks(slices, frozenset({DeviceId(DRIVER, "n", "gpu-3")}))["n"]
    assert units(claim(exactly(1)), held, matches) == 1


def test_a_tainted_device_is_for_those_that_tolerate_it() -> None:
    taints = [{"key": "broken", "value": "yes", "effect": "NoSchedule"}]
    note = [{"key": "seen", "effect": "None"}]
    devices = [{"name": "bad", "taints": taints}, {"name": "good", "taints": note}]
    stock = node_stocks([published("n", devices)], frozenset())["n"]
    assert units(claim(exactly(1)), stock, matches) == 1
    tolerations = [{"key": "broken", "operator": "Exists"}]
    assert units(claim(exactly(1, tolerations=tolerations)), stock, matches) == 2


def test_all_devices_are_not_had_while_one_is_tainted() -> None:
    every = claim({"name": "r", "exactly": {"deviceClassName": "gpus", "allocationMode": "All"}})
    taints = [{"key": "broken", "effect": "NoSchedule"}]
    stock = node_stocks([published("n", [{"name": "bad", "taints": taints}, {"name": "good"}])], frozenset())["n"]
    assert allocate(every, stock, matches) is None


def test_the_scheduler_gives_up_at_the_first_device_that_a_selector_fails_for() -> None:
    devices = [{"name": f"gpu-{index}", "attributes": {"memory": {"int": 80}}} for index in range(2)]
    devices.append({"name": "odd"})
    enough = f'device.attributes["{DRIVER}"].memory > 40'
    stock = node_stocks([published("n", devices)], frozenset())["n"]
    assert allocate(claim(exactly(2, enough)), stock, matches) == (0, 1)
    first = node_stocks([published("n", devices[::-1])], frozenset())["n"]
    assert allocate(claim(exactly(2, enough)), first, matches) is None
    every = exactly(1, enough, allocationMode="All")
    assert allocate(claim(every), stock, matches) is None


@pytest.mark.parametrize(("kind", "fits"), [("matchAttribute", False), ("distinctAttribute", True)])
def test_devices_of_a_claim_have_in_common_what_it_says(kind: str, fits: bool) -> None:
    devices = [{"name": f"gpu-{index}", "attributes": {"numa": {"int": index}}} for index in range(2)]
    stock = node_stocks([published("n", devices)], frozenset())["n"]
    need = claim(exactly(2), constraints=[{kind: f"{DRIVER}/numa"}])
    assert (allocate(need, stock, matches) is not None) == fits
    assert units(claim(exactly(1), constraints=[{kind: f"{DRIVER}/numa"}]), stock, matches) == 2


def test_a_search_goes_back_where_a_request_took_what_another_needs() -> None:
    devices = [{"name": "any"}, {"name": "big", "attributes": {"big": {"bool": True}}}]
    big = f'device.attributes["{DRIVER}"].?big.orValue(false)'
    stock = node_stocks([published("n", list(reversed(devices)))], frozenset())["n"]
    assert allocate(claim(exactly(1, name="a"), exactly(1, big, name="b")), stock, matches) == (1, 0)


def test_two_claims_of_one_template_are_bound_one_by_one() -> None:
    devices = [{"name": f"gpu-{index}", "attributes": {"numa": {"int": index // 2}}} for index in range(4)]
    stock = node_stocks([published("n", devices)], frozenset())["n"]
    (one,) = claim(exactly(2), constraints=[{"matchAttribute": f"{DRIVER}/numa"}])
    assert allocate((one, one), stock, matches) == (0, 1, 2, 3)


def test_admin_access_requests_nothing_and_a_part_of_a_capacity_is_a_problem() -> None:
    (spec,) = claim(exactly(1, adminAccess=True))
    assert (spec.requests, spec.problem) == ((), "")
    (spec,) = claim(exactly(1, capacity={"requests": {"memory": "10Gi"}}))
    assert "part of a device's capacity" in spec.problem


def test_a_part_of_an_unknown_counter_is_refused() -> None:
    with pytest.raises(DeviceConfigError, match="a part consumes the counter 'memroy'; its counters are memory"):
        DeviceTemplate(DRIVER, counters={"memory": "80Gi"}, parts=(DevicePart(1, {"memroy": "1Gi"}),))
