"""Scale-up counts all that pods request, and only demand that can come, as the API server shows it."""

from dataclasses import replace
from typing import Any

import pytest

from autoscaler.live.config import LiveConfig, LivePool, NodeTemplate
from autoscaler.live.names import GATE_PLACEMENT, LABEL_POOL, TAINT_TO_BE_DELETED
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, Running, deployed, live_settings
from tests.cluster.live_support import replica_set
from tests.cluster.objects import IMAGE

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
LABELS = {"app": "x"}
SELECTOR = {"matchLabels": LABELS}
BOTH = pytest.mark.parametrize("gates", [GATED, {}], ids=["at our gate", "without a gate"])
JOBS = "/apis/batch/v1/namespaces/default/jobs"


def requesting(gpus: int = 1, **requests: str) -> dict[str, Any]:
    """A pod's containers with GPUs and requests."""
    resources = {"requests": {key.replace("_", "-"): value for key, value in requests.items()}}
    return {"containers": [{"name": "main", "image": IMAGE, "resources": {**resources, "limits": gpu(gpus)}}]}


def gpu(count: int) -> dict[str, str]:
    return {"nvidia.com/gpu": str(count)}


def nodes(cluster: ControlPlane) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.request("GET", "/api/v1/nodes")["items"]
    return found


def names(cluster: ControlPlane) -> set[str]:
    return {node["metadata"]["name"] for node in nodes(cluster)}


def let_it_decide(cluster: ControlPlane, running: Running, times: int = 4) -> None:
    """Wait until it has looked at the cluster so often more."""
    seen = len(running.observations)
    cluster.wait_until(lambda: len(running.observations) > seen + times or None, f"it has decided {times} times more")


def told(cluster: ControlPlane, job: str, words: str, namespace: str = "default") -> str:
    """The message of an Event NotTriggerScaleUp on a Job that has some words in it."""

    def found() -> str | None:
        events = cluster.request("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
        return next(
            (
                event["message"]
                for event in events
                if event["reason"] == "NotTriggerScaleUp"
                and event["involvedObject"]["name"] == job
                and words in event["message"]
            ),
            None,
        )

    return cluster.wait_until(found, f"Job {job} hears {words!r}")


def settings(*overrides: str) -> LiveConfig:
    return live_settings("resync_interval_seconds=60.0", *overrides)


def two_zones() -> LiveConfig:
    """A pool in each of two zones."""
    config = settings()
    (pool,) = config.pools
    pools = [
        replace(pool, name=name, template=NodeTemplate({ZONE: zone}), max_nodes=4)
        for name, zone in (("a", "z1"), ("b", "z2"))
    ]
    return replace(config, pools=tuple(pools))


def busy_node(cluster: ControlPlane, pod: dict[str, Any], name: str = "full", **options: Any) -> None:
    """A node of the pool with one pod on it."""
    cluster.create_gpu_node(name, labels={LABEL_POOL: "gpu"}, **options)
    cluster.wait_for_node(name, gpus=8)
    cluster.create_pod("there", spec=pod)
    cluster.wait_for_pod("there", "Running")


@BOTH
@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ({"cpu": "90", "memory": "1Gi"}, {"cpu": "8", "memory": "1Gi"}),
        ({"cpu": "1", "memory": "1000Gi"}, {"cpu": "1", "memory": "100Gi"}),
    ],
    ids=["CPUs", "memory"],
)
def test_a_node_with_free_gpus_and_no_more_of_what_else_is_requested_gets_a_second_one(
    cluster: ControlPlane, there: dict[str, str], wanted: dict[str, str], gates: dict[str, Any]
) -> None:
    busy_node(cluster, requesting(1, **there))
    with deployed(cluster, settings()):
        cluster.create_gang_job("j", pods=1, run_seconds=1, pod_spec={**requesting(1, **wanted), **gates})
        cluster.wait_for_job("j")
        assert cluster.pod("there")["spec"]["nodeName"] == "full"


@BOTH
def test_three_pods_that_want_to_be_apart_get_three_nodes_and_run_side_by_side(
    cluster: ControlPlane, gates: dict[str, Any]
) -> None:
    term = {"labelSelector": SELECTOR, "topologyKey": HOST}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    with deployed(cluster, settings()):
        spec = {"affinity": affinity, **gates}
        cluster.create_gang_job("apart", pods=3, gpus_per_pod=1, labels=LABELS, pod_spec=spec)

        def spread() -> set[str] | None:
            pods = cluster.pods("job-name=apart")
            on = {pod["spec"].get("nodeName") for pod in pods if pod["status"]["phase"] == "Running"}
            return on if len(on) == 3 else None

        on = cluster.wait_until(spread, "three pods run on three nodes")
        assert names(cluster) == on, "and no node too many"


def test_a_spread_over_hosts_gets_its_nodes(cluster: ControlPlane) -> None:
    constraint = {"maxSkew": 1, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": SELECTOR}
    with deployed(cluster, settings()):
        spec = {"topologySpreadConstraints": [{**constraint, "minDomains": 3}], **GATED}
        cluster.create_gang_job("spread", pods=3, gpus_per_pod=1, labels=LABELS, run_seconds=2, pod_spec=spec)
        cluster.wait_for_job("spread")


def test_a_spread_over_zones_grows_the_pool_of_each_zone(cluster: ControlPlane) -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": SELECTOR,
        "minDomains": 2,
    }
    with deployed(cluster, two_zones()):
        spec = {"topologySpreadConstraints": [constraint]}
        for index in range(2):
            cluster.create_pod(f"p{index}", gpus=1, labels=LABELS, spec=spec)
        for index in range(2):
            cluster.wait_for_pod(f"p{index}", "Running")
        zones = {node["metadata"]["labels"][ZONE] for node in nodes(cluster)}
        assert zones == {"z1", "z2"}
        assert len(nodes(cluster)) == 2


def daemon_set(cluster: ControlPlane, cpu: str) -> None:
    labels = {"app": "agent"}
    spec = {
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "agent", "image": IMAGE, "resources": {"requests": {"cpu": cpu}}}],
    }
    body = {
        "metadata": {"name": "agent"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    cluster.request("POST", "/apis/apps/v1/namespaces/default/daemonsets", body)


def test_what_daemon_sets_take_of_a_new_node_is_not_offered_to_jobs(cluster: ControlPlane) -> None:
    daemon_set(cluster, "5")
    with deployed(cluster, settings("pools.0.template.allocatable={cpu: '8', memory: 64Gi, pods: '110'}")) as running:
        cluster.create_gang_job("never", pods=1, pod_spec={**requesting(1, cpu="6"), **GATED})
        assert told(cluster, "never", "DaemonSets") == (
            "pool gpu: does not fit: a pod requests 6 of cpu, a node has 8, of which DaemonSets take 5"
        )
        let_it_decide(cluster, running)
        assert names(cluster) == set()
        cluster.create_gang_job("fits", pods=1, run_seconds=1, pod_spec={**requesting(1, cpu="3"), **GATED})
        cluster.wait_for_job("fits")
        assert max(len(seen.view.pools[0].nodes) for seen in running.observations) == 1


@BOTH
def test_what_no_node_can_ever_run_buys_none_and_hears_why(cluster: ControlPlane, gates: dict[str, Any]) -> None:
    with deployed(cluster, settings()) as running:
        cluster.create_gang_job("huge", pods=1, pod_spec={**requesting(1, cpu="200"), **gates})
        message = told(cluster, "huge", "does not fit")
        assert message == "pool gpu: does not fit: a pod requests 200 of cpu, a node has 96"
        let_it_decide(cluster, running)
        assert names(cluster) == set()


def quota(cluster: ControlPlane, gpus: int) -> None:
    body = {"metadata": {"name": "gpus"}, "spec": {"hard": {"requests.nvidia.com/gpu": str(gpus)}}}
    cluster.request("POST", "/api/v1/namespaces/team/resourcequotas", body)
    path = "/api/v1/namespaces/team/resourcequotas/gpus"
    cluster.wait_until(lambda: cluster.request("GET", path)["status"].get("hard"), "the quota is counted")


def team_pods(cluster: ControlPlane, job: str, count: int) -> None:
    cluster.wait_until(lambda: len(cluster.pods(f"job-name={job}", "team")) == count or None, f"{count} pods of {job}")


def test_pods_that_a_quota_forbids_buy_no_nodes(cluster: ControlPlane) -> None:
    """A gang of five under a quota for two waits, is told, and goes as soon as the quota allows it."""
    cluster.create_namespace("team")
    quota(cluster, 16)
    with deployed(cluster, settings()) as running:
        cluster.create_gang_job("gang", pods=5, gpus_per_pod=8, run_seconds=1, namespace="team", pod_spec=GATED)
        team_pods(cluster, "gang", 2)
        reason = "3 of its pods cannot be created: ResourceQuota gpus leaves 0 of requests.nvidia.com/gpu"
        assert told(cluster, "gang", "cannot be created", "team") == reason
        let_it_decide(cluster, running)
        assert names(cluster) == set()
        body = {"spec": {"hard": {"requests.nvidia.com/gpu": "40"}}}
        path = "/api/v1/namespaces/team/resourcequotas/gpus"
        cluster.request("PATCH", path, body, content_type="application/merge-patch+json")
        cluster.wait_for_job("gang", namespace="team")


def test_of_pods_without_a_gate_those_that_a_quota_allows_get_their_nodes(cluster: ControlPlane) -> None:
    cluster.create_namespace("team")
    quota(cluster, 16)
    with deployed(cluster, settings()) as running:
        cluster.create_gang_job("plain", pods=5, gpus_per_pod=8, namespace="team")
        team_pods(cluster, "plain", 2)

        def both() -> bool | None:
            pods = cluster.pods("job-name=plain", "team")
            return (len(pods) == 2 and all(pod["status"]["phase"] == "Running" for pod in pods)) or None

        cluster.wait_until(both, "both pods run")
        let_it_decide(cluster, running)
        assert len(nodes(cluster)) == 2


def test_a_pod_that_preempts_others_buys_no_node(cluster: ControlPlane) -> None:
    for name, value in (("low", 1), ("high", 1000)):
        body = {"metadata": {"name": name}, "value": value, "preemptionPolicy": "PreemptLowerPriority"}
        cluster.request("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body)
    low = {**requesting(8, cpu="1"), "priorityClassName": "low", "terminationGracePeriodSeconds": 60}
    cluster.create_gpu_node("full", labels={LABEL_POOL: "gpu"})
    cluster.wait_for_node("full", gpus=8)
    cluster.create_pod("victim", spec=low, termination_seconds=6.0)
    cluster.wait_for_pod("victim", "Running")
    high = {**requesting(8, cpu="1"), "priorityClassName": "high"}
    with deployed(cluster, settings()) as running:
        let_it_decide(cluster, running, 1)
        cluster.create_pod("urgent", spec=high)
        cluster.wait_until(lambda: cluster.pod("urgent")["status"].get("nominatedNodeName"), "it is nominated")
        let_it_decide(cluster, running)
        cluster.wait_for_pod("urgent", "Running")
        assert cluster.pod("urgent")["spec"]["nodeName"] == "full"
        assert names(cluster) == {"full"}
        assert all(len(seen.view.pools[0].nodes) == 1 for seen in running.observations)


def test_a_gang_at_a_gate_of_others_buys_no_node_until_it_is_opened(cluster: ControlPlane) -> None:
    theirs = {"schedulingGates": [{"name": GATE_PLACEMENT}, {"name": "example.com/theirs"}]}
    with deployed(cluster, settings()) as running:
        cluster.create_gang_job("held", pods=2, gpus_per_pod=8, run_seconds=1, pod_spec=theirs)
        pods = cluster.wait_until(
            lambda: found if len(found := cluster.pods("job-name=held")) == 2 else None, "it has its pods"
        )
        first, second = (pod["metadata"]["name"] for pod in pods)
        open_gate(cluster, first)
        told(cluster, "held", "scheduling gate example.com/theirs of others")
        let_it_decide(cluster, running)
        assert names(cluster) == set()
        open_gate(cluster, second)
        cluster.wait_for_job("held")


def open_gate(cluster: ControlPlane, pod: str) -> None:
    gates = [{"$patch": "delete", "name": "example.com/theirs"}]
    cluster.request(
        "PATCH",
        f"/api/v1/namespaces/default/pods/{pod}",
        {"spec": {"schedulingGates": gates}},
        content_type="application/strategic-merge-patch+json",
    )


def test_a_job_that_is_deleted_takes_its_orders_back(cluster: ControlPlane) -> None:
    """Three nodes boot for 20 wall seconds; with the Job they go, the node of another Job does not."""
    with deployed(cluster, settings("pools.0.boot_seconds=1200.0")):
        cluster.create_gang_job("kept", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        cluster.create_gang_job("gone", pods=3, gpus_per_pod=8, pod_spec=GATED)
        cluster.wait_until(lambda: len(nodes(cluster)) == 4 or None, "four nodes are ordered")
        cluster.request("DELETE", f"{JOBS}/gone", {"propagationPolicy": "Background"})
        left = cluster.wait_until(lambda: found if len(found := nodes(cluster)) == 1 else None, "three are taken back")
        assert not any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in left[0]["status"].get("conditions", [])
        ), "before any of them was ready"
        cluster.wait_for_job("kept")


def evictable_node(cluster: ControlPlane, name: str = "last") -> str:
    """A node of the pool with one pod of a ReplicaSet that needs 8 CPUs; return the pod's name."""
    cluster.create_gpu_node(name, labels={LABEL_POOL: "gpu"})
    cluster.wait_for_node(name, gpus=8)
    return replica_set(cluster, "web", name, spec=web())


def web() -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": IMAGE, "resources": {"requests": {"cpu": "8"}}}]}


def is_tainted(cluster: ControlPlane, name: str) -> bool:
    return any(taint["key"] == TAINT_TO_BE_DELETED for taint in cluster.node(name)["spec"].get("taints", ()))


def test_a_pod_of_a_replica_set_on_the_last_node_stays(cluster: ControlPlane) -> None:
    name = evictable_node(cluster)
    uid = cluster.pod(name)["metadata"]["uid"]
    with deployed(cluster, settings()) as running:
        let_it_decide(cluster, running, 8)
        assert cluster.pod(name)["metadata"]["uid"] == uid
        assert not is_tainted(cluster, "last")


def test_a_pod_whose_only_other_place_is_taken_after_the_taint_stays(cluster: ControlPlane) -> None:
    name = evictable_node(cluster)
    uid = cluster.pod(name)["metadata"]["uid"]
    cluster.create_gpu_node("other", gpus=0, cpu="10")
    cluster.wait_for_node("other")
    with deployed(cluster, settings("guardrails.removal.taint_wait_seconds=4.0")) as running:
        cluster.wait_until(lambda: is_tainted(cluster, "last") or None, "the node is about to go")
        big = {"nodeName": "other", **web()}
        cluster.create_pod("big", gpus=0, spec=big)
        cluster.wait_until(lambda: not is_tainted(cluster, "last") or None, "the removal is undone")
        let_it_decide(cluster, running)
        assert cluster.pod(name)["metadata"]["uid"] == uid
        assert cluster.pod(name)["spec"]["nodeName"] == "last"


def test_a_pod_of_a_replica_set_that_fits_elsewhere_moves_and_its_node_goes(cluster: ControlPlane) -> None:
    evictable_node(cluster)
    cluster.create_gpu_node("other", gpus=0, cpu="10")
    cluster.wait_for_node("other")
    with deployed(cluster, settings()):
        cluster.wait_until(lambda: names(cluster) == {"other"} or None, "the node is removed")
        cluster.wait_until(
            lambda: any(pod["spec"].get("nodeName") == "other" for pod in cluster.pods("app=web")) or None,
            "the pod runs elsewhere",
        )


def test_the_pool_whose_node_fits_is_grown_when_the_first_cannot_run_it(cluster: ControlPlane) -> None:
    config = settings()
    (pool,) = config.pools
    small = replace(pool, name="a", template=NodeTemplate(allocatable={"cpu": "4", "memory": "64Gi", "pods": "110"}))
    large = LivePool("b", 2, boot_seconds=60.0, gpu_type=pool.gpu_type)
    with deployed(cluster, replace(config, pools=(small, large))):
        cluster.create_gang_job("j", pods=1, run_seconds=1, pod_spec={**requesting(1, cpu="8"), **GATED})
        cluster.wait_for_job("j")
        assert {node["metadata"]["labels"][LABEL_POOL] for node in nodes(cluster)} <= {"b"}


def test_a_job_overflows_when_the_nodes_of_a_full_pool_have_only_the_gpus_for_it(cluster: ControlPlane) -> None:
    config = settings()
    (pool,) = config.pools
    pools = (replace(pool, name="gpu", max_nodes=1), replace(pool, name="b", max_nodes=1))
    busy_node(cluster, requesting(1, cpu="90"))
    with deployed(cluster, replace(config, pools=pools)):
        cluster.create_gang_job("j", pods=1, run_seconds=1, pod_spec={**requesting(1, cpu="8"), **GATED})
        cluster.wait_for_job("j")
        assert cluster.pod("there")["spec"]["nodeName"] == "full"
