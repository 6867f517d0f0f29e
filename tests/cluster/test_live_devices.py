"""Device claims on the real control plane: kube-scheduler allocates, we bring the nodes and take them away."""

from dataclasses import replace
from typing import Any

from autoscaler.live.config import GpuResource, LiveConfig, LivePool
from autoscaler.live.device_config import DevicePart, DeviceTemplate
from autoscaler.live.names import EVENT_NOT_TRIGGER_SCALE_UP, METRIC_EVICTED_PODS, METRIC_SCALED_UP
from tests.cluster import devices
from tests.cluster.control_plane import ControlPlane
from tests.cluster.devices import CLASS, DRIVER
from tests.cluster.live_process import GATED, Running, deployed, live_settings
from tests.cluster.objects import IMAGE

SLICE = "nvidia.com/mig-1g.10gb"
PART = f'device.attributes["{DRIVER}"].kind == "part"'
WHOLE = f'device.attributes["{DRIVER}"].kind == "whole"'


def live(pool: LivePool, *overrides: str) -> LiveConfig:
    settings = live_settings("resync_interval_seconds=60.0", *overrides)
    return replace(settings, pools=(pool,))


def described(**more: Any) -> LivePool:
    """A pool of eight GPUs that a driver publishes."""
    template = DeviceTemplate(DRIVER, attributes={"model": "A100"})
    return LivePool("gpu", **{"max_nodes": 4, "boot_seconds": 20.0, "devices": (template,), **more})


def container(**resources: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": IMAGE, "resources": resources}]}


def claiming(source: dict[str, str]) -> dict[str, Any]:
    claim = {"name": "gpus", **source}
    return {**GATED, "resourceClaims": [claim], **container(claims=[{"name": "gpus"}])}


def of_template(name: str) -> dict[str, Any]:
    return claiming({"resourceClaimTemplateName": name})


def nodes(cluster: ControlPlane) -> list[str]:
    return [each["metadata"]["name"] for each in cluster.request("GET", "/api/v1/nodes")["items"]]


def running(cluster: ControlPlane, count: int, selector: str = "") -> list[dict[str, Any]]:
    def all_run() -> list[dict[str, Any]] | None:
        pods = [pod for pod in cluster.pods(selector) if pod["status"].get("phase") == "Running"]
        return pods if len(pods) == count else None

    return cluster.wait_until(all_run, f"{count} pods run")


def let_time_pass(cluster: ControlPlane, process: Running, clock_seconds: float) -> None:
    began = process.process.clock.now()
    cluster.wait_until(
        lambda: (process.observations and process.observations[-1].view.now_seconds > began + clock_seconds) or None,
        f"it has decided after {clock_seconds:.0f} clock seconds more",
    )


def ordered(process: Running) -> float:
    return process.process.metrics.value(METRIC_SCALED_UP, "gpu") or 0.0


def test_a_job_with_claims_brings_its_node_from_nothing_and_the_node_goes_after_it(cluster: ControlPlane) -> None:
    devices.create_class(cluster)
    devices.create_template(cluster, "eight", devices.claim_spec(8, f'device.attributes["{DRIVER}"].model == "A100"'))
    with devices.driver(cluster, devices.whole_gpus(8)), deployed(cluster, live(described())) as process:
        cluster.create_gang_job("work", pods=1, gpus_per_pod=0, run_seconds=25, pod_spec=of_template("eight"))
        (pod,) = running(cluster, 1, "job-name=work")
        (node,) = nodes(cluster)
        (claim,) = devices.claims(cluster)
        assert pod["spec"]["nodeName"] == node
        assert devices.allocated(claim) == [f"{node}/gpu-{index}" for index in range(8)]
        # Long enough for an idle node to go.
        let_time_pass(cluster, process, 900.0)
        assert nodes(cluster) == [node]
        (seen,) = process.observations[-1].view.pools[0].nodes
        assert (str(seen.state), seen.used_gpu_milli) == ("busy", 8000)
        cluster.wait_for_job("work")
        cluster.wait_until(lambda: not nodes(cluster) or None, "the node is removed")
        assert ordered(process) == 1.0
        assert process.process.metrics.value(METRIC_EVICTED_PODS) == 0


def test_two_jobs_of_claims_share_a_node_and_a_third_gets_its_own(cluster: ControlPlane) -> None:
    devices.create_class(cluster)
    devices.create_template(cluster, "four", devices.claim_spec(4))
    with devices.driver(cluster, devices.whole_gpus(8)), deployed(cluster, live(described())) as process:
        for index in range(2):
            cluster.create_gang_job(f"work-{index}", pods=1, gpus_per_pod=0, pod_spec=of_template("four"))
        assert len({pod["spec"]["nodeName"] for pod in running(cluster, 2)}) == 1
        without_gate = {key: value for key, value in of_template("four").items() if key not in GATED}
        cluster.create_gang_job("work-2", pods=1, gpus_per_pod=0, pod_spec=without_gate)
        assert len({pod["spec"]["nodeName"] for pod in running(cluster, 3)}) == 2
        let_time_pass(cluster, process, 300.0)
        assert ordered(process) == 2.0


def test_pods_that_share_a_claim_get_one_node(cluster: ControlPlane) -> None:
    devices.create_class(cluster)
    devices.create_claim(cluster, "shared", devices.claim_spec(8))
    spec = claiming({"resourceClaimName": "shared"})
    with devices.driver(cluster, devices.whole_gpus(8)), deployed(cluster, live(described())) as process:
        cluster.create_gang_job("work", pods=3, gpus_per_pod=0, pod_spec=spec)
        pods = running(cluster, 3, "job-name=work")
        assert len({pod["spec"]["nodeName"] for pod in pods}) == 1
        # One that comes later follows the claim.
        cluster.create_pod("late", gpus=0, spec=spec)
        late = cluster.wait_for_pod("late", "Running")
        assert late["spec"]["nodeName"] == pods[0]["spec"]["nodeName"]
        let_time_pass(cluster, process, 300.0)
        assert ordered(process) == 1.0
        (seen,) = process.observations[-1].view.pools[0].nodes
        assert seen.used_gpu_milli == 8000


def test_parts_of_gpus_fill_a_gpu_before_another_node_comes(cluster: ControlPlane) -> None:
    devices.create_class(cluster)
    devices.create_template(cluster, "part", devices.claim_spec(1, PART))
    devices.create_template(cluster, "whole", devices.claim_spec(1, WHOLE))
    part = DevicePart(4, {"memory": "10Gi"}, {"kind": "part"})
    template = DeviceTemplate(DRIVER, 2, attributes={"kind": "whole"}, counters={"memory": "40Gi"}, parts=(part,))
    pool = described(gpus_per_node=2, devices=(template,))
    with devices.driver(cluster, devices.divided_gpus(2, 4)), deployed(cluster, live(pool)) as process:
        cluster.create_gang_job("whole", pods=1, gpus_per_pod=0, pod_spec=of_template("whole"))
        running(cluster, 1)
        for index in range(4):
            cluster.create_pod(f"part-{index}", gpus=0, spec=of_template("part"))
        running(cluster, 5)
        let_time_pass(cluster, process, 300.0)
        assert ordered(process) == 1.0
        (seen,) = process.observations[-1].view.pools[0].nodes
        assert (seen.allocatable_gpu_milli, seen.used_gpu_milli) == (2000, 2000)
        cluster.create_pod("part-4", gpus=0, spec=of_template("part"))
        running(cluster, 6)
        assert ordered(process) == 2.0


def test_an_extended_resource_that_a_class_serves_brings_one_node(cluster: ControlPlane) -> None:
    """Its nodes never have the resource as allocatable: the scheduler makes a claim for it."""
    devices.create_class(cluster, "example.com/gpu")
    pool = LivePool("gpu", max_nodes=4, boot_seconds=20.0, gpu_resource="example.com/gpu")
    timeout = "guardrails.backoff.provision_timeout_seconds=120.0"
    with devices.driver(cluster, devices.whole_gpus(8)), deployed(cluster, live(described(), timeout)) as process:
        spec = {**GATED, **container(limits={"example.com/gpu": "8"})}
        cluster.create_gang_job("work", pods=1, gpus_per_pod=0, run_seconds=10, pod_spec=spec)
        (pod,) = running(cluster, 1)
        assert pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"]
        let_time_pass(cluster, process, 300.0)
        assert ordered(process) == 1.0
        cluster.wait_for_job("work")
        cluster.wait_until(lambda: not nodes(cluster) or None, "the node is removed")
    # The same where the pool does not describe its devices.
    with devices.driver(cluster, devices.whole_gpus(8)), deployed(cluster, live(pool, timeout)) as process:
        cluster.create_gang_job("again", pods=1, gpus_per_pod=0, pod_spec=spec)
        running(cluster, 1, "job-name=again")
        let_time_pass(cluster, process, 300.0)
        assert ordered(process) == 1.0
        (seen,) = process.observations[-1].view.pools[0].nodes
        assert (str(seen.state), seen.used_gpu_milli) == ("busy", 8000)


def test_a_node_is_not_used_before_all_of_its_slices_are_there(cluster: ControlPlane) -> None:
    devices.create_class(cluster)
    devices.create_template(cluster, "eight", devices.claim_spec(8))
    halves = [{"devices": [{"name": f"gpu-{4 * half + index}"} for index in range(4)]} for half in range(2)]
    with deployed(cluster, live(described())) as process:
        cluster.create_gang_job("work", pods=1, gpus_per_pod=0, pod_spec=of_template("eight"))
        node = cluster.wait_until(
            lambda: next(iter(cluster.request("GET", "/api/v1/nodes")["items"]), None), "a node is ordered"
        )
        cluster.wait_for_node(node["metadata"]["name"])
        devices.publish(cluster, node, halves, only=[0])
        let_time_pass(cluster, process, 300.0)
        (seen,) = process.observations[-1].view.pools[0].nodes
        assert str(seen.state) == "booting"
        assert cluster.pods("job-name=work")[0]["spec"]["schedulingGates"]
        devices.publish(cluster, node, halves, only=[1])
        running(cluster, 1)
        assert ordered(process) == 1.0


def test_a_claim_that_no_pool_can_serve_is_told_and_brings_no_node(cluster: ControlPlane) -> None:
    devices.create_class(cluster)
    devices.create_template(cluster, "other", devices.claim_spec(1, f'device.attributes["{DRIVER}"].model == "H100"'))
    devices.create_template(cluster, "nine", devices.claim_spec(9))
    with deployed(cluster, live(described())) as process:
        for name in ("other", "nine"):
            cluster.create_pod(name, gpus=0, spec=of_template(name))

        def told() -> dict[str, str] | None:
            found = {
                event["involvedObject"]["name"]: event["message"]
                for event in cluster.request("GET", "/api/v1/namespaces/default/events")["items"]
                if event["reason"] == EVENT_NOT_TRIGGER_SCALE_UP
            }
            return found if len(found) == 2 else None

        messages = cluster.wait_until(told, "both pods are told")
        let_time_pass(cluster, process, 120.0)
    assert all("no pool has such devices, or not so many on a node" in each for each in messages.values())
    assert not nodes(cluster)


def test_admin_access_holds_no_node(cluster: ControlPlane) -> None:
    label = {"resource.kubernetes.io/admin-access": "true"}
    cluster.create_namespace("monitoring")
    body = {"metadata": {"labels": label}}
    cluster.request("PATCH", "/api/v1/namespaces/monitoring", body, content_type="application/merge-patch+json")
    devices.create_class(cluster)
    devices.create_template(cluster, "eight", devices.claim_spec(8))
    everything = {"deviceClassName": CLASS, "allocationMode": "All", "adminAccess": True}
    admin = {"devices": {"requests": [{"name": "gpus", "exactly": everything}]}}
    devices.create_template(cluster, "admin", admin, "monitoring")
    cluster.create_gpu_node("spare", gpus=0)  # a node to which a pod can move
    with devices.driver(cluster, devices.whole_gpus(8)), deployed(cluster, live(described())):
        cluster.create_gang_job("work", pods=1, gpus_per_pod=0, run_seconds=5, pod_spec=of_template("eight"))
        running(cluster, 1)
        spec = {key: value for key, value in of_template("admin").items() if key != "schedulingGates"}
        cluster.create_gang_job(
            "watch",
            pods=1,
            gpus_per_pod=0,
            namespace="monitoring",
            annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"},
            pod_spec=spec,
        )
        cluster.wait_until(
            lambda: (
                any(pod["status"].get("phase") == "Running" for pod in cluster.pods(namespace="monitoring")) or None
            ),
            "the pod with admin access runs beside it",
        )
        cluster.wait_for_job("work")
        let_node = "the node goes although a pod looks at its devices"
        cluster.wait_until(lambda: nodes(cluster) == ["spare"] or None, let_node)


def test_mig_slices_and_whole_gpus_of_one_pool_are_served(cluster: ControlPlane) -> None:
    resources = {"nvidia.com/gpu": GpuResource(1000, 1), SLICE: GpuResource(142, 7)}
    pool = LivePool("gpu", max_nodes=4, gpus_per_node=2, boot_seconds=20.0, resources=resources)
    with deployed(cluster, live(pool)) as process:
        for name, limits in (("whole", {"nvidia.com/gpu": "1"}), ("slices", {SLICE: "5"}), ("rest", {SLICE: "2"})):
            spec = {**GATED, **container(limits=limits)}
            cluster.create_gang_job(name, pods=1, gpus_per_pod=0, pod_spec=spec)
        pods = running(cluster, 3)
        assert len({pod["spec"]["nodeName"] for pod in pods}) == 1
        let_time_pass(cluster, process, 120.0)
        (seen,) = process.observations[-1].view.pools[0].nodes
        assert (seen.allocatable_gpu_milli, seen.used_gpu_milli) == (1994, 1994)
        spec = {**GATED, **container(limits={SLICE: "1"})}
        cluster.create_gang_job("more", pods=1, gpus_per_pod=0, pod_spec=spec)
        running(cluster, 4)
        assert ordered(process) == 2.0
