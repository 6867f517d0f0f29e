"""`autoscaler deploy`, killed again and again from the first order to the last removal."""

import time
from functools import partial
from pathlib import Path

from autoscaler.live.names import METRIC_GUARDRAIL, METRIC_SCALED_UP
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, QUICK_LEASE, Command, deployed, live_settings
from tests.cluster.live_support import removal_marks

PATIENCE_SECONDS = 1800.0
FIRST_LIFE_SECONDS, GROWTH = 0.2, 1.25


def leads(command: Command) -> bool:
    return command.metric("green_autoscaler_leader") == 1.0


def leads_or_ended(command: Command) -> bool:
    """A machine so slow that the Lease could not be renewed in time ends a process too; the next one goes on."""
    return command.ended or leads(command)


def test_a_process_that_is_killed_every_few_seconds_loses_no_node_and_orders_none_twice(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    seen: set[str] = set()
    cluster.create_gang_job("gang", pods=3, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
    deadline = time.monotonic() + PATIENCE_SECONDS
    lives = 0
    while True:
        lives += 1
        command = Command(cluster.kubeconfig, tmp_path / f"log-{lives}", *QUICK_LEASE, arguments=["--no-dry-run"])
        try:
            cluster.wait_until(partial(leads_or_ended, command), "it leads, or ended")
            # Each process lives longer than the one before, so that they die at different steps, and so that in the end
            # one lives long enough for any step, however slow the machine is.
            end = time.monotonic() + FIRST_LIFE_SECONDS * GROWTH ** (lives - 1)
            while time.monotonic() < end:
                nodes = cluster.request("GET", "/api/v1/nodes")["items"]
                seen |= {node["metadata"]["name"] for node in nodes}
                time.sleep(0.05)
        finally:
            command.kill()
        nodes = cluster.request("GET", "/api/v1/nodes")["items"]
        status = cluster.request("GET", "/apis/batch/v1/namespaces/default/jobs/gang")["status"]
        assert not status.get("failed"), "a pod was evicted or lost its node"
        if status.get("succeeded") == 3 and not nodes:
            break
        assert time.monotonic() < deadline, [(node["metadata"]["name"], removal_marks(node)) for node in nodes]
    assert lives >= 3, "the work must take a few lives, or this shows nothing"
    assert len(seen) == 3, "three nodes were needed"


def test_a_restart_keeps_the_cooldown_after_a_scale_up(cluster: ControlPlane) -> None:
    """The first process orders; in the second one the idle node stays, because nodes were ordered not long ago."""
    config = live_settings("pools.0.max_nodes=1", "guardrails.cooldowns.after_scale_up_seconds=36000.0")
    with deployed(cluster, config) as first:
        cluster.create_gang_job("job", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        cluster.wait_for_job("job")
        assert first.process.metrics.value(METRIC_SCALED_UP, "gpu") == 1
    with deployed(cluster, config) as second:
        bites = second.process.metrics
        cluster.wait_until(lambda: bites.value(METRIC_GUARDRAIL, "after-scale-up") >= 1, "the cooldown holds it")
        assert bites.value(METRIC_SCALED_UP, "gpu") == 0
        assert len(cluster.request("GET", "/api/v1/nodes")["items"]) == 1
