"""Broken and lost nodes on the real control plane: woken at once, repaired by their conditions, never too early."""

from typing import Any

import pytest

from autoscaler.live.config import LiveConfig
from autoscaler.live.kube.client import ClusterAccessError, connect
from autoscaler.live.names import ANNOTATION_REBOOTED_AT, EVENT_REPAIR, LABEL_POOL, TAINT_REPAIR, TAINT_TO_BE_DELETED
from autoscaler.live.preflight import check_cluster
from autoscaler.live.providers.kwok.names import ANNOTATION_KWOK_BOOT_STARTED
from tests.cluster import foreign
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, TIME_SCALE, Running, deployed, live_settings

Json = dict[str, Any]
STRATEGIC = "application/strategic-merge-patch+json"
NEVER_QUIET = ("resync_interval_seconds=36000.0", "http.activity_timeout_seconds=3600.0")
"""Without an event or a moment it decides again in ten wall minutes, so only these can wake it."""


def live(*overrides: str) -> LiveConfig:
    return live_settings("pools.0.max_nodes=2", *NEVER_QUIET, *overrides)


def names(cluster: ControlPlane) -> set[str]:
    return {node["metadata"]["name"] for node in cluster.request("GET", "/api/v1/nodes")["items"]}


def taints(cluster: ControlPlane, node: str) -> set[str]:
    return {taint["key"] for taint in cluster.node(node)["spec"].get("taints", ())}


def said(cluster: ControlPlane, node: str, kind: str, status: str) -> None:
    """A detector on the node says something of it."""
    condition = {"type": kind, "status": status, "reason": "Tested", "message": ""}
    path = f"/api/v1/nodes/{node}/status"
    cluster.request("PATCH", path, {"status": {"conditions": [condition]}}, content_type=STRATEGIC)


def pass_time(cluster: ControlPlane, running: Running, clock_seconds: float) -> None:
    until = running.process.clock.now() + clock_seconds
    cluster.wait_until(lambda: running.process.clock.now() >= until or None, f"{clock_seconds:.0f} clock seconds pass")


def test_a_booting_node_that_is_lost_is_ordered_again_at_once(cluster: ControlPlane) -> None:
    with deployed(cluster, live("pools.0.boot_seconds=36000.0")) as running:
        cluster.create_pod("p", gpus=8, spec=GATED)
        cluster.wait_until(lambda: names(cluster) or None, "a node is ordered")
        (lost,) = names(cluster)
        pass_time(cluster, running, 120.0)
        cluster.request("DELETE", f"/api/v1/nodes/{lost}")
        began = running.process.clock.now()
        cluster.wait_until(lambda: names(cluster) - {lost} or None, "another node is ordered")
        took = running.process.clock.now() - began
    # Two decision intervals, and two wall seconds for a busy machine.
    assert took <= 2.0 * running.process.config.decision_interval_seconds + 2.0 * TIME_SCALE, took


def test_a_pool_is_tried_again_when_its_backoff_ends(cluster: ControlPlane) -> None:
    times = "guardrails.backoff.provision_timeout_seconds=120.0"
    with deployed(cluster, live("pools.0.provider_settings.gpu_delay_seconds=null", times)) as running:
        cluster.create_pod("p", gpus=8, spec=GATED)
        cluster.wait_until(lambda: names(cluster) or None, "a node is ordered")
        (first,) = names(cluster)
        cluster.wait_until(lambda: first not in names(cluster) or None, "it is given up")
        cluster.wait_until(lambda: names(cluster) or None, "another one is ordered")
        ordered = running.process.clock.now()
        late = ordered - running.states[-1].backoffs["gpu"].until_seconds
    assert late <= 2.0 * running.process.config.decision_interval_seconds + 2.0 * TIME_SCALE, late


def test_a_plugin_that_restarts_late_does_not_cost_the_node(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("n", labels={LABEL_POOL: "gpu"})
    cluster.wait_for_node("n", gpus=8)
    times = ("guardrails.backoff.provision_timeout_seconds=240.0", "pools.0.min_nodes=0")
    with deployed(cluster, live(*times)) as running:
        pass_time(cluster, running, 220.0)
        none = {"status": {"allocatable": {"nvidia.com/gpu": "0"}, "capacity": {"nvidia.com/gpu": "0"}}}
        cluster.request("PATCH", "/api/v1/nodes/n/status", none, content_type="application/merge-patch+json")
        pass_time(cluster, running, 180.0)
        assert TAINT_TO_BE_DELETED not in taints(cluster, "n")
        cluster.wait_until(lambda: "n" not in names(cluster) or None, "it is given up in its time")


REPAIRED = (
    "pools.0.repair.enabled=true",
    "pools.0.repair.healthy_seconds=60.0",
    "pools.0.repair.reboot_seconds=240.0",
    "pools.0.repair.max_share=1.0",
    "pools.0.min_nodes=1",
)


def repairing(*overrides: str) -> LiveConfig:
    condition = "pools.0.repair.conditions=[{type: Gpu*Watch, status: 'True', toleration_seconds: 120.0}]"
    return live(*REPAIRED, condition, *overrides)


def rebooted(cluster: ControlPlane, node: str) -> None:
    def seen() -> bool:
        return ANNOTATION_REBOOTED_AT in cluster.node(node)["metadata"]["annotations"]

    cluster.wait_until(seen, "it is rebooted")


def ready_node(cluster: ControlPlane) -> str:
    cluster.wait_until(lambda: len(names(cluster)) == 1 or None, "the least node is ordered")
    (name,) = names(cluster)
    cluster.wait_for_node(name, gpus=8)
    return name


def test_a_broken_node_is_rebooted_and_comes_back_when_that_helped(cluster: ControlPlane) -> None:
    with deployed(cluster, repairing("pools.0.max_nodes=1")):
        node = ready_node(cluster)
        boot = cluster.node(node)["metadata"]["annotations"][ANNOTATION_KWOK_BOOT_STARTED]
        said(cluster, node, "GpuMemWatch", "True")
        rebooted(cluster, node)
        assert TAINT_REPAIR in taints(cluster, node)
        said(cluster, node, "GpuMemWatch", "False")
        cluster.wait_until(lambda: TAINT_REPAIR not in taints(cluster, node) or None, "it is given back")
        after = cluster.wait_for_node(node, gpus=8)
    assert after["metadata"]["annotations"][ANNOTATION_KWOK_BOOT_STARTED] != boot
    assert ANNOTATION_REBOOTED_AT not in after["metadata"]["annotations"]
    events = cluster.request("GET", "/api/v1/events")["items"]
    assert len([event for event in events if event["reason"] == EVENT_REPAIR]) >= 2


def test_another_controller_is_asked_to_reboot_a_broken_node(cluster: ControlPlane) -> None:
    foreign.install(cluster, foreign.crd("janitor.dgxc.nvidia.com", "v1alpha1", "RebootNode", scope="Cluster"))
    path = "/apis/janitor.dgxc.nvidia.com/v1alpha1/rebootnodes"
    with deployed(cluster, repairing("pools.0.max_nodes=1", "pools.0.repair.reboot_request={}")):
        node = ready_node(cluster)
        boot = cluster.node(node)["metadata"]["annotations"][ANNOTATION_KWOK_BOOT_STARTED]
        said(cluster, node, "GpuMemWatch", "True")
        (asked,) = cluster.wait_until(lambda: cluster.request("GET", path)["items"], "it is asked")
        assert asked["spec"] == {"nodeName": node}
        assert TAINT_REPAIR in taints(cluster, node)
        assert cluster.node(node)["metadata"]["annotations"][ANNOTATION_KWOK_BOOT_STARTED] == boot, (
            "not by its provider"
        )
        said(cluster, node, "GpuMemWatch", "False")
        cluster.wait_until(lambda: TAINT_REPAIR not in taints(cluster, node) or None, "it is given back")


def test_without_the_kind_that_asks_for_reboots_it_is_one_line(cluster: ControlPlane) -> None:
    cluster.remove_crds()
    with pytest.raises(ClusterAccessError, match=r"no CRD for RebootNode of janitor\.dgxc\.nvidia\.com/v1alpha1"):
        check_cluster(connect(str(cluster.kubeconfig)), repairing("pools.0.repair.reboot_request={}"))


def test_a_node_that_a_reboot_does_not_help_is_replaced(cluster: ControlPlane) -> None:
    with deployed(cluster, repairing()):
        node = ready_node(cluster)
        said(cluster, node, "GpuMemWatch", "True")
        rebooted(cluster, node)
        cluster.wait_until(lambda: node not in names(cluster) or None, "it is removed")
        assert ready_node(cluster) != node


def test_reasons_that_flap_do_not_give_a_node_its_time_anew(cluster: ControlPlane) -> None:
    with deployed(cluster, repairing("pools.0.repair.healthy_seconds=3600.0")) as running:
        node = ready_node(cluster)
        for kind in ("GpuMemWatch", "GpuNvlinkWatch", "GpuPcieWatch", "GpuPowerWatch", "GpuThermalWatch"):
            said(cluster, node, kind, "True")
            pass_time(cluster, running, 50.0)
            said(cluster, node, kind, "False")
        said(cluster, node, "GpuMemWatch", "True")
        rebooted(cluster, node)


@pytest.mark.parametrize("allowed", [False, True], ids=["by default", "where the config says so"])
def test_a_broken_node_where_gpus_work_is_touched_only_where_the_config_says_so(
    cluster: ControlPlane, allowed: bool
) -> None:
    evict = f"pools.0.repair.evict_accelerator_pods={str(allowed).lower()}"
    with deployed(cluster, repairing("pools.0.min_nodes=2", evict)) as running:
        cluster.wait_until(lambda: len(names(cluster)) == 2 or None, "two nodes are ordered")
        cluster.create_gang_job("work", pods=1, gpus_per_pod=8, backoff_limit=6, pod_spec=GATED)
        cluster.wait_until(
            lambda: [pod for pod in cluster.pods("job-name=work") if pod["status"]["phase"] == "Running"] or None,
            "the work runs",
        )
        (pod,) = cluster.pods("job-name=work")
        node = pod["spec"]["nodeName"]
        said(cluster, node, "GpuMemWatch", "True")
        if allowed:
            cluster.wait_until(lambda: node not in names(cluster) or None, "it is replaced")
        else:
            pass_time(cluster, running, 600.0)
            (after,) = cluster.pods("job-name=work")
            assert after["metadata"]["uid"] == pod["metadata"]["uid"]
            assert not taints(cluster, node)
