"""The Lease on the real API server: who leads, and what a frozen server does to that."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from autoscaler.live.client import KubeClient, KubeError, connect
from autoscaler.live.config import LeaderElection
from autoscaler.live.lease import KubeLeaseStore, LeaseLock, LeaseLostError
from tests.cluster.control_plane import ControlPlane

DEFAULTS = LeaderElection()
QUICK = LeaderElection(lease_seconds=2, renew_deadline_seconds=1.2, retry_seconds=0.2, request_timeout_seconds=0.4)
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
        self.thread.join(30.0)
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


def wait_for(condition, what: str, timeout_seconds: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {timeout_seconds} s: {what}"
        time.sleep(0.01)


def test_one_leads_and_the_other_waits(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    one.thread.start()
    wait_for(lambda: one.led_at, "one leads")
    two.thread.start()
    time.sleep(2.0 * QUICK.lease_seconds)
    assert one.lock.held
    assert not two.lock.held
    assert two.acted == []


def test_a_release_lets_the_other_start_before_the_lease_expires(replicas: tuple[Replica, Replica]) -> None:
    one, two = replicas
    one.thread.start()
    wait_for(lambda: one.led_at, "one leads")
    two.thread.start()
    time.sleep(0.5)
    released = time.monotonic()
    one.end()
    wait_for(lambda: two.led_at, "two leads")
    assert two.led_at is not None
    assert two.led_at - released < 1.0


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


@pytest.mark.parametrize(
    ("replicas", "frozen_seconds"),
    [(QUICK, 4.0), (DEFAULTS, 20.0)],
    indirect=["replicas"],
    ids=["quick", "15 s, 10 s, 2 s"],
)
def test_the_leader_stops_acting_before_another_starts_when_the_api_server_freezes(
    cluster: ControlPlane, replicas: tuple[Replica, Replica], frozen_seconds: float
) -> None:
    one, two = replicas
    settings = one.settings
    one.thread.start()
    wait_for(lambda: len(one.acted) > 3, "one acts")
    two.thread.start()
    time.sleep(2.0 * settings.retry_seconds)
    frozen = time.monotonic()
    with cluster.frozen_api_server():
        time.sleep(frozen_seconds)
        assert one.lost_at is not None, "it stops while the server is still frozen"
        assert one.lost_at - frozen <= settings.renew_deadline_seconds + settings.request_timeout_seconds + 0.5
        assert two.led_at is None
    wait_for(lambda: two.acted, "two acts", timeout_seconds=2.0 * settings.lease_seconds)
    assert one.acted[-1] < two.acted[0]
    assert not one.lock.held
    time.sleep(1.0)
    written = cluster.request("GET", "/api/v1/namespaces/default/configmaps/written")
    assert written["data"]["by"] == "two", "what the new leader writes prevails"


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
