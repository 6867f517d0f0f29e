"""The consolidation lever on the real control plane: jobs of half empty nodes run closer together, and nodes go."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoscaler.cli import main
from autoscaler.live import names
from autoscaler.live.actuate.placement import place
from autoscaler.live.actuate.removal import Outcome, RemovalMachine, Report
from autoscaler.live.clock import ScaledClock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import Consolidation
from autoscaler.live.kube.client import KubeClient, connect
from autoscaler.live.objects import NodeView
from autoscaler.live.providers import make_providers
from autoscaler.live.providers.karpenter.names import ANNOTATION_DO_NOT_DISRUPT
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import deployed, live_settings
from tests.cluster.live_support import (
    KilledError,
    MortalClient,
    exists,
    gated_gang,
    mortal_client,
    release_of,
    removal_marks,
)
from tests.cluster.objects import gang_job
from tests.cluster.waiting import PATIENCE_SECONDS

NODE = "/api/v1/nodes/{}".format
POD = "/api/v1/namespaces/default/pods/{}".format
MERGE = "application/merge-patch+json"
CHECKPOINTABLE = {names.ANNOTATION_CHECKPOINTABLE: "true"}
PROTECTED = {**CHECKPOINTABLE, ANNOTATION_DO_NOT_DISRUPT: "true"}
IGNORE = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}
PRODUCT = {"gpu_product": "NVIDIA-A100-SXM4-80GB"}
CONSOLIDATING = "consolidating"
LEVER = ("pools.0.max_nodes=4", "codec.consolidation=true", "codec.consolidation_interval_seconds=0")


def two_half_empty_nodes(cluster: ControlPlane, **options: Any) -> None:
    """The node n1 with the Job x, and n2 with the Job y, with 4 of their 8 GPUs in use each.

    Args:
        cluster: the control plane.
        options: of both Jobs, or with `x` or `y` of one of them.
    """
    own = {name: options.pop(name, {}) for name in ("x", "y")}
    for name, on in (("x", "n1"), ("y", "n2")):
        cluster.create_gpu_node(on, labels={names.LABEL_POOL: "gpu"}, **PRODUCT)
        cluster.wait_for_node(on, gpus=8)
        start_job(cluster, name, **{**options, **own[name]})
        wait_for_pod_on(cluster, name, on)
        # So that the scheduler puts the other one elsewhere.
        cluster.request("PATCH", NODE(on), {"spec": {"unschedulable": True}}, content_type=MERGE)
    for on in ("n1", "n2"):
        cluster.request("PATCH", NODE(on), {"spec": {"unschedulable": None}}, content_type=MERGE)
    for on in ("n1", "n2"):
        cluster.wait_until(partial(is_open, cluster, on), f"{on} takes pods again")


def is_open(cluster: ControlPlane, node: str) -> bool | None:
    return not cluster.node(node)["spec"].get("taints") or None


def start_job(cluster: ControlPlane, name: str, *, gated: bool = True, **options: Any) -> None:
    settings = {"annotations": CHECKPOINTABLE, "backoff_limit": 6, "labels": {"app": name}, **options}
    if gated:
        gang = gated_gang(cluster, name, pods=1, gpus_per_pod=4, **settings)
        client = connect(str(cluster.kubeconfig))
        assert place(client, release_of(gang, "gpu"), time.time()).refused == ()
        client.close()
    else:
        cluster.create_gang_job(name, pods=1, gpus_per_pod=4, **settings)


def pods_on(cluster: ControlPlane, node: str) -> dict[str, str]:
    """Uids of the running pods on a node, by their Job."""
    return {
        pod["metadata"]["labels"]["app"]: pod["metadata"]["uid"]
        for pod in cluster.pods()
        if pod["spec"].get("nodeName") == node and pod["status"].get("phase") == "Running"
    }


def wait_for_pod_on(cluster: ControlPlane, job: str, node: str) -> None:
    cluster.wait_until(lambda: job in pods_on(cluster, node) or None, f"a pod of {job} runs on {node}")


def events(cluster: ControlPlane, reason: str) -> dict[str, list[str]]:
    """Messages by kind of object."""
    found: dict[str, list[str]] = {}
    for event in cluster.request("GET", "/api/v1/namespaces/default/events")["items"]:
        if event["reason"] == reason:
            found.setdefault(event["involvedObject"]["kind"], []).append(event["message"])
    return found


@pytest.mark.parametrize("gated", [True, False], ids=["at our gate", "by the scheduler alone"])
def test_of_two_half_empty_nodes_one_is_emptied_and_goes(cluster: ControlPlane, gated: bool, tmp_path: Path) -> None:
    two_half_empty_nodes(cluster, gated=gated)
    kept = pods_on(cluster, "n2")["y"]
    audit = tmp_path / "audit.jsonl"
    with deployed(cluster, live_settings(*LEVER, f"audit_path={audit}"), CONSOLIDATING) as live:
        wait_for_pod_on(cluster, "x", "n2")
        cluster.wait_until(lambda: not cluster._exists(NODE("n1")) or None, "the node that was emptied goes")
        assert pods_on(cluster, "n2")["y"] == kept
        metrics = live.process.metrics
        assert metrics.value(names.METRIC_CONSOLIDATED, "gpu") == 1
        assert metrics.value(names.METRIC_EVICTED_PODS) == 1
        assert metrics.value(names.METRIC_SCALED_UP, "gpu") == 0
    told = cluster.wait_until(
        lambda: found if len(found := events(cluster, names.EVENT_CONSOLIDATED)) == 2 else None, "people are told"
    )
    assert told is not None
    assert "n1" in told["Job"][0]
    assert any("n2" in message for message in told["Node"])
    job = cluster.request("GET", "/apis/batch/v1/namespaces/default/jobs/x")
    assert job["status"]["active"] == 1
    assert main(["replay", str(audit)]) == 0


def test_a_job_that_ignores_disruptions_counts_no_failure(
    cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its backoffLimit of 0 would end it by one pod that fails."""

    def create(name: str, **options: Any) -> None:
        body = gang_job(name, **{**options, "backoff_limit": 0})
        body["spec"] |= {"podFailurePolicy": IGNORE}
        cluster.request("POST", "/apis/batch/v1/namespaces/default/jobs", body)

    monkeypatch.setattr(cluster, "create_gang_job", create)
    two_half_empty_nodes(cluster)
    with deployed(cluster, live_settings(*LEVER), CONSOLIDATING):
        wait_for_pod_on(cluster, "x", "n2")
    status = cluster.request("GET", "/apis/batch/v1/namespaces/default/jobs/x")["status"]
    assert (status["active"], status.get("failed", 0)) == (1, 0)


def spend_budget(cluster: ControlPlane) -> None:
    """A budget with no disruptions left; of pods of a Job only a number that must stay can be said."""
    body = {"metadata": {"name": "guard"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "minAvailable": 1}}
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    cluster.request("POST", path, body)
    cluster.wait_until(
        lambda: cluster.request("GET", f"{path}/guard").get("status", {}).get("currentHealthy") or None, "it counts"
    )


PROTECTIONS: dict[str, tuple[dict[str, Any], Callable[[ControlPlane], Any]]] = {
    "do-not-disrupt": ({"annotations": PROTECTED}, lambda cluster: None),
    "budget": ({}, spend_budget),
    "not annotated": ({"annotations": {}}, lambda cluster: None),
    "its Job would fail": ({"backoff_limit": 0}, lambda cluster: None),
}


@pytest.mark.parametrize(("options", "guard"), PROTECTIONS.values(), ids=PROTECTIONS)
def test_a_pod_that_may_not_be_moved_stays_and_the_other_node_is_emptied(
    cluster: ControlPlane, options: dict[str, Any], guard: Callable[[ControlPlane], Any]
) -> None:
    two_half_empty_nodes(cluster, x=options)
    guard(cluster)
    kept = pods_on(cluster, "n1")["x"]
    with deployed(cluster, live_settings(*LEVER), CONSOLIDATING):
        wait_for_pod_on(cluster, "y", "n1")
        cluster.wait_until(lambda: not cluster._exists(NODE("n2")) or None, "the other node goes")
    assert pods_on(cluster, "n1")["x"] == kept


def wait_for_decisions(cluster: ControlPlane, live: Any, count: int) -> None:
    metrics = live.process.metrics
    cluster.wait_until(lambda: metrics.value(names.METRIC_DECISIONS) >= count or None, f"{count} decisions")


def test_nothing_is_moved_before_it_is_time(cluster: ControlPlane) -> None:
    two_half_empty_nodes(cluster)
    before = pods_on(cluster, "n1") | pods_on(cluster, "n2")
    settings = live_settings(*LEVER, "codec.consolidation_interval_seconds=86400", "resync_interval_seconds=60")
    with deployed(cluster, settings, CONSOLIDATING) as live:
        wait_for_decisions(cluster, live, 5)
        assert live.process.metrics.value(names.METRIC_EVICTED_PODS) == 0
    assert pods_on(cluster, "n1") | pods_on(cluster, "n2") == before


def test_a_dry_run_explains_and_changes_nothing(cluster: ControlPlane, caplog: pytest.LogCaptureFixture) -> None:
    two_half_empty_nodes(cluster)
    before = versions(cluster)
    caplog.set_level("INFO")
    with deployed(cluster, replace(live_settings(*LEVER), dry_run=True), CONSOLIDATING) as live:
        wait_for_decisions(cluster, live, 2)
    assert versions(cluster) == before
    decided = [record for record in caplog.records if record.getMessage() == "decided"]
    (planned,) = decided[-1].consolidations  # type: ignore[attr-defined]
    assert planned["node"] == "n1"
    assert "n2" in planned["reason"]


def versions(cluster: ControlPlane) -> dict[str, Any]:
    """What nobody but us would change: uids, specs and annotations of nodes and pods."""
    items = [item for kind in ("nodes", "pods") for item in cluster.request("GET", f"/api/v1/{kind}")["items"]]
    return {
        item["metadata"]["name"]: (item["metadata"]["uid"], item["metadata"].get("annotations"), item["spec"])
        for item in items
    }


class Moving:
    """A machine that empties nodes, and what it reported."""

    def __init__(self, client: KubeClient, config: LiveConfig) -> None:
        self.reports: list[Report] = []
        clock = ScaledClock()
        self.machine = RemovalMachine(client, config, clock, make_providers(client, config, clock), self.reports.append)

    def run(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.machine.under_way:
            assert time.monotonic() < deadline, [(each.outcome, each.reason) for each in self.reports]
            self.machine.advance()
            time.sleep(0.05)


@pytest.fixture
def client(cluster: ControlPlane) -> Iterator[MortalClient]:
    with mortal_client(cluster.kubeconfig) as made:
        yield made


@pytest.mark.parametrize("guarded", [False, True], ids=["nothing changes", "it becomes protected"])
@pytest.mark.parametrize(("when", "write"), [("after", 0), ("after", 1), ("before", 2), ("after", 2), ("before", 4)])
def test_a_restart_finishes_or_undoes_it_and_evicts_no_protected_pod(
    cluster: ControlPlane, client: MortalClient, when: str, write: int, guarded: bool
) -> None:
    """Taint, evicting, eviction, settling, given back: five writes, and a process that dies around each."""
    two_half_empty_nodes(cluster, gated=False)
    before = pods_on(cluster, "n1")["x"]
    (pod,) = cluster.pods("app=x")
    view = NodeView(name="n1", uid=cluster.node("n1")["metadata"]["uid"], pool="gpu")
    config = live_settings(*LEVER)
    client.die_at(when, write)
    dead = Moving(client, config)

    def live() -> None:
        dead.machine.empty([Consolidation("gpu", view, (before,), "it fits on n2")])
        dead.run()

    with pytest.raises(KilledError):
        live()
    path = POD(pod["metadata"]["name"])
    evicted = not exists(client, path) or "deletionTimestamp" in client.get(path)["metadata"]
    assert evicted == (write > 2 or (when, write) == ("after", 2))
    if guarded and not evicted:
        cluster.request("PATCH", path, {"metadata": {"annotations": PROTECTED}}, content_type=MERGE)
    after = Moving(client, config)
    after.machine.recover()
    after.run()
    assert removal_marks(cluster.node("n1")) == (False, False)
    if guarded and not evicted:
        assert pods_on(cluster, "n1") == {"x": before}
        assert after.reports[-1].outcome is Outcome.UNDONE
    else:
        assert after.reports[-1].outcome is Outcome.EMPTIED
        wait_for_pod_on(cluster, "x", "n2")
        assert set(pods_on(cluster, "n2")) == {"x", "y"}
