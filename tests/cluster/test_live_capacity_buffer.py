"""What the policy keeps free is a CapacityBuffer for the autoscaler that makes the nodes, seen from the API server."""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.live.config import LiveConfig
from autoscaler.live.kube.client import ClusterAccessError, connect
from autoscaler.live.names import FIELD_MANAGER, LABEL_POOL
from autoscaler.live.preflight import check_cluster
from autoscaler.live.process import Process
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, deployed, live_settings
from tests.cluster.live_support import pool_node

BUFFERS = "/apis/autoscaling.x-k8s.io/v1beta1/namespaces/kube-system/capacitybuffers"
TEMPLATES = "/api/v1/namespaces/kube-system/podtemplates"


def settings(*overrides: str, pools: int = 1) -> LiveConfig:
    """Pools whose nodes others make, of which one is to be there always."""
    config = live_settings("resync_interval_seconds=30.0", *overrides)
    pool = replace(config.pools[0], provider="capacity-buffer", provider_settings={}, min_nodes=1)
    return replace(config, pools=tuple(replace(pool, name=name) for name in "abc"[:pools]))


def buffers(cluster: ControlPlane) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in cluster.request("GET", BUFFERS)["items"]}


def replicas(cluster: ControlPlane) -> dict[str, int]:
    return {name: item["spec"]["replicas"] for name, item in buffers(cluster).items()}


def test_the_reserve_is_written_and_falls_when_a_job_uses_it(cluster: ControlPlane) -> None:
    cluster.install_karpenter_crds()  # they bring that of CapacityBuffers; nobody serves it
    with deployed(cluster, settings()):
        cluster.wait_until(lambda: replicas(cluster) == {"green-autoscaler-a": 1} or None, "a node is kept free")
        (buffer,) = buffers(cluster).values()
        assert FIELD_MANAGER in {entry["manager"] for entry in buffer["metadata"]["managedFields"]}
        template = cluster.request("GET", f"{TEMPLATES}/{buffer['spec']['podTemplateRef']['name']}")
        assert template["template"]["spec"]["nodeSelector"] == {LABEL_POOL: "a"}
        cluster.create_gang_job("job", pods=1, gpus_per_pod=8, run_seconds=3600, pod_spec=GATED)
        cluster.wait_until(lambda: replicas(cluster) == {"green-autoscaler-a": 0} or None, "the job has the node")
        (pod,) = cluster.pods("job-name=job")
        assert "schedulingGates" not in pod["spec"], "the other autoscaler only sees pods without gates"
        assert pod["spec"]["nodeSelector"] == {LABEL_POOL: "a"}
        assert cluster.request("GET", "/api/v1/nodes")["items"] == [], "nodes are others' to make"
        pool_node(cluster, "theirs")
        cluster.wait_until(
            lambda: cluster.pods("job-name=job")[0]["status"]["phase"] == "Running" or None, "the job runs"
        )


def test_the_buffer_of_a_pool_goes_with_the_pool(cluster: ControlPlane) -> None:
    cluster.install_karpenter_crds()
    with deployed(cluster, settings(pools=2)):
        cluster.wait_until(lambda: len(buffers(cluster)) == 2 or None, "both pools have a buffer")
    with deployed(cluster, settings(pools=1)):
        cluster.wait_until(lambda: [*buffers(cluster)] == ["green-autoscaler-a"] or None, "one buffer is left")
        names = {item["metadata"]["name"] for item in cluster.request("GET", TEMPLATES)["items"]}
        assert names == {"green-autoscaler-a"}


def test_the_last_buffer_goes_with_a_config_that_has_no_such_pool_any_more(cluster: ControlPlane) -> None:
    cluster.install_karpenter_crds()
    with deployed(cluster, settings()) as running:
        cluster.wait_until(lambda: buffers(cluster) or None, "the pool has a buffer")
        process: Process = running.process
        other = settings()
        process._offered(replace(other, pools=(replace(other.pools[0], provider="kwok", min_nodes=0),)))
        cluster.wait_until(lambda: not buffers(cluster) or None, "the buffer is gone")


def test_a_dry_run_writes_nothing(cluster: ControlPlane) -> None:
    cluster.install_karpenter_crds()
    with deployed(cluster, replace(settings(), dry_run=True)) as running:
        cluster.wait_until(lambda: len(running.observations) > 2 or None, "it has decided")
        assert buffers(cluster) == {}


def test_a_cluster_without_the_api_is_refused_in_one_line(cluster: ControlPlane) -> None:
    cluster.remove_crds()
    client = connect(str(cluster.kubeconfig))
    try:
        with pytest.raises(ClusterAccessError, match=r"pool a: the cluster has no CRD for CapacityBuffer"):
            check_cluster(client, settings())
    finally:
        client.close()
