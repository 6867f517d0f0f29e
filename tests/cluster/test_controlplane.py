"""The control plane is a real one: RBAC, scheduling, Jobs, node health, evictions, and it can fail."""

import time
from datetime import datetime
from functools import partial
from typing import Any

import pytest
import urllib3
from kubernetes import client

from autoscaler.live.kube.client import connect
from autoscaler.live.names import STATUS_CONFIG_MAP
from tests.cluster import constants, rest
from tests.cluster.cluster import allocatable_gpus, condition_status, is_ready
from tests.cluster.control_plane import ControlPlane


def status_of(error: pytest.ExceptionInfo[client.ApiException]) -> int:
    return int(error.value.status)


def test_a_service_account_may_do_what_its_role_says_and_nothing_else(cluster: ControlPlane) -> None:
    kubeconfig = cluster.service_account_kubeconfig("observer")
    with rest.api_client(kubeconfig) as api:
        nodes = client.CoreV1Api(api)
        with pytest.raises(client.ApiException) as refused:
            nodes.list_node()
        assert status_of(refused) == 403

        rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
        role = {"metadata": {"name": "observer"}, "rules": rules}
        cluster.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
        subject = {"kind": "ServiceAccount", "name": "observer", "namespace": "default"}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "observer"}
        binding = {"metadata": {"name": "observer"}, "subjects": [subject], "roleRef": reference}
        cluster.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)

        def allowed() -> bool:
            try:
                nodes.list_node()
            except client.ApiException as error:
                return int(error.status) != 403
            return True

        cluster.wait_until(allowed, "the API server has seen the ClusterRoleBinding")
        nodes.list_node()
        with pytest.raises(client.ApiException) as refused:
            nodes.delete_node("any")
        assert status_of(refused) == 403


def test_who_has_no_credentials_is_refused(cluster: ControlPlane) -> None:
    pool = urllib3.PoolManager(ca_certs=str(cluster.ca))
    reply = pool.request("GET", f"{cluster.server}/api/v1/nodes", retries=False, timeout=10)
    pool.clear()
    assert reply.status == 403
    assert b"system:anonymous" in reply.data


def test_a_node_is_ready_after_its_boot_delay_and_its_gpus_come_later(cluster: ControlPlane) -> None:
    started = time.monotonic()
    created = cluster.create_gpu_node("slow", gpus=8, boot_seconds=2, gpu_delay_seconds=2)
    cluster.wait_for_node("slow")
    assert time.monotonic() - started >= 2
    cluster.wait_for_node("slow", gpus=8)
    assert time.monotonic() - started >= 4
    assert gpus_in_its_first_ready_version(cluster, created) == 0


def gpus_in_its_first_ready_version(cluster: ControlPlane, created: Any) -> int:
    """Of a node, from its history: who polls may miss versions."""
    kube = connect(str(cluster.kubeconfig))
    query = {"resourceVersion": created["metadata"]["resourceVersion"], "timeoutSeconds": "60"}
    try:
        for event in kube.watch("/api/v1/nodes", query, 60.0):
            if is_ready(event["object"]):
                return allocatable_gpus(event["object"])
    finally:
        kube.close()
    raise AssertionError("no version of the node is Ready")


def test_gpus_may_never_come(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("broken", gpus=8, gpu_delay_seconds=None)
    cluster.create_gpu_node("whole", gpus=8, gpu_delay_seconds=1)
    cluster.wait_for_node("broken")
    cluster.wait_for_node("whole", gpus=8)
    assert allocatable_gpus(cluster.node("broken")) == 0


def test_kwok_leaves_other_nodes_alone(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("stranger", annotations={constants.KWOK_ANNOTATION: "no"})
    cluster.create_gpu_node("ours")
    cluster.wait_for_node("ours")
    assert not is_ready(cluster.node("stranger"))


def test_a_gang_runs_for_its_annotated_time_and_completes(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8)
    cluster.wait_for_node("node", gpus=8)
    cluster.create_gang_job("gang", pods=2, gpus_per_pod=4, run_seconds=4)
    cluster.wait_for_job("gang")
    ended = cluster.pods("job-name=gang")
    for pod in ended:
        finished = pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
        # finishedAt has whole seconds.
        assert datetime.fromisoformat(finished).timestamp() - run_started(pod) > 3
    assert [pod["status"]["phase"] for pod in ended] == ["Succeeded"] * 2
    assert {pod["spec"]["nodeName"] for pod in ended} == {"node"}
    indexes = {pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in ended}
    assert indexes == {"0", "1"}


def run_started(pod: Any) -> float:
    """When KWOK let a pod run, in unix seconds; AssertionError: not yet."""
    written = pod["metadata"]["annotations"].get(constants.ANNOTATION_RUN_STARTED_AT)
    assert written is not None, "it does not run yet"
    return datetime.fromisoformat(written).timestamp()


def wait_until_due(cluster: ControlPlane, name: str, run_seconds: float) -> None:
    """Sleep until KWOK should have ended a pod that has begun to run, and a little longer."""
    started = cluster.wait_until(lambda: run_started(cluster.pod(name)), f"{name} runs")
    time.sleep(max(0.0, started + run_seconds + 2.0 - time.time()))


def test_the_scheduler_counts_gpus(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8)
    cluster.wait_for_node("node", gpus=8)
    cluster.create_pod("large", gpus=6)
    cluster.wait_for_pod("large", "Running")
    cluster.create_pod("second", gpus=4)

    def refused() -> bool:
        status = cluster.request("GET", "/api/v1/namespaces/default/pods/second")["status"]
        conditions = status.get("conditions", ())
        return any(item["reason"] == "Unschedulable" and "nvidia.com/gpu" in item["message"] for item in conditions)

    cluster.wait_until(refused, "the second pod is Unschedulable for want of GPUs")


def test_the_scheduler_fills_a_node_before_it_uses_another(cluster: ControlPlane) -> None:
    """By `deploy/kube-scheduler.yaml`; its default would send the second pod to the empty node."""
    for name in ("first", "second"):
        cluster.create_gpu_node(name, gpus=8)
    for name in ("first", "second"):
        cluster.wait_for_node(name, gpus=8)
    used = set()
    for index, gpus in enumerate((2, 4, 1, 1)):
        cluster.create_pod(f"pod-{index}", gpus=gpus)
        used.add(cluster.wait_for_pod(f"pod-{index}", "Running")["spec"]["nodeName"])
    assert len(used) == 1


def test_a_failing_pod_fails_its_job(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8)
    cluster.create_gang_job("gang", pods=1, gpus_per_pod=8, run_seconds=0.5, outcome="fail")
    job = cluster.wait_for_job("gang", "Failed")
    assert job["status"]["failed"] == 1
    (pod,) = cluster.pods("job-name=gang")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 1


def test_a_node_whose_heartbeat_stops_is_not_ready_until_it_goes_on(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8)
    cluster.wait_for_node("node", gpus=8)
    cluster.stop_heartbeat("node")
    node = cluster.wait_for_node("node", ready=False)
    cluster.wait_until(
        lambda: "node.kubernetes.io/unreachable" in taints(cluster, "node"), f"it is tainted, {node['spec']}"
    )
    cluster.start_heartbeat("node")
    cluster.wait_for_node("node", gpus=8)


def taints(cluster: ControlPlane, node: str) -> set[str]:
    return {taint["key"] for taint in cluster.node(node)["spec"].get("taints", ())}


def test_a_node_can_be_made_to_stop_its_heartbeat_after_a_while(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8, heartbeat_seconds=1)
    cluster.wait_for_node("node", gpus=8)
    cluster.wait_for_node("node", ready=False)
    lease = cluster.request(
        "GET", f"/apis/coordination.k8s.io/v1/namespaces/{constants.NODE_LEASE_NAMESPACE}/leases/node"
    )
    assert lease["spec"]["holderIdentity"] == constants.HEARTBEAT_STOPPED_HOLDER


def unreachable_while_it_runs(cluster: ControlPlane) -> tuple[str, float]:
    """Name and run time of a pod whose node became unreachable before it ended; a slow machine needs a longer one."""
    for run_seconds in (45.0, 150.0, 500.0):
        name = f"trainer-{run_seconds:.0f}"
        cluster.create_pod(name, gpus=1, run_seconds=run_seconds)
        cluster.wait_until(partial(has_begun, cluster, name), f"{name} runs, or ran already")
        cluster.stop_heartbeat("node")
        cluster.wait_for_node("node", ready=False)
        # The controller manager says so of the pods a moment after it said so of the node.
        cluster.wait_until(partial(is_not_ready, cluster, name), "the pod is not Ready")
        if cluster.pod(name)["status"]["phase"] == "Running":
            return name, run_seconds
        cluster.start_heartbeat("node")
        cluster.wait_for_node("node", ready=True)
    raise AssertionError("each pod ended before anybody saw that the heartbeat stopped")


def has_begun(cluster: ControlPlane, name: str) -> bool:
    return cluster.pod(name)["status"].get("phase") in ("Running", "Succeeded")


def is_not_ready(cluster: ControlPlane, name: str) -> bool:
    return condition_status(cluster.pod(name), "Ready") == "False"


def test_a_pod_does_not_end_while_its_node_is_unreachable(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8)
    name, run_seconds = unreachable_while_it_runs(cluster)
    wait_until_due(cluster, name, run_seconds)
    assert cluster.pod(name)["status"]["phase"] == "Running"
    cluster.start_heartbeat("node")
    cluster.wait_for_pod(name, "Succeeded")


def test_a_new_pod_does_not_inherit_the_end_of_an_old_one_of_its_name(cluster: ControlPlane) -> None:
    run_seconds = 10.0
    cluster.create_gpu_node("node", gpus=8)
    cluster.create_pod("trainer", gpus=1, run_seconds=run_seconds)
    cluster.wait_until(lambda: run_started(cluster.pod("trainer")), "the old one runs")
    cluster.reset()
    cluster.create_gpu_node("node", gpus=8)
    cluster.create_pod("trainer", gpus=1)
    wait_until_due(cluster, "trainer", run_seconds)
    assert cluster.pod("trainer")["status"]["phase"] == "Running"


def evict(cluster: ControlPlane, name: str, **preconditions: Any) -> Any:
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name},
        "deleteOptions": {"preconditions": preconditions},
    }
    return cluster.request("POST", f"/api/v1/namespaces/default/pods/{name}/eviction", body)


def test_eviction_is_refused_by_a_budget_and_by_a_wrong_uid(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8)
    cluster.create_pod("held", gpus=1, labels={"app": "held"})
    cluster.create_pod("free", gpus=1, labels={"app": "free"})
    cluster.wait_for_pod("held", "Running")
    uid = cluster.wait_for_pod("free", "Running")["metadata"]["uid"]
    cluster.create_disruption_budget("held", {"app": "held"}, max_unavailable=0)

    with pytest.raises(client.ApiException) as refused:
        evict(cluster, "held")
    assert status_of(refused) == 429
    with pytest.raises(client.ApiException) as refused:
        evict(cluster, "free", uid="00000000-0000-0000-0000-000000000000")
    assert status_of(refused) == 409
    with pytest.raises(client.ApiException) as refused:
        evict(cluster, "absent")
    assert status_of(refused) == 404

    evict(cluster, "free", uid=uid)
    cluster.wait_until(
        lambda: [pod["metadata"]["name"] for pod in cluster.pods()] == ["held"], "the evicted pod is gone"
    )


def test_a_pod_takes_its_annotated_time_to_terminate(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8)
    cluster.create_pod("lingering", gpus=1, termination_seconds=2)
    cluster.wait_for_pod("lingering", "Running")
    started = time.monotonic()
    deleted = cluster.request("DELETE", "/api/v1/namespaces/default/pods/lingering")
    assert deleted["metadata"]["deletionTimestamp"]
    cluster.wait_until(lambda: not cluster.pods(), "the pod is gone")
    assert time.monotonic() - started >= 2


def test_an_evicted_pod_of_a_job_is_replaced(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node", gpus=8)
    cluster.create_gang_job("gang", pods=1, gpus_per_pod=8, backoff_limit=3)
    cluster.wait_until(
        lambda: [pod["status"]["phase"] for pod in cluster.pods("job-name=gang")] == ["Running"], "the first pod runs"
    )
    (first,) = cluster.pods("job-name=gang")
    evict(cluster, first["metadata"]["name"])

    def replaced() -> bool:
        pods = cluster.pods("job-name=gang")
        return [pod["status"]["phase"] for pod in pods] == ["Running"] and (
            pods[0]["metadata"]["uid"] != first["metadata"]["uid"]
        )

    cluster.wait_until(replaced, "another pod runs in its place")


def test_a_frozen_api_server_answers_nothing_and_then_goes_on(cluster: ControlPlane) -> None:
    cluster.create_gpu_node("node")
    with cluster.frozen_api_server(), pytest.raises(urllib3.exceptions.HTTPError):
        cluster.request("GET", "/api/v1/nodes", timeout_seconds=1)
    assert cluster.node("node")["metadata"]["name"] == "node"


@pytest.mark.parametrize("polite", [True, False])
def test_the_api_server_comes_back_with_all_objects(cluster: ControlPlane, polite: bool) -> None:
    cluster.create_gpu_node("node", gpus=8)
    before = cluster.api_server.pid
    cluster.restart_api_server(polite=polite)
    assert cluster.api_server.pid != before
    cluster.wait_for_node("node", gpus=8)


def test_a_control_plane_that_begins_anew_has_forgotten_everything_and_works(cluster: ControlPlane) -> None:
    cluster.install_karpenter_crds()
    cluster.create_gpu_node("old")
    cluster.freeze_api_server()
    cluster.begin_anew()
    assert cluster.request("GET", "/api/v1/nodes")["items"] == []
    assert cluster.request("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"] == []
    cluster.create_gpu_node("node", gpus=8)
    cluster.create_gang_job("gang", pods=2, gpus_per_pod=4, run_seconds=0)
    cluster.wait_for_job("gang")


def test_reset_leaves_nothing(cluster: ControlPlane) -> None:
    for index in range(5):
        cluster.create_gpu_node(f"node-{index}", gpus=8)
        cluster.create_gang_job(f"gang-{index}", pods=2, gpus_per_pod=4)
    cluster.create_disruption_budget("budget", {"app": "any"})
    cluster.create_namespace("elsewhere")
    cluster.create_pod("waiting", gpus=99, namespace="elsewhere")
    cluster.service_account_kubeconfig("somebody")
    maps = "/api/v1/namespaces/kube-system/configmaps"
    cluster.request("POST", maps, {"metadata": {"name": STATUS_CONFIG_MAP}})
    cluster.wait_until(
        lambda: sum(pod["status"]["phase"] == "Running" for pod in cluster.pods()) == 10, "all gangs run"
    )
    cluster.reset()
    for path in ("/api/v1/nodes", "/api/v1/pods", "/apis/batch/v1/jobs", "/apis/policy/v1/poddisruptionbudgets"):
        assert cluster.request("GET", path)["items"] == []
    assert STATUS_CONFIG_MAP not in {item["metadata"]["name"] for item in cluster.request("GET", maps)["items"]}
    namespaces = {item["metadata"]["name"] for item in cluster.request("GET", "/api/v1/namespaces")["items"]}
    assert namespaces == constants.SYSTEM_NAMESPACES
