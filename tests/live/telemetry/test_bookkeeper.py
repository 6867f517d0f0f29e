"""Measured power of nodes: a value counts only while the pods that it was measured with are on the node."""

import pytest

from autoscaler.live.clock import ScaledClock
from autoscaler.live.signal_config import LiveRegion, PowerMeter, SignalSettings
from autoscaler.live.signals.power import NodePower
from autoscaler.live.telemetry.bookkeeper import Bookkeeper
from autoscaler.live.telemetry.metrics import Metrics
from tests.live.test_account import config
from tests.live.views import NOW, node, pod, view


class Meter:
    """A feed that says what a test tells it."""

    def __init__(self, **power: NodePower) -> None:
        self.power = power


def measured(books: Bookkeeper, at: float, *pods: str) -> float | None:
    members = [pod(name, node="n", gpus=2) for name in pods]
    found = books.with_power(view([node("n", pods=members)], pods=members, now=NOW + at))
    return found.pools[0].nodes[0].measured_gpu_watts


@pytest.fixture
def books() -> Bookkeeper:
    meter = SignalSettings((LiveRegion("west"),), power=PowerMeter("http://prometheus"))
    return Bookkeeper(config(signals=meter), ScaledClock(1.0), Metrics())


def tell(books: Bookkeeper, watts: float, since: float) -> None:
    books._power = Meter(n=NodePower(watts, NOW + since))  # type: ignore[assignment]


def test_a_node_has_the_power_that_was_measured_since_its_pods_are_there(books: Bookkeeper) -> None:
    assert measured(books, 0.0, "p") is None
    tell(books, 500.0, since=10.0)
    assert measured(books, 70.0, "p") == 500.0


def test_power_from_before_a_pod_came_or_left_does_not_count(books: Bookkeeper) -> None:
    measured(books, 0.0, "p")
    tell(books, 500.0, since=10.0)
    assert measured(books, 70.0, "p", "q") is None
    tell(books, 700.0, since=71.0)
    assert measured(books, 140.0, "p", "q") == 700.0
    assert measured(books, 141.0, "q") is None


def test_a_process_that_just_began_does_not_know_which_pods_a_value_is_of(books: Bookkeeper) -> None:
    tell(books, 500.0, since=-1.0)
    assert measured(books, 0.0, "p") is None
