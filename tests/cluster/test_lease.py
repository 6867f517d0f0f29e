"""The Lease on the real API server: who leads, and what a frozen server does to that."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from autoscaler.live.config import LeaderElection
from autoscaler.live.kube.client import KubeClient, KubeError, connect
from autoscaler.live.kube.lease import KubeLeaseStore, LeaseLock, LeaseLostError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.waiting import PATIENCE_SECONDS, wait_until

DEFAULTS = LeaderElection()
QUICK = LeaderElection(lease_seconds=6, renew_deadline_seconds=4.0, retry_seconds=0.3, request_timeout_seconds=1.5)
WRITE_SECONDS = 0.05


@dataclass
class Replica:
    """A process that leads, acts for as long as it may, and notes when it acted."""

    client: KubeClient
    name: str
    settings: LeaderElection
    acted: list[float] = field(default_factory=list)
    led_at: float | None = None
    lost_at: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.lock = LeaseLock(KubeLeaseStore(self.client, self.settings), self.settings, self.name)
        gap = self.settings.lease_seconds - self.settings.renew_deadline_seconds
        self.fenced = self.client.fenced(self.lock.check, gap)
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def _run(self) -> None:
        if not self.lock.acquire(self.stop):
            return
        self.led_at = time.monotonic()
        self.lock.keep(lambda: None)
        while not self.stop.wait(WRITE_SECONDS):
            try:
                self.lock.check()
                self.acted.append(time.monotonic())
                self._write()
            except LeaseLostError:
                self.lost_at = time.monotonic()
                return
            except KubeError:
                continue  # the write has no answer; whether there will be another one, the lock says

    def _write(self) -> None:
        body = {"metadata": {"name": "written"}, "data": {"by": self.name, "at": str(time.monotonic())}}
        try:
            self.fenced.patch("/api/v1/namespaces/default/configmaps/written", body)
        except KubeError as error:
            if error.status != 404:
                raise
            self.fenced.create("/api/v1/namespaces/default/configmaps", body)

    def end(self) -> None:
        """Stop, and give the Lease back."""
        self.stop.set()
        self.thread.join(PATIENCE_SECONDS)
        self.lock.release()


@pytest.fixture
def replicas(cluster: ControlPlane, request: pytest.FixtureRequest) -> Iterator[tuple[Replica, Replica]]:
    settings = getattr(request, "param", QUICK)
    clients = [connect(str(cluster.kubeconfig)) for _ in range(2)]
    made = tuple(Replica(client, name, settings) for client, name in zip(clients, ("one", "two"), strict=True))
    yield made[0], made[1]
    for replica, client in zip(made, clients, strict=True):
        replica.end()
        client.close()


def wait_for(condition, what: str) -> None:
    wait_until(condition, what, poll_seconds=0.01)


def test_one_leads_and_the_other_waits(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    one.thread.start()
    wait_for(lambda: one.led_at, "one leads")
    two.thread.start()
    time.sleep(1.5 * QUICK.lease_seconds)
    assert one.lock.held
    assert not two.lock.held
    assert two.acted == []


def test_a_release_lets_the_other_start_before_the_lease_expires(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    one.thread.start()
    wait_for(lambda: one.led_at, "one leads")
    two.thread.start()
    time.sleep(2.0 * QUICK.retry_seconds)
    released = time.monotonic()
    one.end()
    wait_for(lambda: two.led_at, "two leads")
    assert two.led_at is not None
    assert two.led_at - released < QUICK.lease_seconds


def test_a_dead_leader_is_replaced_when_its_lease_expires(cluster: ControlPlane) -> None:
    clients = [connect(str(cluster.kubeconfig)) for _ in range(2)]
    dead = LeaseLock(KubeLeaseStore(clients[0], QUICK), QUICK, "dead")
    assert dead.attempt()
    died = time.monotonic()
    heir = LeaseLock(KubeLeaseStore(clients[1], QUICK), QUICK, "heir")
    assert heir.acquire(threading.Event())
    assert time.monotonic() - died > QUICK.lease_seconds
    assert not dead.held
    lease = cluster.request("GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/green-autoscaler")
    assert lease["spec"]["holderIdentity"] == "heir"
    assert lease["spec"]["leaseTransitions"] == 1
    heir.release()
    for client in clients:
        client.close()


@pytest.mark.parametrize("replicas", [QUICK, DEFAULTS], indirect=True, ids=["quick", "15 s, 10 s, 2 s"])
def test_the_leader_stops_acting_before_another_starts_when_the_api_server_freezes(
    cluster: ControlPlane, replicas: tuple[Replica, Replica]
) -> None:
    one, two = replicas
    settings = one.settings
    one.thread.start()
    wait_for(lambda: len(one.acted) > 3, "one acts")
    two.thread.start()
    time.sleep(2.0 * settings.retry_seconds)
    frozen = time.monotonic()
    with cluster.frozen_api_server():
        wait_for(lambda: one.lost_at, "one stops while the server is still frozen")
        # Whoever acts has just asked the lock: its last write began before the deadline.
        assert one.acted[-1] - frozen < settings.lease_seconds
        assert two.led_at is None
        # Then the other may lead at once, and what one sent last is still on its way.
        time.sleep(max(0.0, frozen + settings.lease_seconds + 1.0 - time.monotonic()))
    wait_for(lambda: two.acted, "two acts")
    assert one.acted[-1] < two.acted[0]
    assert not one.lock.held
    wait_for(lambda: written_by(cluster) == "two", "two has written")
    time.sleep(1.0)
    assert written_by(cluster) == "two", "what the new leader writes prevails"


def written_by(cluster: ControlPlane) -> str:
    return str(cluster.request("GET", "/api/v1/namespaces/default/configmaps/written")["data"]["by"])


def test_a_short_freeze_costs_nobody_the_lead(cluster: ControlPlane, replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    one.thread.start()
    wait_for(lambda: one.led_at, "one leads")
    two.thread.start()
    with cluster.frozen_api_server():
        time.sleep(0.4)
    time.sleep(QUICK.lease_seconds + 1.0)
    assert one.lock.held
    assert two.led_at is None
