"""`autoscaler deploy` on the real control plane: from a queue to nodes and back to none."""

import logging
import re
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from autoscaler.cli import main
from autoscaler.live import names
from autoscaler.live.config import LeaderElection, LiveConfig
from autoscaler.live.view.submissions import milliseconds
from envs.gpu_cluster.codec import ClusterSnapshot
from tests.cluster import karpenter as manifests
from tests.cluster.control_plane import ControlPlane
from tests.cluster.kubeconfig import write_kubeconfig
from tests.cluster.live_process import GATED, QUICK_LEASE, Command, Running, deployed, live_settings
from tests.parity.live_state import simulated_snapshot

NODES = "/api/v1/nodes"
QUIET_SECONDS = 3.0


def nodes(cluster: ControlPlane) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.request("GET", NODES)["items"]
    return found


def everything(cluster: ControlPlane) -> dict[str, str]:
    """Version of each object that a deploy could have touched, once controllers have nothing more to write.

    The API server's own Lease is left out: it is renewed every ten seconds.
    """
    seen: dict[str, str] = {}
    quiet_since = time.monotonic()

    def quiet() -> bool:
        nonlocal seen, quiet_since
        found = versions(cluster)
        if found != seen:
            seen, quiet_since = found, time.monotonic()
        return time.monotonic() - quiet_since > QUIET_SECONDS

    cluster.wait_until(quiet, "nobody changes anything")
    return seen


def versions(cluster: ControlPlane) -> dict[str, str]:
    paths = (NODES, "/api/v1/pods", "/api/v1/events", "/api/v1/configmaps", "/apis/batch/v1/jobs")
    paths = (*paths, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")
    items = [item for path in paths for item in cluster.request("GET", path)["items"]]
    return {
        item["metadata"]["uid"]: item["metadata"]["resourceVersion"]
        for item in items
        if not item["metadata"]["name"].startswith("apiserver-")
    }


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """The command sends the package's log to the standard error that it finds; other tests have another one."""
    logger = logging.getLogger("autoscaler")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def refused(capsys: pytest.CaptureFixture[str], kubeconfig: Path, *arguments: str) -> str:
    """The one line that a deploy ends with."""
    # Once, so that a deploy that is not refused ends all the same.
    command = ["deploy", "--config", "live/kwok", "--kubeconfig", str(kubeconfig), "--no-dry-run", "--once"]
    assert main([*command, *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_without_a_cluster_it_says_so_in_one_line(
    cluster: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = write_kubeconfig(tmp_path / "k", server="https://127.0.0.1:1", ca=cluster.ca, credentials="t")
    assert "no cluster answers: https://127.0.0.1:1" in refused(capsys, nobody)


def test_wrong_credentials_are_one_line(
    cluster: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = write_kubeconfig(tmp_path / "k", server=cluster.server, ca=cluster.ca, credentials="wrong")
    assert "refuses these credentials: 401" in refused(capsys, stranger)


def test_missing_rights_are_named_before_anything_is_changed(
    cluster: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(cluster)
    line = refused(capsys, cluster.service_account_kubeconfig("nobody", "kube-system"))
    assert "missing rights: list nodes, watch nodes" in line
    assert "deploy/rbac.yaml" in line
    assert everything(cluster) == before


def test_a_missing_crd_is_one_line(cluster: ControlPlane, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.remove_crds()
    line = refused(capsys, cluster.kubeconfig, "--set", "pools.0.provider=karpenter")
    assert re.search(r"no CRD for (NodeClaims|KWOKNodeClass)", line)


def test_a_missing_namespace_of_the_lease_is_one_line(
    cluster: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, cluster.kubeconfig, "--set", "leader_election.namespace=nowhere")
    assert "namespace 'nowhere' of the Lease does not exist" in line


def test_a_dry_run_explains_and_changes_nothing(cluster: ControlPlane, tmp_path: Path) -> None:
    cluster.create_gang_job("gang", pods=2, pod_spec=GATED)
    cluster.wait_until(lambda: len(cluster.pods()) == 2 or None, "the gang has its pods")
    before = everything(cluster)
    command = Command(cluster.kubeconfig, tmp_path / "log", arguments=["--once"])
    assert command.wait() == 0
    assert everything(cluster) == before
    (decided,) = [entry for entry in command.log() if entry["message"] == "decided"]
    assert decided["orders"] == {"gpu": 2}
    assert decided["dry_run"] is True


def test_a_pool_goes_from_zero_to_n_to_zero_and_every_gang_runs_whole(cluster: ControlPlane, tmp_path: Path) -> None:
    """Gangs and single pods at 60 times the wall clock; idle nodes go, no pod is evicted, the audit replays."""
    audit = tmp_path / "audit.jsonl"
    config = live_settings(f"audit_path={audit}", "pools.0.max_nodes=4")
    with deployed(cluster, config) as live:
        cluster.create_gang_job("half", pods=1, gpus_per_pod=4, run_seconds=3, pod_spec=GATED)
        cluster.create_gang_job("gang", pods=3, gpus_per_pod=8, run_seconds=3, pod_spec=GATED)
        cluster.create_gang_job("later", pods=2, gpus_per_pod=8, run_seconds=2, pod_spec=GATED)
        for name in ("half", "gang", "later"):
            cluster.wait_for_job(name)
        cluster.wait_until(lambda: True if not nodes(cluster) else None, "the pool is empty")
        metrics = live.process.metrics
        assert metrics.value(names.METRIC_EVICTED_PODS) == 0
        assert metrics.value(names.METRIC_PLACED_PODS, "gpu") == 6
        ordered = metrics.value(names.METRIC_SCALED_UP, "gpu")
        assert 3 <= ordered <= 6
        cluster.wait_until(
            lambda: metrics.value(names.METRIC_SCALED_DOWN, "gpu") == ordered or None, "each removal is reported"
        )
        assert 3 <= max(len(seen.view.pools[0].nodes) for seen in live.observations) <= 4
    assert live.status == 0
    assert main(["replay", str(audit)]) == 0
    assert_parity(live, config)
    told = {names.EVENT_TRIGGERED_SCALE_UP, names.EVENT_PLACED, names.EVENT_SCALED_UP, names.EVENT_SCALE_DOWN}
    cluster.wait_until(lambda: told <= event_reasons(cluster), "people are told")


def event_reasons(cluster: ControlPlane) -> set[str]:
    return {event["reason"] for event in cluster.request("GET", "/api/v1/namespaces/default/events")["items"]}


def assert_parity(live: Running, config: LiveConfig) -> None:
    """Each snapshot of a live run is, to the bit, what the simulator says of the same state."""
    jobs: dict[str, tuple[int, int]] = {}
    checked = 0
    for seen, setpoints in zip(live.observations, live.setpoints, strict=True):
        view = seen.view
        for gang in (*view.queue, *view.running):
            size = gang.gpu_milli_per_pod * gang.parallelism
            jobs.setdefault(gang.key, (milliseconds(gang.submitted_seconds), size))
        # In the simulator a gang starts in one moment; here it was seen while the scheduler bound its pods.
        is_binding = any(pod.node_name for gang in view.queue for pod in gang.pods)
        if not jobs or is_binding:
            continue
        expected = simulated_snapshot(view, sorted(jobs.values()), config, setpoints)
        for name in ClusterSnapshot._fields:
            found = getattr(seen.snapshot, name)
            assert found.tobytes() == getattr(expected, name).tobytes(), (name, found, getattr(expected, name))
        checked += 1
    assert checked > 10


def test_nodes_whose_gpus_are_late_are_not_ordered_again(cluster: ControlPlane) -> None:
    """The fault of others: 80 nodes for 40 jobs, because the GPU plugin takes its time."""
    config = live_settings("pools.0.boot_seconds=30.0", "pools.0.provider_settings.gpu_delay_seconds=300.0")
    with deployed(cluster, config) as live:
        for index in range(3):
            cluster.create_gang_job(f"job-{index}", pods=1, run_seconds=1, pod_spec=GATED)
        for index in range(3):
            cluster.wait_for_job(f"job-{index}")
        assert live.process.metrics.value(names.METRIC_SCALED_UP, "gpu") == 3


def test_a_gang_that_is_larger_than_the_pool_starts_no_pod(cluster: ControlPlane) -> None:
    with deployed(cluster, live_settings("pools.0.max_nodes=2")) as live:
        cluster.create_gang_job("large", pods=3, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        cluster.create_gang_job("small", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        cluster.wait_for_job("small")
        assert all("nodeName" not in pod["spec"] for pod in cluster.pods("job-name=large"))
        assert len(live.observations[-1].view.unplaceable) == 1


def test_a_pod_without_our_gate_gets_a_node_when_the_scheduler_says_unschedulable(cluster: ControlPlane) -> None:
    with deployed(cluster, live_settings()):
        cluster.create_pod("plain", gpus=8, run_seconds=1.0)
        cluster.wait_for_pod("plain", "Succeeded")


def test_odd_objects_are_skipped_and_the_others_served(cluster: ControlPlane) -> None:
    label = {names.LABEL_POOL: "gpu"}
    strange = {names.ANNOTATION_IDLE_SINCE: "soon", names.ANNOTATION_REMOVAL_STEP: "leap", "big": "x" * 200_000}
    cluster.create_gpu_node("strange", labels=label, annotations=strange)
    cluster.create_gpu_node("no-gpus", gpus=0, labels=label)
    cluster.create_pod("greedy", gpus=1_000_000, spec={**GATED, "nodeSelector": {"a": "b"}})
    # The node without GPUs counts as one that starts, until its time is up.
    with deployed(cluster, live_settings("guardrails.backoff.provision_timeout_seconds=900.0")) as live:
        cluster.create_gang_job("job", pods=2, run_seconds=1, pod_spec=GATED)
        cluster.wait_for_job("job")
        assert [gang.ref.name for gang in live.observations[-1].view.unplaceable] == ["greedy"]
        (annotations,) = {
            tuple(node.annotations) for node in live.observations[0].view.pools[0].nodes if node.name == "strange"
        }
        assert "big" not in annotations


@pytest.fixture
def command(cluster: ControlPlane, tmp_path: Path) -> Iterator[Command]:
    made = Command(cluster.kubeconfig, tmp_path / "log", arguments=["--no-dry-run"])
    yield made
    made.kill()


def test_sigterm_ends_it_in_order_and_gives_the_lease_back(cluster: ControlPlane, command: Command) -> None:
    cluster.wait_until(lambda: command.metric("green_autoscaler_leader") == 1.0 or None, "it leads")
    assert command.get("/healthz") == (200, "ok\n")
    cluster.wait_until(lambda: command.get("/readyz") == (200, "ok\n"), "it is ready")
    command.send(signal.SIGTERM)
    assert command.wait() == 0
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/green-autoscaler"
    assert not cluster.request("GET", path)["spec"].get("holderIdentity")


def test_a_process_that_was_killed_is_followed_by_one_that_orders_nothing_twice(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    # The nodes boot for 20 s of the wall clock: until after the second process leads.
    slow = ("pools.0.boot_seconds=1200.0", *QUICK_LEASE)
    cluster.create_gang_job("gang", pods=3, run_seconds=1, pod_spec=GATED)
    first = Command(cluster.kubeconfig, tmp_path / "first", *slow, arguments=["--no-dry-run"])
    cluster.wait_until(lambda: True if len(nodes(cluster)) == 3 else None, "three nodes are ordered")
    first.kill()
    second = Command(cluster.kubeconfig, tmp_path / "second", *slow, arguments=["--no-dry-run"])
    try:
        cluster.wait_for_job("gang")
        assert second.metric('green_autoscaler_scaled_up_nodes_total{pool="gpu"}') in (0.0, None)
        assert len(nodes(cluster)) <= 3
    finally:
        second.kill()


def test_a_frozen_api_server_holds_the_decision_shows_and_fences_the_leader(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    """Stale data fail /readyz; the leader that cannot renew its Lease ends before another one may lead."""
    quick = ("api.disconnected_seconds=2.0", "api.stale_seconds=3.0", "api.request_timeout_seconds=2.0")
    command = Command(cluster.kubeconfig, tmp_path / "log", *quick, arguments=["--no-dry-run"])
    try:
        cluster.wait_until(lambda: command.metric("green_autoscaler_decisions_total") or None, "it has decided")
        with cluster.frozen_api_server():
            frozen = time.time()
            status, text = 200, ""
            while status != 503 and not command.ended:
                status, text = command.get("/readyz")
                time.sleep(0.1)
            assert (status, text.startswith("no fresh data of: ")) == (503, True)
            assert command.wait() == 1
        lost = [entry["time"] for entry in command.log() if "Lease is lost" in entry["message"]]
        assert lost
        stopped = datetime.fromisoformat(lost[0]).timestamp()
        assert stopped - frozen < LeaderElection().lease_seconds, "it must stop before the Lease can be taken over"
    finally:
        command.kill()


def test_with_karpenter_a_pool_goes_from_zero_to_n_to_zero(karpenter: ControlPlane) -> None:
    """Orders are NodeClaims that the real Karpenter fulfils; removals delete them."""
    karpenter.request("POST", manifests.NODE_CLASSES, manifests.node_class("default"))
    requirement = "pools.0.provider_settings.requirements={node.kubernetes.io/instance-type: [gpu-8x-h100]}"
    # gpu_type of the preset is a label that these instances do not carry.
    overrides = ("pools.0.provider=karpenter", requirement, "pools.0.gpu_type=null")
    with deployed(karpenter, live_settings(*overrides)) as live:
        karpenter.create_gang_job("gang", pods=2, gpus_per_pod=8, run_seconds=2, pod_spec=GATED)
        karpenter.create_gang_job("half", pods=1, gpus_per_pod=4, run_seconds=2, pod_spec=GATED)
        for name in ("gang", "half"):
            karpenter.wait_for_job(name)
        karpenter.wait_until(
            lambda: True if not karpenter.request("GET", manifests.NODE_CLAIMS)["items"] else None, "the pool is empty"
        )
        # Where the gang has ended before the half node is asked for, it runs on one of the gang's.
        assert 2 <= live.process.metrics.value(names.METRIC_SCALED_UP, "gpu") <= 3
        assert live.process.metrics.value(names.METRIC_EVICTED_PODS) == 0
