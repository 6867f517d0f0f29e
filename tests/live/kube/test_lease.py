"""The lock and its fence, on a clock that the test moves."""

import copy
import threading

import pytest

from autoscaler.live.config import LeaderElection
from autoscaler.live.kube.lease import LeaseLock, LeaseLostError, LeaseStoreError


class Elapsed:
    """Elapsed seconds that a test moves."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


class Store:
    """A Lease with optimistic concurrency, as the API server keeps it, that can freeze."""

    def __init__(self, elapsed):
        self.lease = None
        self.version = 0
        self.elapsed = elapsed
        self.frozen = False
        self.answer_seconds = 0.0
        self.writes = []

    def _call(self, timeout_seconds):
        assert timeout_seconds > 0.0
        if self.frozen:
            self.elapsed.seconds += timeout_seconds
            raise LeaseStoreError("timed out")
        self.elapsed.seconds += self.answer_seconds

    def read(self, timeout_seconds):
        self._call(timeout_seconds)
        return copy.deepcopy(self.lease)

    def _store(self, lease):
        self.version += 1
        self.lease = copy.deepcopy(lease)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        self.writes.append(self.lease["spec"]["holderIdentity"])
        return copy.deepcopy(self.lease)

    def create(self, lease, timeout_seconds):
        self._call(timeout_seconds)
        if self.lease is not None:
            raise LeaseStoreError("exists")
        return self._store(lease)

    def replace(self, lease, timeout_seconds):
        self._call(timeout_seconds)
        if lease["metadata"].get("resourceVersion") != self.lease["metadata"]["resourceVersion"]:
            raise LeaseStoreError("conflict")
        return self._store(lease)


@pytest.fixture
def elapsed():
    return Elapsed()


@pytest.fixture
def store(elapsed):
    return Store(elapsed)


def lock(store, elapsed, identity="a", config=None):
    return LeaseLock(store, config or LeaderElection(), identity, elapsed)


def test_defaults_are_those_of_cluster_autoscaler():
    config = LeaderElection()
    assert (config.lease_seconds, config.renew_deadline_seconds, config.retry_seconds) == (15, 10.0, 2.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"renew_deadline_seconds": 15.0}, "leader_election"),
        ({"renew_deadline_seconds": 20.0}, "leader_election"),
        ({"renew_deadline_seconds": 0.0}, "leader_election"),
        ({"retry_seconds": 10.0}, "leader_election"),
        ({"request_timeout_seconds": 4.5}, "leader_election.request_timeout_seconds"),
        ({"request_timeout_seconds": 0.0}, "leader_election.request_timeout_seconds"),
    ],
)
def test_times_that_cannot_be_safe_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LeaderElection(**settings)


def test_the_first_candidate_creates_the_lease_and_leads(store, elapsed):
    first = lock(store, elapsed)
    assert not first.held
    assert first.attempt()
    first.check()
    assert store.lease["spec"]["holderIdentity"] == "a"
    assert store.lease["spec"]["leaseDurationSeconds"] == 15
    assert store.lease["spec"]["leaseTransitions"] == 0
    assert first.remaining_seconds() == 10.0


def test_a_candidate_that_never_held_it_may_not_write(store, elapsed):
    with pytest.raises(LeaseLostError, match="does not hold the lease"):
        lock(store, elapsed).check()


def test_a_second_candidate_waits_for_the_full_duration_of_what_it_saw(store, elapsed):
    first, second = lock(store, elapsed), lock(store, elapsed, "b")
    assert first.attempt()
    assert not second.attempt()
    elapsed.seconds += 15.0
    assert not second.attempt()
    elapsed.seconds += 0.1
    assert second.attempt()
    assert store.lease["spec"]["leaseTransitions"] == 1
    assert not first.held


def test_a_renewal_makes_the_candidate_wait_anew(store, elapsed):
    first, second = lock(store, elapsed), lock(store, elapsed, "b")
    first.attempt()
    for _ in range(20):
        elapsed.seconds += 2.0
        assert first.attempt()
        assert not second.attempt()


def test_the_duration_that_counts_is_the_one_its_holder_promised(store, elapsed):
    long = LeaderElection(lease_seconds=60)
    first, second = lock(store, elapsed, "a", long), lock(store, elapsed, "b")
    first.attempt()
    second.attempt()
    elapsed.seconds += 59.0
    assert not second.attempt()


def test_the_fence_starts_when_the_renewal_was_sent_not_when_it_was_answered(store, elapsed):
    store.answer_seconds = 3.0
    first = lock(store, elapsed)
    assert first.attempt()
    assert first.remaining_seconds() == 7.0


def test_a_frozen_server_makes_the_leader_stop_before_a_candidate_may_start(store, elapsed):
    first, second = lock(store, elapsed), lock(store, elapsed, "b")
    first.attempt()
    second.attempt()
    renewed = elapsed.seconds
    store.frozen = True
    while first.attempt():
        elapsed.seconds += 2.0
    stopped = elapsed.seconds
    store.frozen = False
    assert stopped - renewed < 15.0
    while not second.attempt():
        elapsed.seconds += 0.5
    assert elapsed.seconds - renewed > 15.0
    with pytest.raises(LeaseLostError):
        first.check()


def test_a_lost_lock_never_comes_back(store, elapsed):
    first = lock(store, elapsed)
    first.attempt()
    elapsed.seconds += 10.0
    writes = len(store.writes)
    assert not first.attempt()
    assert not first.held
    assert len(store.writes) == writes, "it must not renew what it has lost"


def test_an_answer_that_comes_after_the_fence_is_too_late(store, elapsed):
    first = lock(store, elapsed)
    first.attempt()
    store.answer_seconds = 6.0
    assert not first.attempt()


def test_a_read_that_takes_too_long_is_followed_by_no_write(store, elapsed):
    first = lock(store, elapsed)
    first.attempt()
    store.answer_seconds = 11.0
    writes = len(store.writes)
    assert not first.attempt()
    assert len(store.writes) == writes


def test_a_candidate_stops_when_it_sees_another_holder(store, elapsed):
    first, second = lock(store, elapsed), lock(store, elapsed, "b")
    first.attempt()
    store.lease["spec"]["holderIdentity"] = "c"
    store.lease["metadata"]["resourceVersion"] = "99"
    assert not first.attempt()
    assert not second.attempt()


def test_two_candidates_of_an_expired_lease_cannot_both_win(store, elapsed):
    store.create({"metadata": {}, "spec": {"holderIdentity": "gone", "leaseDurationSeconds": 15}}, timeout_seconds=1.0)
    second, third = lock(store, elapsed, "b"), lock(store, elapsed, "c")
    second.attempt()
    third.attempt()
    elapsed.seconds += 16.0
    read = store.read

    def stale_read(timeout_seconds):
        lease = read(timeout_seconds)
        store.read = read
        assert third.attempt()
        return lease

    store.read = stale_read
    assert not second.attempt()
    assert third.held


def test_release_lets_the_next_one_start_at_once(store, elapsed):
    first, second = lock(store, elapsed), lock(store, elapsed, "b")
    first.attempt()
    second.attempt()
    first.release()
    assert not first.held
    assert store.lease["spec"]["holderIdentity"] == ""
    assert second.attempt()


def test_release_leaves_a_lease_alone_that_another_one_holds(store, elapsed):
    first, second = lock(store, elapsed), lock(store, elapsed, "b")
    first.attempt()
    second.attempt()
    elapsed.seconds += 15.5
    assert second.attempt()
    first.release()
    assert store.lease["spec"]["holderIdentity"] == "b"


def test_release_on_a_frozen_server_returns(store, elapsed):
    first = lock(store, elapsed)
    first.attempt()
    store.frozen = True
    first.release()
    assert not first.held


@pytest.mark.parametrize(
    "spec", [None, {}, {"holderIdentity": None}, {"holderIdentity": "x", "leaseDurationSeconds": "?"}]
)
def test_an_odd_lease_is_no_crash(store, elapsed, spec):
    store.create({"metadata": {}, "spec": {"holderIdentity": "x"}}, timeout_seconds=1.0)
    store.lease["spec"] = spec
    candidate = lock(store, elapsed)
    if not candidate.attempt():
        elapsed.seconds += 15.5
        assert candidate.attempt()
    assert store.lease["spec"]["holderIdentity"] == "a"


def test_the_thread_renews_and_reports_the_loss_once():
    store = Store(Elapsed())
    config = LeaderElection(
        lease_seconds=1, renew_deadline_seconds=0.3, retry_seconds=0.05, request_timeout_seconds=0.1
    )
    holder = LeaseLock(store, config, "a")
    assert holder.acquire(threading.Event())
    lost = threading.Event()
    holder.keep(lost.set)
    assert not lost.wait(0.6), "it renews for as long as the server answers"
    assert len(store.writes) > 3
    store.frozen = True
    assert lost.wait(5.0)
    assert not holder.held
    holder.release()


def test_acquire_gives_up_when_asked_to_stop(store, elapsed):
    lock(store, elapsed).attempt()
    stop = threading.Event()
    stop.set()
    assert not lock(store, elapsed, "b").acquire(stop)
