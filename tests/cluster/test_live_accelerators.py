"""Work on accelerators that are not whole GPUs: it keeps its node, and what cannot be served is told so."""

from typing import Any

import pytest

from autoscaler.live.config import LiveConfig
from autoscaler.live.names import EVENT_NOT_TRIGGER_SCALE_UP, LABEL_POOL, METRIC_EVICTED_PODS, METRIC_SCALED_DOWN
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import Running, deployed, live_settings
from tests.cluster.objects import IMAGE

DRIVER = "gpu.example.com"
RESOURCES = "/apis/resource.k8s.io/v1"
SLICE = "nvidia.com/mig-1g.10gb"
PROVISION_TIMEOUT_SECONDS = 120.0
"""Clock seconds after which a node without GPUs is given up, two wall seconds."""


def live() -> LiveConfig:
    timeout = f"guardrails.backoff.provision_timeout_seconds={PROVISION_TIMEOUT_SECONDS}"
    return live_settings("pools.0.max_nodes=1", "resync_interval_seconds=60.0", timeout)


def container(**resources: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": IMAGE, "resources": resources}]}


def devices(cluster: ControlPlane, node: str, count: int) -> None:
    """What the driver of a node publishes, and a template of claims for all of them."""
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    published = [{"name": f"gpu-{index}"} for index in range(count)]
    cluster.request(
        "POST",
        f"{RESOURCES}/resourceslices",
        {"metadata": {"name": node}, "spec": {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": published}},
    )
    selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
    cluster.request(
        "POST", f"{RESOURCES}/deviceclasses", {"metadata": {"name": DRIVER}, "spec": {"selectors": [selector]}}
    )
    request = {"name": "gpus", "exactly": {"deviceClassName": DRIVER, "count": count}}
    cluster.request(
        "POST",
        f"{RESOURCES}/namespaces/default/resourceclaimtemplates",
        {"metadata": {"name": "gpus"}, "spec": {"spec": {"devices": {"requests": [request]}}}},
    )


def claiming() -> dict[str, Any]:
    claims = [{"name": "gpus", "resourceClaimTemplateName": "gpus"}]
    return {"resourceClaims": claims, **container(claims=[{"name": "gpus"}])}


def partition(cluster: ControlPlane, node: str, slices: int) -> None:
    """The GPUs of a node are divided after its boot."""
    sizes = {SLICE: str(slices), "nvidia.com/gpu": "0"}
    body = {"status": {"allocatable": sizes, "capacity": sizes}}
    cluster.request("PATCH", f"/api/v1/nodes/{node}/status", body, content_type="application/merge-patch+json")


def running_pod(cluster: ControlPlane, name: str) -> dict[str, Any]:
    return cluster.wait_until(
        lambda: next((pod for pod in cluster.pods(f"job-name={name}") if pod["status"]["phase"] == "Running"), None),
        f"the pod of Job {name} runs",
    )


def let_time_pass(cluster: ControlPlane, running: Running, clock_seconds: float) -> None:
    began = running.process.clock.now()
    cluster.wait_until(
        lambda: (running.observations and running.observations[-1].view.now_seconds > began + clock_seconds) or None,
        f"it has decided after {clock_seconds:.0f} clock seconds more",
    )


@pytest.mark.parametrize("kind", ["claim", "slice"])
def test_a_pod_on_an_accelerator_of_another_api_keeps_its_node(cluster: ControlPlane, kind: str) -> None:
    cluster.create_gpu_node("n", labels={LABEL_POOL: "gpu"})
    cluster.wait_until(lambda: "nvidia.com/gpu" in cluster.node("n")["status"]["allocatable"] or None, "n has GPUs")
    if kind == "claim":
        devices(cluster, "n", 8)
        spec = claiming()
    else:
        partition(cluster, "n", 7)
        spec = container(limits={SLICE: "7"})
    cluster.create_gang_job("work", pods=1, gpus_per_pod=0, pod_spec=spec)
    before = running_pod(cluster, "work")
    with deployed(cluster, live()) as running:
        let_time_pass(cluster, running, 10.0 * PROVISION_TIMEOUT_SECONDS)
        (node,) = running.observations[-1].view.pools[0].nodes
        metrics = running.process.metrics
        assert metrics.value(METRIC_EVICTED_PODS) == metrics.value(METRIC_SCALED_DOWN, "gpu") == 0
    assert str(node.state) == "busy"
    after = running_pod(cluster, "work")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert not cluster.node("n")["spec"].get("taints")


def test_its_node_goes_once_the_work_has_ended(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("n", labels={LABEL_POOL: "gpu"})
    cluster.wait_until(lambda: "nvidia.com/gpu" in cluster.node("n")["status"]["allocatable"] or None, "n has GPUs")
    devices(cluster, "n", 8)
    cluster.create_gang_job("work", pods=1, gpus_per_pod=0, run_seconds=3, pod_spec=claiming())
    with deployed(cluster, live()):
        cluster.wait_for_job("work")
        cluster.wait_until(lambda: not cluster.request("GET", "/api/v1/nodes")["items"] or None, "the node is removed")


def test_a_pod_that_waits_for_an_accelerator_of_no_pool_is_told(cluster: ControlPlane) -> None:
    with deployed(cluster, live()):
        cluster.create_pod("slice", gpus=0, spec=container(limits={SLICE: "1"}))
        events = "/api/v1/namespaces/default/events"
        told = cluster.wait_until(
            lambda: [
                event["message"]
                for event in cluster.request("GET", events)["items"]
                if event["reason"] == EVENT_NOT_TRIGGER_SCALE_UP
            ],
            "the pod is told",
        )
    assert told == [f"no node is ordered for it: it requests {SLICE}, and the pools serve nvidia.com/gpu only"]
    assert not cluster.request("GET", "/api/v1/nodes")["items"]
