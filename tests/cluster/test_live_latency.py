"""At the pace of the clock: how soon after a Job its node is ordered, and how soon after its node a pod has it.

All times are those at which the API server told a watch. The decision interval is ten minutes here and nothing resyncs
before, so whatever waited for an interval would fail by far; the bounds leave room for a slow machine all the same.
"""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

from autoscaler.live.clock import ScaledClock
from autoscaler.live.kube.client import connect
from autoscaler.live.view.store import Resource
from tests.cluster import progress
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, deployed, live_settings
from tests.cluster.trace_replay import watched
from tests.cluster.witness import Witness

LIVE = live_settings(
    "clock.time_scale=1.0",
    "pools.0.boot_seconds=4.0",
    "pools.0.max_nodes=20",
    "decision_interval_seconds=600.0",
    "resync_interval_seconds=600.0",
)
JOBS = 6
LONGEST_MEDIAN_SECONDS = 8.0


@contextmanager
def witness_of(cluster: ControlPlane) -> Iterator[Witness]:
    """Sees nodes and pods of a cluster while the block runs."""
    client, witness = connect(str(cluster.kubeconfig)), Witness(ScaledClock())
    watchers = watched(client, witness, Resource.NODES)
    try:
        yield witness
    finally:
        for watcher in watchers:
            watcher.stop()
        client.close()


def submit(cluster: ControlPlane, witness: Witness, name: str, pods: int, gpus: int = 8) -> float:
    """Create a Job; when it was there."""
    cluster.create_gang_job(name, pods=pods, gpus_per_pod=gpus, pod_spec=GATED)
    return witness.clock.now()


def bound(cluster: ControlPlane, witness: Witness, name: str, pods: int) -> float:
    """When the last pod of a Job got its node."""
    return cluster.wait_until(lambda: witness.bound_at(name, pods), f"{name} has its nodes")


def told(what: str, seconds: list[float]) -> float:
    """Print the median and the most, and return the median."""
    median = statistics.median(seconds)
    progress.say(f"{what}: median {median:.2f} s, most {max(seconds):.2f} s of {len(seconds)}")
    return median


def test_orders_and_placements_wait_for_no_interval(cluster: ControlPlane) -> None:
    """Each Job needs a node of its own, and comes as soon as the one before it runs."""
    ordered, started = [], []
    with witness_of(cluster) as witness, deployed(cluster, LIVE):
        for number in range(JOBS):
            known = set(witness.machines)
            created = submit(cluster, witness, f"job-{number}", 1)
            runs = bound(cluster, witness, f"job-{number}", 1)
            (machine,) = (each for uid, each in witness.machines.items() if uid not in known)
            assert machine.usable is not None
            ordered.append(machine.seen - created)
            started.append(runs - machine.usable)
    assert told("Job created to node ordered", ordered) < LONGEST_MEDIAN_SECONDS
    assert told("node ready to pod bound", started) < LONGEST_MEDIAN_SECONDS


def test_a_gang_goes_when_its_last_node_is_ready(cluster: ControlPlane) -> None:
    """Each needs two nodes of its own, which boot."""
    started = []
    with witness_of(cluster) as witness, deployed(cluster, LIVE):
        for number in range(3):
            submit(cluster, witness, f"gang-{number}", 2)
            runs = bound(cluster, witness, f"gang-{number}", 2)
            ready = [each.usable for each in witness.machines.values() if each.usable is not None]
            started.append(runs - max(ready))
            assert len(witness.machines) == 2 * (number + 1)
    assert told("last node of a gang ready to its last pod bound", started) < LONGEST_MEDIAN_SECONDS


def test_what_fits_on_a_ready_node_starts_at_once(cluster: ControlPlane) -> None:
    """Also in a burst: all are placed on nodes that are there, one settle pause after another."""
    with witness_of(cluster) as witness, deployed(cluster, LIVE):
        submit(cluster, witness, "first", 1, gpus=1)
        bound(cluster, witness, "first", 1)
        created = {f"burst-{number}": submit(cluster, witness, f"burst-{number}", 1, gpus=1) for number in range(7)}
        waited = [bound(cluster, witness, name, 1) - at for name, at in created.items()]
        assert len(witness.machines) == 1
    assert told("Job created to pod bound on a ready node", waited) < LONGEST_MEDIAN_SECONDS
