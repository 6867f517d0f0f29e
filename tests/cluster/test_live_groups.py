"""Groups of pods of other APIs on the real control plane: whole or not at all, or told that they are not served."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from autoscaler.live.config import LiveConfig
from autoscaler.live.gangs.pod_groups import OLD_LABEL
from autoscaler.live.names import EVENT_NOT_TRIGGER_SCALE_UP, LABEL_POOL
from tests.cluster.binaries import Binaries, find_crds
from tests.cluster.constants import JOBSET, KUEUE, SCHEDULER_PLUGINS
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, deployed, live_settings
from tests.cluster.objects import gang_job

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
NATIVE = "/apis/scheduling.k8s.io/v1alpha2/namespaces/default"
PLUGINS = "/apis/scheduling.x-k8s.io/v1alpha1/namespaces/default/podgroups"
JOB_SETS = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"
KUEUES = "/apis/kueue.x-k8s.io/v1beta2"
WORKLOADS = f"{KUEUES}/namespaces/default/workloads"
QUIET_SECONDS = 3.0
"""How long nothing must happen; three decisions."""


def live(*overrides: str) -> LiveConfig:
    return live_settings("pools.0.max_nodes=4", *overrides)


def member(cluster: ControlPlane, name: str, labels: dict[str, str], gpus: int = 8) -> None:
    cluster.create_pod(name, gpus=gpus, labels=labels, spec=GATED)


def nodes(cluster: ControlPlane) -> list[Json]:
    found: list[Json] = cluster.request("GET", "/api/v1/nodes")["items"]
    return found


def ready_nodes(cluster: ControlPlane, count: int) -> None:
    def there() -> bool:
        with_gpus = [node for node in nodes(cluster) if "nvidia.com/gpu" in node["status"].get("allocatable", {})]
        return len(with_gpus) == count

    cluster.wait_until(there, f"{count} nodes have their GPUs")


def gated(cluster: ControlPlane, selector: str = "") -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in cluster.pods(selector) if pod["spec"].get("schedulingGates"))


def running(cluster: ControlPlane, selector: str, count: int) -> None:
    cluster.wait_until(
        lambda: sum(pod["status"]["phase"] in ("Running", "Succeeded") for pod in cluster.pods(selector)) == count,
        f"{count} pods of {selector} run",
    )


def told(cluster: ControlPlane) -> list[str]:
    events = cluster.request("GET", "/api/v1/namespaces/default/events")["items"]
    return [event["message"] for event in events if event["reason"] == EVENT_NOT_TRIGGER_SCALE_UP]


def test_a_pod_group_of_scheduler_plugins_gets_all_of_its_nodes_and_starts_whole(cluster: ControlPlane) -> None:
    cluster.install_crds(find_crds(*SCHEDULER_PLUGINS))
    group = {"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "metadata": {"name": "g"}}
    labels = {"scheduling.x-k8s.io/pod-group": "g"}
    with deployed(cluster, live()):
        cluster.request("POST", PLUGINS, {**group, "spec": {"minMember": 3}})
        for index in range(2):
            member(cluster, f"p{index}", labels)
        # Nodes for all three come, though only two pods are there, and none of these is placed.
        ready_nodes(cluster, 3)
        time.sleep(QUIET_SECONDS)
        assert gated(cluster) == ["p0", "p1"]
        member(cluster, "p2", labels)
        running(cluster, "scheduling.x-k8s.io/pod-group=g", 3)
    assert len({pod["spec"]["nodeName"] for pod in cluster.pods()}) == 3


def test_a_group_larger_than_the_pool_starts_no_pod_and_orders_no_node(cluster: ControlPlane) -> None:
    cluster.install_crds(find_crds(*SCHEDULER_PLUGINS))
    group = {"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "metadata": {"name": "g"}}
    cluster.request("POST", PLUGINS, {**group, "spec": {"minMember": 5}})
    for index in range(5):
        member(cluster, f"p{index}", {"scheduling.x-k8s.io/pod-group": "g"})
    with deployed(cluster, live()):
        cluster.wait_until(lambda: told(cluster) or None, "it is told")
        time.sleep(QUIET_SECONDS)
        assert len(gated(cluster)) == 5
        assert nodes(cluster) == []


def test_a_group_that_nobody_describes_is_told_and_served_once_somebody_does(cluster: ControlPlane) -> None:
    cluster.install_crds(find_crds(*SCHEDULER_PLUGINS))
    for index in range(2):
        member(cluster, f"p{index}", {"scheduling.x-k8s.io/pod-group": "g"})
    with deployed(cluster, live()):
        cluster.wait_until(lambda: told(cluster) or None, "it is told")
        assert "there is no such PodGroup" in told(cluster)[0]
        time.sleep(QUIET_SECONDS)
        assert gated(cluster) == ["p0", "p1"]
        assert nodes(cluster) == []
        group = {"apiVersion": "scheduling.x-k8s.io/v1alpha1", "kind": "PodGroup", "metadata": {"name": "g"}}
        cluster.request("POST", PLUGINS, {**group, "spec": {"minMember": 2}})
        running(cluster, "scheduling.x-k8s.io/pod-group=g", 2)


def test_bare_pods_whose_old_label_says_no_size_are_told_and_start_together_once_it_does(cluster: ControlPlane) -> None:
    for name in ("one", "two"):
        member(cluster, name, {f"{OLD_LABEL}/name": "g"})
    with deployed(cluster, live()):
        cluster.wait_until(lambda: len(told(cluster)) == 2, "both pods are told")
        assert all("nothing that is read says how large that is" in message for message in told(cluster))
        time.sleep(QUIET_SECONDS)
        assert gated(cluster) == ["one", "two"]
        assert nodes(cluster) == []
        sized = {"metadata": {"labels": {f"{OLD_LABEL}/min-available": "2"}}}
        for name in ("one", "two"):
            cluster.request("PATCH", f"/api/v1/namespaces/default/pods/{name}", sized, content_type=MERGE)
        running(cluster, f"{OLD_LABEL}/name=g", 2)


def job_of(job_set: str, role: str, gpus: int) -> Json:
    """A Job as the controller of JobSets makes it."""
    labels = {"jobset.sigs.k8s.io/jobset-name": job_set, "jobset.sigs.k8s.io/replicatedjob-name": role}
    return gang_job(f"{job_set}-{role}-0", pods=1, gpus_per_pod=gpus, labels=labels, pod_spec=GATED)


def job_set(cluster: ControlPlane, name: str, **spec: Any) -> None:
    jobs = []
    for role in ("leader", "worker"):
        job = job_of(name, role, 8)
        jobs.append({"name": role, "replicas": 1, "template": {"spec": job["spec"]}})
    body = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": name}}
    cluster.request("POST", JOB_SETS, {**body, "spec": {"replicatedJobs": jobs, **spec}})


def test_the_jobs_of_a_job_set_start_together(cluster: ControlPlane) -> None:
    cluster.install_crds(find_crds(*JOBSET))
    with deployed(cluster, live()):
        job_set(cluster, "s")
        cluster.request("POST", JOBS, job_of("s", "leader", 8))
        ready_nodes(cluster, 2)
        time.sleep(QUIET_SECONDS)
        assert len(gated(cluster)) == 1
        cluster.request("POST", JOBS, job_of("s", "worker", 8))
        running(cluster, "jobset.sigs.k8s.io/jobset-name=s", 2)


def test_a_job_set_that_starts_in_order_keeps_the_node_of_its_later_job(cluster: ControlPlane) -> None:
    cluster.install_crds(find_crds(*JOBSET))
    with deployed(cluster, live("pools.0.max_nodes=2")):
        job_set(cluster, "s", startupPolicy={"startupPolicyOrder": "InOrder"})
        cluster.request("POST", JOBS, job_of("s", "leader", 8))
        running(cluster, "jobset.sigs.k8s.io/replicatedjob-name=leader", 1)
        cluster.create_pod("stranger", gpus=8, labels={"app": "stranger"}, spec=GATED)
        time.sleep(QUIET_SECONDS)
        assert gated(cluster) == ["stranger"]
        cluster.request("POST", JOBS, job_of("s", "worker", 8))
        running(cluster, "jobset.sigs.k8s.io/jobset-name=s", 2)
        assert gated(cluster) == ["stranger"]


@pytest.fixture
def native(binaries: Binaries) -> Iterator[ControlPlane]:
    """A control plane that serves PodGroups, whose Job controller makes them and whose scheduler knows them."""
    gates = "--feature-gates=GenericWorkload=true,{}"
    flags = {
        "kube-apiserver": [gates.format("WorkloadWithJob=true"), "--runtime-config=scheduling.k8s.io/v1alpha2=true"],
        "kube-scheduler": [gates.format("GangScheduling=true")],
        "kube-controller-manager": [gates.format("WorkloadWithJob=true")],
    }
    with ControlPlane(binaries, extra_flags=flags) as control_plane:
        yield control_plane


def test_a_native_pod_group_starts_whole(native: ControlPlane) -> None:
    policy = {"gang": {"minCount": 2}}
    group = {"apiVersion": "scheduling.k8s.io/v1alpha2", "kind": "PodGroup", "metadata": {"name": "g"}}
    with deployed(native, live()):
        native.request("POST", f"{NATIVE}/podgroups", {**group, "spec": {"schedulingPolicy": policy}})
        spec = {**GATED, "schedulingGroup": {"podGroupName": "g"}}
        native.create_pod("p0", gpus=8, labels={"app": "g"}, spec=spec)
        ready_nodes(native, 2)
        time.sleep(QUIET_SECONDS)
        assert gated(native) == ["p0"]
        native.create_pod("p1", gpus=8, labels={"app": "g"}, spec=spec)
        running(native, "app=g", 2)


def test_the_pod_group_that_the_job_controller_makes_is_that_of_the_job(native: ControlPlane) -> None:
    with deployed(native, live()) as process:
        native.create_gang_job("j", pods=2, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)
        native.wait_for_job("j")
        groups = native.request("GET", f"{NATIVE}/podgroups")["items"]
    kinds = {gang.ref.kind for seen in process.observations for gang in seen.view.queue}
    assert kinds == ({"PodGroup"} if groups else {"Job"})
    assert groups, "the Job controller made a PodGroup"


class Kueue:
    """Does what Kueue does with one Job: a Workload, its quota, and the start once all checks are ready."""

    def __init__(self, cluster: ControlPlane, pods: int) -> None:
        self.cluster = cluster
        cluster.install_crds(find_crds(*KUEUE))
        check = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "AdmissionCheck", "metadata": {"name": "nodes"}}
        cluster.request(
            "POST", f"{KUEUES}/admissionchecks", {**check, "spec": {"controllerName": "autoscaler.green/nodes"}}
        )
        self.job = cluster.create_gang_job("j", pods=pods, gpus_per_pod=8, run_seconds=1, suspend=True)
        template = self.job["spec"]["template"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "controller": True, "blockOwnerDeletion": True}
        workload = {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "Workload",
            "metadata": {"name": "job-j", "ownerReferences": [{**owner, "uid": self.job["metadata"]["uid"]}]},
            "spec": {"queueName": "team", "podSets": [{"name": "main", "count": pods, "template": template}]},
        }
        cluster.request("POST", WORKLOADS, workload)

    def now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def condition(self, kind: str) -> Json:
        return {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": self.now()}

    def reserve(self) -> None:
        """Give it its quota; its checks run from now on."""
        assignment = {"name": "main", "flavors": {}, "count": self.job["spec"]["parallelism"]}
        admission = {"clusterQueue": "team", "podSetAssignments": [assignment]}
        check = {"name": "nodes", "state": "Pending", "message": "", "lastTransitionTime": self.now()}
        self.patch(
            {"admission": admission, "conditions": [self.condition("QuotaReserved")], "admissionChecks": [check]}
        )

    def patch(self, status: Json) -> None:
        self.cluster.request("PATCH", f"{WORKLOADS}/job-j/status", {"status": status}, content_type=MERGE)

    def check(self) -> Json:
        (check,) = self.cluster.request("GET", f"{WORKLOADS}/job-j")["status"]["admissionChecks"]
        found: Json = check
        return found

    def start(self) -> None:
        """Admit it: the Job goes on, with what the check says of its pods."""
        (update,) = self.check()["podSetUpdates"]
        self.patch({"conditions": [self.condition("QuotaReserved"), self.condition("Admitted")]})
        selected = {"spec": {"template": {"spec": {"nodeSelector": update["nodeSelector"]}}}}
        self.cluster.request("PATCH", f"{JOBS}/j", selected, content_type=MERGE)
        self.cluster.request("PATCH", f"{JOBS}/j", {"spec": {"suspend": False}}, content_type=MERGE)


def test_a_workload_of_kueue_is_admitted_once_all_of_its_nodes_are_there(cluster: ControlPlane) -> None:
    kueue = Kueue(cluster, pods=2)
    with deployed(cluster, live()):
        path = f"{KUEUES}/admissionchecks/nodes"
        cluster.wait_until(
            lambda: (
                [
                    each["status"]
                    for each in cluster.request("GET", path).get("status", {}).get("conditions", ())
                    if each["type"] == "Active"
                ]
                == ["True"]
            ),
            "the check is served",
        )
        assert nodes(cluster) == []
        kueue.reserve()
        cluster.wait_until(lambda: kueue.check()["state"] == "Ready", "the check is ready")
        ready = [node for node in nodes(cluster) if "nvidia.com/gpu" in node["status"]["allocatable"]]
        assert len(ready) == 2
        assert kueue.check()["podSetUpdates"] == [{"name": "main", "nodeSelector": {LABEL_POOL: "gpu"}}]
        # Its room is kept while Kueue takes its time: whoever comes meanwhile gets another node.
        cluster.create_pod("stranger", gpus=8, labels={"app": "stranger"}, spec=GATED)
        running(cluster, "app=stranger", 1)
        assert len(nodes(cluster)) == 3
        kueue.start()
        cluster.wait_for_job("j")


def test_a_workload_larger_than_the_pool_is_not_admitted(cluster: ControlPlane) -> None:
    kueue = Kueue(cluster, pods=5)
    with deployed(cluster, live()):
        kueue.reserve()
        cluster.wait_until(lambda: told(cluster) or None, "it is told")
        time.sleep(QUIET_SECONDS)
        assert kueue.check()["state"] == "Pending"
        assert nodes(cluster) == []
