"""Measured energy of GPUs: MIG slices count once, and what is odd in a series is dropped and counted."""

from collections import Counter
from typing import Any

import pytest

from autoscaler.live.signal_config import PowerMeter
from autoscaler.live.signals.power import Dropped, EnergyCounter, NodePower, PowerFeed
from tests.live.signals.web import Answer, series, serving

NODE = {"Hostname": "n1"}


def gpu(uuid: str = "GPU-1", **more: str) -> dict[str, str]:
    return {"UUID": uuid, **NODE, **more}


def counted(values: list[tuple[float, float]], kind: str = "energy", **settings: Any) -> tuple[float, Counter[Dropped]]:
    counter = EnergyCounter(PowerMeter("http://prometheus", kind=kind, **settings))  # type: ignore[arg-type]
    row = {"metric": gpu(), "values": [[at, repr(value)] for at, value in values]}
    return counter.add([row], None)


def mj(joules: float) -> float:
    return 1000.0 * joules


def test_a_counter_is_the_difference_of_its_values() -> None:
    assert counted([(0, mj(50)), (60, mj(6050)), (120, mj(18050))]) == (18000.0, Counter())


def test_the_difference_goes_on_from_one_read_to_the_next() -> None:
    counter = EnergyCounter(PowerMeter("http://prometheus"))
    for values in ([[0, "0"]], [[60, "6000000"]], [[120, "9000000"]]):
        joules, dropped = counter.add([{"metric": gpu(), "values": values}], None)
    assert (joules, dropped) == (3000.0, Counter())


def test_power_is_integrated_between_its_values() -> None:
    joules, dropped = counted([(0, 100.0), (60, 300.0), (120, 300.0)], kind="power")
    assert joules == 60 * 200 + 60 * 300
    assert not dropped


def test_slices_of_one_gpu_that_repeat_its_power_count_once() -> None:
    counter = EnergyCounter(PowerMeter("http://prometheus", kind="power"))
    values = [[0, "200"], [60, "200"]]
    rows = [{"metric": gpu(GPU_I_ID=str(index)), "values": values} for index in range(7)]
    rows.append({"metric": gpu("GPU-2"), "values": values})
    joules, dropped = counter.add(rows, None)
    assert joules == 2 * 200 * 60
    assert dropped == {Dropped.SLICE: 12}


@pytest.mark.parametrize(
    ("values", "joules", "reason"),
    [
        ([(0, 9e9), (60, mj(5)), (120, mj(605))], 600.0, Dropped.RESET),
        ([(0, mj(1000)), (60, mj(990)), (120, mj(1600))], 600.0, Dropped.NEGATIVE),
        ([(0, mj(0)), (60, mj(1e7)), (120, mj(600))], 600.0, Dropped.SPIKE),
        ([(0, mj(0)), (0, mj(0)), (60, mj(600))], 600.0, Dropped.REPEATED),
        ([(60, mj(0)), (0, mj(0)), (120, mj(600))], 600.0, Dropped.BACKWARDS),
        ([(0, mj(0)), (60, float("nan")), (120, mj(600))], 600.0, Dropped.UNREADABLE),
        ([(0, -5.0), (60, mj(0)), (120, mj(600))], 600.0, Dropped.NEGATIVE),
    ],
    ids=["reset", "negative delta", "spike", "repeated stamp", "backwards", "not a number", "negative value"],
)
def test_an_odd_value_of_a_counter_is_dropped_and_counted(
    values: list[tuple[float, float]], joules: float, reason: Dropped
) -> None:
    assert counted(values) == (joules, Counter({reason: 1}))


def test_a_counter_that_jumps_and_stays_goes_on_from_there() -> None:
    joules, dropped = counted([(0, 0.0), (60, mj(1e7)), (120, mj(1e7 + 600)), (180, mj(1e7 + 1200))])
    assert joules == 600.0
    assert dropped == {Dropped.SPIKE: 2}


@pytest.mark.parametrize(
    ("values", "joules", "reason"),
    [
        ([(0, 100.0), (60, 9000.0), (120, 100.0)], 12000.0, Dropped.SPIKE),
        ([(0, 100.0), (60, -1.0), (120, 100.0)], 12000.0, Dropped.NEGATIVE),
        ([(0, 100.0), (600, 100.0), (660, 100.0)], 6000.0, Dropped.GAP),
        ([(0, 100.0), (60, 100.0), (60, 100.0)], 6000.0, Dropped.REPEATED),
    ],
    ids=["spike", "negative", "gap", "repeated stamp"],
)
def test_an_odd_value_of_power_is_dropped_and_counted(
    values: list[tuple[float, float]], joules: float, reason: Dropped
) -> None:
    assert counted(values, kind="power") == (joules, Counter({reason: 1}))


def test_the_power_of_a_node_is_the_mean_of_its_gpus_over_the_last_read() -> None:
    counter = EnergyCounter(PowerMeter("http://prometheus"))
    for at, first, second in ((0, 0, 0), (60, 6000, 12000), (90, 9000, 12000)):
        rows = [
            {"metric": gpu("GPU-1"), "values": [[at, repr(mj(first))]]},
            {"metric": gpu("GPU-2"), "values": [[at, repr(mj(second))]]},
            {"metric": gpu("GPU-3") | {"Hostname": "n2"}, "values": [[at, "0"]]},
        ]
        counter.add(rows, None)
        if at == 60:
            assert counter.power == {"n1": NodePower(300.0, 0.0), "n2": NodePower(0.0, 0.0)}
    assert counter.power["n1"] == NodePower(100.0, 60.0)


def test_a_node_of_which_a_value_was_dropped_has_no_power() -> None:
    counter = EnergyCounter(PowerMeter("http://prometheus"))
    for at, first, second in ((0, 0.0, 5e9), (60, 6000.0, 0.0)):
        rows = [
            {"metric": gpu("GPU-1"), "values": [[at, repr(mj(first))]]},
            {"metric": gpu("GPU-2"), "values": [[at, repr(mj(second))]]},
        ]
        _, dropped = counter.add(rows, None)
    assert dropped == {Dropped.RESET: 1}
    assert counter.power == {}


def test_a_series_that_names_no_gpu_or_a_node_of_no_pool_does_not_count() -> None:
    counter = EnergyCounter(PowerMeter("http://prometheus", kind="power"))
    values = [[0, "200"], [60, "200"]]
    rows = [{"metric": {"Hostname": "n1"}, "values": values}, {"metric": gpu() | {"Hostname": "n2"}, "values": values}]
    assert counter.add(rows, frozenset({"n1"})) == (0.0, Counter({Dropped.UNREADABLE: 2}))


def test_it_is_read_from_prometheus_and_what_fails_costs_one_read() -> None:
    now, results = 1000.0, []
    with serving() as web:
        feed = PowerFeed(
            PowerMeter(web.url), lambda: now, lambda result, dropped: results.append((result, dict(dropped)))
        )
        feed.know_nodes(["n1"])
        assert not feed.is_good
        for at, body in [(1000.0, 0), (1060.0, None), (1120.0, 36_000_000)]:
            now = at
            web.answers["/api/v1/query"] = Answer({}, 503) if body is None else series((gpu(), [(at, str(body))]))
            feed.read_once()
        assert feed.is_good
        assert feed.take_kwh() == pytest.approx(0.01)
        assert feed.take_kwh() == 0.0
        queries = [request.query["query"] for request in web.requests]
    assert [result for result, _ in results] == ["ok", "server-error", "ok"]
    assert queries[-1] == "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION[120s]", "back to the last good read"
    assert feed.power == {"n1": NodePower(300.0, 1000.0)}
    now += 301.0
    assert not feed.is_good
    assert feed.power == {}
