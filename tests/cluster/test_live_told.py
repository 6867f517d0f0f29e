"""What people are told on the real control plane, as the API server shows it: Events on Jobs, pods and Nodes."""

import json
from typing import Any

import pytest

from autoscaler.cli import main
from autoscaler.live.kube.client import connect
from autoscaler.live.names import STATUS_CONFIG_MAP
from autoscaler.live.objects import ObjectRef
from autoscaler.live.telemetry.events import EventRecorder
from autoscaler.live.telemetry.metrics import Metrics
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, deployed, live_settings


def events_of(cluster: ControlPlane, kind: str, name: str, uid: str) -> list[dict[str, Any]]:
    """The Events that `kubectl describe` shows of an object: selected by its uid."""
    selector = f"involvedObject.kind={kind},involvedObject.name={name},involvedObject.uid={uid}"
    found: list[dict[str, Any]] = cluster.request("GET", f"/api/v1/events?fieldSelector={selector}")["items"]
    return found


def node_of(pod: dict[str, Any]) -> str | None:
    name: str | None = pod["spec"].get("nodeName")
    return name


def job_events(cluster: ControlPlane, name: str, reason: str) -> list[dict[str, Any]]:
    job = cluster.request("GET", f"/apis/batch/v1/namespaces/default/jobs/{name}")
    found = events_of(cluster, "Job", name, job["metadata"]["uid"])
    return [event for event in found if event["reason"] == reason]


def test_a_job_that_waits_at_the_maximum_hears_it_once_on_itself_and_on_its_pod(cluster: ControlPlane) -> None:
    with deployed(cluster, live_settings("pools.0.max_nodes=1", "resync_interval_seconds=60.0")) as live:
        cluster.create_gang_job("first", pods=1, gpus_per_pod=8, run_seconds=300, pod_spec=GATED)
        cluster.wait_until(lambda: any(map(node_of, cluster.pods("job-name=first"))) or None, "the first runs")
        cluster.create_gang_job("second", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)

        def full() -> dict[str, Any] | None:
            found = job_events(cluster, "second", "NotTriggerScaleUp")
            return next((each for each in found if "pool gpu: pool at max" in each["message"]), None)

        event = cluster.wait_until(full, "the second hears why")
        assert event["message"] == "pool gpu: pool at max: the pool has max_nodes 1, 1 exist or are ordered"
        (pod,) = cluster.pods("job-name=second")
        told = events_of(cluster, "Pod", pod["metadata"]["name"], pod["metadata"]["uid"])
        assert event["message"] in [each["message"] for each in told if each["source"]["component"] != "kubelet"]
        seen = len(live.observations)
        cluster.wait_until(lambda: len(live.observations) > seen + 5 or None, "some more decisions")
        again = job_events(cluster, "second", "NotTriggerScaleUp")
        assert len([each for each in again if each["message"] == event["message"]]) == 1
    assert job_events(cluster, "first", "TriggeredScaleUp")[0]["message"].startswith("pool gpu: 1 node ordered")


def test_a_job_hears_which_resource_does_not_fit(cluster: ControlPlane) -> None:
    with deployed(cluster, live_settings()):
        cluster.create_gang_job("huge", pods=1, gpus_per_pod=16, pod_spec=GATED)
        (event,) = cluster.wait_until(lambda: job_events(cluster, "huge", "NotTriggerScaleUp"), "it hears why")
    assert event["message"] == "pool gpu: does not fit: GPUs: a pod requests 16 of nvidia.com/gpu, a node has 8"
    assert event["type"] == "Warning"


def test_the_same_event_is_one_object_whose_count_grows_also_after_a_restart(cluster: ControlPlane) -> None:
    client = connect(str(cluster.kubeconfig))
    lease = ObjectRef("Lease", "x", "kube-system", "", "coordination.k8s.io/v1")
    about = ObjectRef("Job", "gone", "default", "uid-of-it", "batch/v1")
    try:
        for _ in range(2):
            recorder = EventRecorder(client, Metrics(), "me", lease, repeat_seconds=1e-6)
            for _ in range(2):
                recorder.event(about, "Normal", "NotTriggerScaleUp", "pool at max")
            recorder.close()
    finally:
        client.close()
    (event,) = events_of(cluster, "Job", "gone", "uid-of-it")
    assert event["count"] == 4
    assert event["lastTimestamp"] >= event["firstTimestamp"]


def test_the_events_of_a_node_are_found_as_kubectl_describe_looks_for_them(cluster: ControlPlane) -> None:
    """It asks for the uid of the Node, and once more with the Node's name as the uid, as kubelet writes it."""
    with deployed(cluster, live_settings("pools.0.max_nodes=1", "guardrails.removal.taint_wait_seconds=2.0")):
        cluster.create_gang_job("job", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        (node,) = cluster.wait_until(lambda: cluster.request("GET", "/api/v1/nodes")["items"], "a node")
        name, uid = node["metadata"]["name"], node["metadata"]["uid"]

        def reasons() -> set[str]:
            found = events_of(cluster, "Node", name, uid) + events_of(cluster, "Node", name, name)
            return {event["reason"] for event in found}

        cluster.wait_until(lambda: "ScaleDown" in reasons() or None, "its removal is told")
        assert "ScaledUpGroup" in reasons()


def explain(cluster: ControlPlane, capsys: pytest.CaptureFixture[str], target: str, *more: str) -> dict[str, Any]:
    assert main(["explain", target, "--kubeconfig", str(cluster.kubeconfig), "--json", "-", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_explain_says_why_a_node_stays_and_why_a_job_waits(
    cluster: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    """Config, policy and memory come from the running autoscaler; nothing is changed by the question."""
    with deployed(cluster, live_settings("pools.0.max_nodes=1", "guardrails.cooldowns.unneeded_seconds=36000.0")):
        cluster.create_gang_job("first", pods=1, gpus_per_pod=8, run_seconds=30, pod_spec=GATED)
        cluster.wait_until(lambda: any(map(node_of, cluster.pods("job-name=first"))) or None, "the first runs")
        cluster.create_gang_job("second", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        cluster.wait_until(lambda: job_events(cluster, "second", "NotTriggerScaleUp"), "the second waits")
        cluster.wait_until(
            lambda: cluster._exists(f"/api/v1/namespaces/kube-system/configmaps/{STATUS_CONFIG_MAP}") or None,
            "a status",
        )
        (node,) = cluster.request("GET", "/api/v1/nodes")["items"]
        name = node["metadata"]["name"]
        busy = explain(cluster, capsys, f"node/{name}")
        assert (busy["state"], busy["policy"]) == ("busy", "reactive")
        assert busy["sentences"][0].startswith("It is busy: pod default/first-0-")
        assert "is Running" in busy["autoscaler"]
        waits = explain(cluster, capsys, "job/default/second")
        assert waits["state"] == "waiting"
        assert waits["pools"] == {"gpu": "pool at max: the pool has max_nodes 1, 1 exist or are ordered"}
        assert explain(cluster, capsys, "job/first")["state"] == "running"
        assert main(["explain", f"node/{name[:-1]}", "--kubeconfig", str(cluster.kubeconfig)]) == 2
        assert capsys.readouterr().err == f"error: node/{name[:-1]} does not exist; did you mean {name!r}?\n"
        cluster.wait_for_job("second")
        idle = cluster.wait_until(
            lambda: found if (found := explain(cluster, capsys, f"node/{name}"))["state"] == "idle" else None,
            "the node is idle",
        )
    assert "The guardrails keep it until it was idle for 36000 s" in " ".join(idle["sentences"])


def test_explain_without_an_autoscaler_asks_for_a_config(
    cluster: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    kubeconfig = str(cluster.kubeconfig)
    assert main(["explain", "node/x", "--kubeconfig", kubeconfig]) == 2
    assert "Give --config" in capsys.readouterr().err
    cluster.create_gpu_node("other")
    found = explain(cluster, capsys, "node/other", "--config", "live/kwok")
    assert found["state"] == "not-ours"
