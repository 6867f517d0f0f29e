"""Orders: none is made twice, whatever answer is lost and whenever the process dies."""

import pytest

from autoscaler.live.actuate.orders import ScaleUp, Sequences, known_names, order_name
from autoscaler.live.clock import ManualClock
from autoscaler.live.config import LivePool
from autoscaler.live.guardrails import GuardrailState, after_order
from autoscaler.live.kube.client import ConflictError
from autoscaler.live.objects import MachineView
from autoscaler.live.providers import OutOfStockError, TransientError
from autoscaler.live.providers.recording import RecordingProvider
from tests.live.fake_api import FakeApi, KilledError, killed
from tests.live.views import booting, config, order, view

NOW = 1_000_000.0
SEQUENCES = "/api/v1/namespaces/kube-system/configmaps/green-autoscaler-orders"


class World:
    def __init__(self):
        self.api = FakeApi()
        self.provider = RecordingProvider(lambda: NOW)
        self.restart()

    def restart(self):
        providers = {"a": self.provider, "b": self.provider}
        self.scale_up = ScaleUp(self.api, config(), ManualClock(NOW), providers)

    def order(self, count, known=None, pool="a"):
        seen = self.provider.existing if known is None else known
        return self.scale_up.order(config().pool(pool), count, set(seen))

    def names(self):
        return sorted(self.provider.existing)


@pytest.fixture
def world():
    return World()


def test_so_many_nodes_are_ordered(world):
    ordered = world.order(3)
    assert ordered.error is None
    assert sorted(each.name for each in ordered.orders) == world.names()
    assert len(world.names()) == 3
    assert {each.ordered_seconds for each in ordered.orders} == {NOW}


def test_names_follow_from_pool_and_number(world):
    world.order(2)
    world.order(1)
    assert world.names() == sorted(order_name("a", number) for number in range(3))
    assert world.api.objects[SEQUENCES]["data"] == {"a": "3"}


def test_pools_count_on_their_own(world):
    world.order(2)
    world.order(1, pool="b")
    assert world.api.objects[SEQUENCES]["data"] == {"a": "2", "b": "1"}


@pytest.mark.parametrize("pool", ["gpu", "A100_80GB", "x" * 200, "...", "über", "a.b/c"])
def test_every_name_is_one_that_kubernetes_takes(pool):
    import re

    name = order_name(pool, 7)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 63
    assert name == order_name(pool, 7)
    assert name != order_name(pool, 8)


def test_names_are_never_used_again(world):
    world.order(2)
    gone = world.names()
    world.provider.existing.clear()
    world.order(2)
    assert not set(gone) & set(world.names())


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_lost_answer_is_asked_again_under_the_same_name(world, takes_effect):
    world.provider.fail("create", TransientError("timed out", "a"), after_calls=1, takes_effect=takes_effect)
    first = world.order(3, known=())
    assert isinstance(first.error, TransientError)
    assert len(first.orders) == 1
    # The next decision knows of what was answered only, and still wants three.
    again = world.order(2, known=[each.name for each in first.orders])
    assert again.error is None
    assert len(world.names()) == 3


def test_an_order_of_a_dead_process_that_arrives_late_is_not_made_twice(world):
    """The request of the dead process sits in the queue of a frozen API server and arrives after the new one's list."""
    late = order_name("a", 0)
    instances = world.provider.instances

    def list_then_arrive():
        found = instances()
        world.provider.instances = instances
        world.provider.create(LivePool("a", 10), late)
        return found

    world.provider.instances = list_then_arrive
    assert len(world.order(1, known=()).orders) == 1
    assert world.names() == [late]


def test_what_exists_and_nobody_counted_is_a_part_of_the_order(world):
    world.provider.create(LivePool("a", 10), "lost")
    ordered = world.order(2, known=())
    assert "lost" in [each.name for each in ordered.orders]
    assert len(world.names()) == 2


def test_an_order_stops_at_the_first_failure_and_keeps_what_it_got(world):
    world.provider.fail("create", OutOfStockError("no more H100", "a"), after_calls=2)
    ordered = world.order(5)
    assert isinstance(ordered.error, OutOfStockError)
    assert len(ordered.orders) == 2
    assert world.api.objects[SEQUENCES]["data"] == {"a": "2"}


def test_a_list_that_fails_orders_nothing(world):
    world.provider.fail("instances", TransientError("timed out", ""))
    assert world.order(2).orders == ()
    assert world.names() == []


def test_a_late_write_of_a_dead_process_does_not_turn_the_number_back(world):
    world.order(2)
    version = world.api.objects[SEQUENCES]["metadata"]["resourceVersion"]
    world.order(2)
    with pytest.raises(ConflictError):
        Sequences(world.api, "kube-system").advance("a", 1, version)
    assert world.api.objects[SEQUENCES]["data"] == {"a": "4"}


def test_a_number_that_somebody_else_moved_on_is_an_error_and_no_second_order(world):
    world.order(1)

    def race(method, path):
        if path == SEQUENCES:
            world.api.before = lambda *_: None
            world.api.put(SEQUENCES, world.api.objects[SEQUENCES])

    world.api.before = race
    ordered = world.order(2)
    assert isinstance(ordered.error, TransientError)
    assert len(ordered.orders) == 2
    assert len(world.names()) == 3


def test_a_damaged_number_starts_anew_and_skips_what_exists(world):
    world.order(2)
    world.api.objects[SEQUENCES]["data"]["a"] = "many"
    world.order(1)
    assert len(world.names()) == 3


@pytest.mark.parametrize("place", ["before a create", "after a create", "before a write", "after a write"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_process_that_dies_anywhere_orders_nothing_twice(world, place, count, at):
    calls = iter(range(1000))
    create = world.provider.create

    def dying(pool, name):
        dies = next(calls) == at
        if dies and place == "before a create":
            killed()
        made = create(pool, name)
        if dies and place == "after a create":
            killed()
        return made

    def die(method, path):
        if next(calls) == at:
            killed()

    if place.endswith("create"):
        world.provider.create = dying
    else:
        setattr(world.api, place.split()[0], die)
    try:
        world.order(count, known=())
    except KilledError:
        world.provider.create = create
        world.api.before = world.api.after = lambda *_: None
        world.restart()
    # The new process looks at the cluster, so its decision counts what is there.
    missing = count - len(world.names())
    if missing > 0:
        world.order(missing)
    assert len(world.names()) == count


def test_what_a_decision_counted():
    claim = MachineView(name="claim", uid="u", pool="a", node_name="n")
    state = after_order(GuardrailState(), order("hidden"))
    cluster = view([booting("n")], orders=[order("coming")], machines=(claim,))
    assert known_names(cluster, state) == {"n", "coming", "claim", "hidden"}
