"""Removals on the real control plane: their order, the answers of evictions, and a process that dies at any write."""

import time
from collections.abc import Callable, Iterator

import pytest

from autoscaler.live.actuate.removal import Outcome, RemovalMachine, Report
from autoscaler.live.clock import ScaledClock
from autoscaler.live.kube.client import KubeClient
from autoscaler.live.providers import make_providers
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_support import (
    KilledError,
    MortalClient,
    exists,
    live_config,
    mortal_client,
    pool_node,
    removal_marks,
    removal_of,
    replica_set,
)
from tests.cluster.waiting import PATIENCE_SECONDS

POD = "/api/v1/namespaces/default/pods/{}".format
NODE = "/api/v1/nodes/{}".format


@pytest.fixture
def client(cluster: ControlPlane) -> Iterator[MortalClient]:
    with mortal_client(cluster.kubeconfig) as made:
        yield made


class Removing:
    """A machine, what it reported, and a way to let it run."""

    def __init__(self, client: KubeClient, **times: float) -> None:
        self.reports: list[Report] = []
        config, clock = live_config(**times), ScaledClock()
        providers = make_providers(client, config, clock)
        self.machine = RemovalMachine(client, config, clock, providers, self.reports.append)

    def run(self, until: Callable[[], bool] | None = None, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Advance until `until`, or until nothing is under way."""
        deadline = time.monotonic() + timeout_seconds
        while not (until() if until else not self.machine.under_way):
            assert time.monotonic() < deadline, f"{self.machine.under_way} after {self.outcomes[-10:]}"
            self.machine.advance()
            time.sleep(0.05)

    @property
    def outcomes(self) -> list[tuple[Outcome, str]]:
        return [(report.outcome, report.about.name) for report in self.reports]


def is_untouched(cluster: ControlPlane, name: str) -> bool:
    return removal_marks(cluster.node(name)) == (False, False)


def test_an_empty_node_goes_after_5_seconds_in_which_it_takes_no_pod(
    cluster: ControlPlane, client: MortalClient
) -> None:
    pool_node(cluster, "n")
    removing = Removing(client, taint_wait_seconds=5.0)
    started = time.monotonic()
    removing.machine.start([removal_of(cluster, "n")])
    assert removal_marks(cluster.node("n")) == (True, True)
    cluster.create_pod("late", gpus=1)
    removing.run()
    assert time.monotonic() - started >= 5.0
    assert not exists(client, NODE("n"))
    assert cluster.pods()[0]["spec"].get("nodeName") is None
    assert removing.outcomes == [(Outcome.STARTED, "n"), (Outcome.REMOVED, "n")]


def test_a_node_that_received_a_pod_before_the_taint_is_given_back(cluster: ControlPlane, client: MortalClient) -> None:
    pool_node(cluster, "n")
    chosen = removal_of(cluster, "n")
    cluster.create_pod("lucky", gpus=1)
    cluster.wait_for_pod("lucky", "Running")
    removing = Removing(client)
    removing.machine.start([chosen])
    removing.run()
    assert is_untouched(cluster, "n")
    assert removing.outcomes[-1] == (Outcome.UNDONE, "n")
    assert exists(client, POD("lucky"))


def test_pods_are_evicted_before_the_node_goes_and_are_made_again(cluster: ControlPlane, client: MortalClient) -> None:
    pool_node(cluster, "n")
    name = replica_set(cluster, "web", "n")
    removing = Removing(client)
    removing.machine.start([removal_of(cluster, "n", drain=True)])
    removing.run()
    assert not exists(client, NODE("n"))
    assert not exists(client, POD(name))
    assert removing.outcomes == [
        (Outcome.STARTED, "n"),
        (Outcome.EVICTED, name),
        (Outcome.REMOVED, "n"),
    ]
    cluster.wait_until(lambda: len(cluster.pods("app=web")) == 1, "its ReplicaSet made it again")


def test_it_waits_for_pods_that_take_their_time_to_end(cluster: ControlPlane, client: MortalClient) -> None:
    pool_node(cluster, "n")
    slow = {"autoscaler.green/termination-seconds": "4.000"}
    name = replica_set(cluster, "web", "n", annotations=slow)
    removing = Removing(client)
    removing.machine.start([removal_of(cluster, "n", drain=True)])
    evictions: list[float] = []
    client.before = lambda method, path: evictions.append(time.monotonic()) if path.endswith("/eviction") else None
    removing.run(lambda: (Outcome.EVICTED, name) in removing.outcomes)
    assert exists(client, NODE("n"))
    removing.run()
    assert time.monotonic() - evictions[0] >= 4.0
    assert [outcome for outcome, _ in removing.outcomes].count(Outcome.EVICTED) == 1


def test_a_budget_without_disruptions_left_keeps_the_node(cluster: ControlPlane, client: MortalClient) -> None:
    pool_node(cluster, "n")
    name = replica_set(cluster, "web", "n")
    cluster.create_disruption_budget("guard", {"app": "web"})
    removing = Removing(client)
    removing.machine.start([removal_of(cluster, "n", drain=True)])
    removing.run()
    assert is_untouched(cluster, "n")
    assert exists(client, POD(name))
    assert "PodDisruptionBudget" in removing.reports[-1].reason


def test_a_budget_that_comes_at_the_last_moment_is_429_and_undoes_it_in_time(
    cluster: ControlPlane, client: MortalClient
) -> None:
    pool_node(cluster, "n")
    name = replica_set(cluster, "web", "n")
    removing = Removing(client, eviction_timeout_seconds=1.0)

    def guard(method: str, path: str) -> None:
        if path.endswith("/eviction"):
            client.survive()
            cluster.create_disruption_budget("guard", {"app": "web"})

    client.before = guard
    removing.machine.start([removal_of(cluster, "n", drain=True)])
    removing.run()
    assert is_untouched(cluster, "n")
    assert exists(client, POD(name))
    assert "not evicted in 1 s: 429" in removing.reports[-1].reason


def test_two_budgets_that_come_at_the_last_moment_are_500_and_undo_it_at_once(
    cluster: ControlPlane, client: MortalClient
) -> None:
    pool_node(cluster, "n")
    name = replica_set(cluster, "web", "n")
    # It would be tried again for longer than this test waits, if 500 were like 429.
    removing = Removing(client, eviction_timeout_seconds=2.0 * PATIENCE_SECONDS)

    def guard(method: str, path: str) -> None:
        if path.endswith("/eviction"):
            client.survive()
            for budget in ("one", "two"):
                cluster.create_disruption_budget(budget, {"app": "web"}, max_unavailable=1)

    client.before = guard
    removing.machine.start([removal_of(cluster, "n", drain=True)])
    removing.run()
    assert is_untouched(cluster, "n")
    assert exists(client, POD(name))
    assert removing.reports[-1].reason.startswith("500")


def test_an_eviction_that_means_another_pod_of_the_same_name_is_409_and_harms_nobody(
    cluster: ControlPlane, client: MortalClient
) -> None:
    pool_node(cluster, "n")
    pool_node(cluster, "other")
    safe = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}
    cluster.create_pod("p", gpus=1, annotations=safe, spec={"nodeName": "n"})
    cluster.wait_for_pod("p", "Running")

    def replace(method: str, path: str) -> None:
        if path.endswith("/eviction"):
            client.survive()
            cluster.request("DELETE", POD("p"), {"gracePeriodSeconds": 0})
            cluster.create_pod("p", gpus=1, spec={"nodeName": "other"})

    client.before = replace
    removing = Removing(client)
    removing.machine.start([removal_of(cluster, "n", drain=True)])
    removing.run()
    assert not exists(client, NODE("n"))
    assert cluster.wait_for_pod("p", "Running")["spec"]["nodeName"] == "other"


def test_a_pod_that_is_gone_already_is_404_and_no_obstacle(cluster: ControlPlane, client: MortalClient) -> None:
    pool_node(cluster, "n")
    name = replica_set(cluster, "web", "n")

    def vanish(method: str, path: str) -> None:
        if path.endswith("/eviction"):
            client.survive()
            cluster.request("DELETE", POD(name), {"gracePeriodSeconds": 0})

    client.before = vanish
    removing = Removing(client)
    removing.machine.start([removal_of(cluster, "n", drain=True)])
    removing.run()
    assert not exists(client, NODE("n"))


@pytest.mark.parametrize("guarded", [False, True], ids=["nothing protected", "a protected pod arrives"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", range(5))
def test_a_process_that_dies_around_any_write_loses_nothing(
    cluster: ControlPlane, client: MortalClient, when: str, write: int, guarded: bool
) -> None:
    """Taint, evicting, eviction, deleting, delete: five writes. The next process finds what this one left."""
    pool_node(cluster, "n")
    name = replica_set(cluster, "web", "n")
    client.die_at(when, write)
    try:
        removing = Removing(client)
        removing.machine.start([removal_of(cluster, "n", drain=True)])
        if guarded:
            # A bare pod: evicted, it would be lost. It arrives before the look that follows the wait.
            cluster.create_pod("guard", gpus=0, spec={"nodeName": "n"})
        removing.run()
        died = False
    except KilledError:
        died = True
    assert died or guarded
    if guarded and not exists(client, POD("guard")):
        cluster.create_pod("guard", gpus=0, spec={"nodeName": "n"})
    if died:
        removing = Removing(client)
        removing.machine.recover()
        removing.run()
    if guarded:
        assert is_untouched(cluster, "n")
        assert exists(client, POD("guard"))
        assert exists(client, POD(name))
    elif exists(client, NODE("n")):
        assert (when, write) == ("before", 0), "only a process that died before its first write leaves the node"
        assert is_untouched(cluster, "n")


def test_a_pod_that_tolerates_every_taint_and_comes_back_ends_the_removal(
    cluster: ControlPlane, client: MortalClient
) -> None:
    """Its ReplicaSet makes it again and the scheduler puts it there again: that must not go on for ever."""
    pool_node(cluster, "n")
    # While it ends, the next one comes: a node that is empty for a moment would be deleted, and rightly so.
    slow = {"autoscaler.green/termination-seconds": "5.000"}
    replica_set(cluster, "web", "n", annotations=slow, spec={"tolerations": [{"operator": "Exists"}]})
    removing = Removing(client)
    removing.machine.start([removal_of(cluster, "n", drain=True)])
    removing.run()
    assert is_untouched(cluster, "n")
    assert "in spite of the taint" in removing.reports[-1].reason


def test_a_restart_long_after_gives_the_node_back(cluster: ControlPlane, client: MortalClient) -> None:
    pool_node(cluster, "n")
    removing = Removing(client)
    removing.machine.start([removal_of(cluster, "n")])
    old = {"metadata": {"annotations": {"autoscaler.green/removal-step": "tainted empty 1000.000"}}}
    cluster.request("PATCH", NODE("n"), old, content_type="application/merge-patch+json")
    after = Removing(client)
    after.machine.recover()
    after.run()
    assert is_untouched(cluster, "n")


def test_a_frozen_api_server_only_delays_a_removal(cluster: ControlPlane, client: MortalClient) -> None:
    pool_node(cluster, "n")
    removing = Removing(client)
    removing.machine.start([removal_of(cluster, "n")])
    time.sleep(0.6)
    client.timeout_seconds = 1.0
    with cluster.frozen_api_server():
        removing.machine.advance()
        assert removing.machine.under_way == ("n",)
    client.timeout_seconds = 10.0
    removing.run()
    assert not exists(client, NODE("n"))
