"""Conventions of others, on the real control plane: node groups of Cluster API, ProvisioningRequests, plain Jobs."""

import logging
from pathlib import Path
from typing import Any

import pytest

from autoscaler.live import names
from autoscaler.live.providers.cluster_api import names as group_names
from tests.cluster import foreign
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, Command, deployed, live_settings
from tests.cluster.objects import gang_job

GROUP = {
    group_names.ANNOTATION_GROUP_MIN: "1",
    group_names.ANNOTATION_GROUP_MAX: "2",
    group_names.ANNOTATION_CAPACITY_CPU: "32",
    group_names.ANNOTATION_CAPACITY_MEMORY: "256Gi",
    group_names.ANNOTATION_CAPACITY_PODS: "20",
    group_names.ANNOTATION_CAPACITY_GPU_TYPE: "nvidia.com/gpu",
    group_names.ANNOTATION_CAPACITY_GPUS: "4",
    group_names.ANNOTATION_CAPACITY_LABELS: "disk=nvme,nvidia.com/gpu.product=NVIDIA-L40S",
    group_names.ANNOTATION_CAPACITY_TAINTS: "team=x:NoSchedule",
}
TOLERATES = {"tolerations": [{"key": "team", "operator": "Equal", "value": "x", "effect": "NoSchedule"}]}
NODE_GROUP = "pools.0.node_group={name: gpus, namespace: default}"


def nodes(cluster: ControlPlane) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.request("GET", "/api/v1/nodes")["items"]
    return found


def not_triggered(cluster: ControlPlane, objects: tuple[str, ...]) -> list[tuple[str, str]]:
    """Which of some objects were told why no node is ordered for them, and what; one entry for each Event."""
    events = cluster.request("GET", "/api/v1/namespaces/default/events")["items"]
    told = [
        (event["involvedObject"]["name"], event["message"])
        for event in events
        if event["reason"] == names.EVENT_NOT_TRIGGER_SCALE_UP
    ]
    return sorted(each for each in told if each[0] in objects)


def test_bounds_and_template_come_from_the_node_groups_annotations(cluster: ControlPlane) -> None:
    foreign.machine_deployment(cluster, "gpus", GROUP)
    with deployed(cluster, live_settings(NODE_GROUP)) as live:
        for index in range(3):
            spec = {**GATED, **TOLERATES, "nodeSelector": {"disk": "nvme"}}
            cluster.create_gang_job(f"job-{index}", pods=1, gpus_per_pod=4, run_seconds=1, pod_spec=spec)
        for index in range(3):
            cluster.wait_for_job(f"job-{index}")
        assert max(len(seen.view.pools[0].nodes) for seen in live.observations) == 2, "its maximum"
        cluster.wait_until(lambda: len(nodes(cluster)) == 1, "its minimum stays")
        (node,) = nodes(cluster)
    assert node["metadata"]["labels"]["disk"] == "nvme"
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-L40S"
    assert [(taint["key"], taint["value"]) for taint in node["spec"]["taints"] if taint["key"] == "team"] == [
        ("team", "x")
    ]
    sizes = node["status"]["allocatable"]
    assert (sizes["cpu"], sizes["memory"], sizes["pods"], sizes["nvidia.com/gpu"]) == ("32", "256Gi", "20", "4")


@pytest.mark.parametrize(
    ("annotations", "problem"),
    [
        (None, "its node group /apis/cluster.x-k8s.io"),
        ({group_names.ANNOTATION_GROUP_MAX: "many"}, "write a whole number"),
    ],
)
def test_a_node_group_that_cannot_be_read_is_one_line(
    cluster: ControlPlane, tmp_path: Path, annotations: dict[str, str] | None, problem: str
) -> None:
    foreign.machine_deployment(cluster, "gpus" if annotations else "other", annotations or GROUP)
    command = Command(cluster.kubeconfig, tmp_path / "log", NODE_GROUP, arguments=["--once"])
    assert command.wait() == 2
    lines = (tmp_path / "log").read_text().splitlines()
    assert len([line for line in lines if line.startswith("error: ")]) == 1
    assert problem in lines[-1]


def test_a_pod_that_consumes_a_provisioning_request_is_left_alone_and_people_are_told(
    cluster: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    foreign.provisioning_request(cluster, "request")
    consume, pods = {names.ANNOTATION_CONSUME_REQUEST: "request"}, ("gated", "plain")
    with caplog.at_level(logging.WARNING, "autoscaler"), deployed(cluster, live_settings()) as live:
        assert "ProvisioningRequests are not served" in caplog.text
        cluster.create_pod("gated", gpus=8, annotations=consume, spec=GATED)
        cluster.create_pod("plain", gpus=8, annotations=consume)
        before = {pod["metadata"]["name"]: pod["spec"] for pod in cluster.pods()}
        cluster.wait_until(
            lambda: live.process.metrics.value(names.METRIC_UNSERVED_PODS, "provisioning-request") == 2, "seen"
        )
        cluster.wait_until(lambda: len(not_triggered(cluster, pods)) == 2, "both pods are told")
        seen = len(live.observations)
        cluster.wait_until(lambda: len(live.observations) > seen + 2, "it has decided again")
        assert live.process.metrics.value(names.METRIC_SCALED_UP, "gpu") == 0
        # Others are served. Whether the scheduler puts the pod without a gate on a node that comes is its own affair.
        cluster.create_gang_job("other", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        cluster.wait_for_job("other")
    told = not_triggered(cluster, pods)
    assert [name for name, _ in told] == ["gated", "plain"], "each is told once"
    assert all("ProvisioningRequest, which is not served" in message for _, message in told)
    gated = next(pod for pod in cluster.pods() if pod["metadata"]["name"] == "gated")
    assert gated["spec"] == before["gated"]


def test_the_pods_of_a_job_that_is_not_indexed_are_jobs_of_their_own(cluster: ControlPlane) -> None:
    """Three pods on a pool of two nodes: two run at once, the third follows. A gang would wait for ever."""
    body = gang_job("plain", pods=3, gpus_per_pod=8, run_seconds=3, pod_spec=GATED)
    body["spec"]["completionMode"] = "NonIndexed"
    with deployed(cluster, live_settings("pools.0.max_nodes=2")) as live:
        cluster.request("POST", "/apis/batch/v1/namespaces/default/jobs", body)
        cluster.wait_for_job("plain")
        assert live.process.metrics.value(names.METRIC_PLACED_PODS, "gpu") == 3
        assert live.process.metrics.value(names.METRIC_EVICTED_PODS) == 0
    sizes = [[gang.parallelism for gang in seen.view.queue] for seen in live.observations]
    assert max(len(each) for each in sizes) == 3, "each waited by itself"
    assert {size for each in sizes for size in each} == {1}
