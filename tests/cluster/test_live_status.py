"""What a deploy shows of itself on the real control plane: the status ConfigMap and the soft taint."""

from typing import Any

import yaml

from autoscaler.live.names import STATUS_CONFIG_MAP, TAINT_CANDIDATE
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, deployed, live_settings

STATUS = f"/api/v1/namespaces/kube-system/configmaps/{STATUS_CONFIG_MAP}"


def status(cluster: ControlPlane) -> dict[str, Any]:
    assert cluster._exists(STATUS), "it is not written yet"
    found: dict[str, Any] = yaml.safe_load(cluster.request("GET", STATUS)["data"]["status"])
    return found


def soft_taint(cluster: ControlPlane) -> str | None:
    """The effect of the taint on the only node; None: it has none."""
    (node,) = cluster.request("GET", "/api/v1/nodes")["items"]
    taints = node["spec"].get("taints") or []
    return next((str(each["effect"]) for each in taints if each["key"] == TAINT_CANDIDATE), None)


def test_the_status_says_what_each_pool_has_and_does(cluster: ControlPlane) -> None:
    with deployed(cluster, live_settings("pools.0.max_nodes=4", "pools.0.min_nodes=1")):
        cluster.wait_until(
            lambda: status(cluster)["nodeGroups"][0]["health"]["nodeCounts"]["ready"] == 1 or None,
            "the status shows the first node",
        )
        found = status(cluster)
    (group,) = found["nodeGroups"]
    assert (group["name"], group["health"]["minSize"], group["health"]["maxSize"]) == ("gpu", 1, 4)
    assert group["health"]["cloudProviderTarget"] == 1
    assert group["scaleUp"]["status"] == "NoActivity"
    assert found["autoscalerStatus"] == "Running"
    assert found["clusterWide"]["health"]["status"] == "Healthy"
    assert group["health"]["lastProbeTime"] <= found["time"]


def test_an_idle_node_is_marked_and_the_mark_goes_when_it_works_again(cluster: ControlPlane) -> None:
    # Idle nodes stay for the longest time that a guardrail knows here.
    with deployed(cluster, live_settings("pools.0.max_nodes=1", "guardrails.cooldowns.unneeded_seconds=36000.0")):
        cluster.create_gang_job("first", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        cluster.wait_for_job("first")
        cluster.wait_until(lambda: soft_taint(cluster) == "PreferNoSchedule" or None, "it is a candidate")
        cluster.create_gang_job("second", pods=1, gpus_per_pod=8, pod_spec=GATED)
        cluster.wait_until(lambda: soft_taint(cluster) is None or None, "it is no candidate any more")
        (pod,) = cluster.pods("job-name=second")
        assert pod["status"]["phase"] in ("Pending", "Running")
