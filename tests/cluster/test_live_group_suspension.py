"""Groups are suspended by their own field on the real control plane, with the CRDs of JobSet and PyTorchJob.

Their controllers do not run: the test does what they do with Jobs and pods.
"""

from collections.abc import Callable, Iterable
from typing import Any

from autoscaler.live import names
from tests.cluster import objects
from tests.cluster.binaries import find_crds
from tests.cluster.constants import JOBSET, TRAINING_OPERATOR
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, deployed, live_settings
from tests.cluster.live_support import pool_node
from tests.cluster.test_live_consolidation import PRODUCT
from tests.cluster.test_live_groups import JOB_SETS, JOBS, MERGE
from tests.cluster.test_live_policy_suspension import LEVER, POLICIES
from tests.cluster.test_live_suspension import DONE, TIER_3

Json = dict[str, Any]
PYTORCH_JOBS = "/apis/kubeflow.org/v1/namespaces/default/pytorchjobs"
PODS = "/api/v1/namespaces/default/pods"
SET_LABELS = {"jobset.sigs.k8s.io/jobset-name": "set", "jobset.sigs.k8s.io/replicatedjob-name": "worker"}
TORCH_LABELS = {
    "training.kubeflow.org/job-name": "torch",
    "training.kubeflow.org/operator-name": "pytorchjob-controller",
    "training.kubeflow.org/replica-type": "worker",
}


class JobSet:
    """A JobSet of one pod, and what its controller does."""

    path = f"{JOB_SETS}/set"

    def __init__(self, cluster: ControlPlane) -> None:
        self.cluster = cluster
        job = objects.gang_job(
            "set-worker-0", pods=1, gpus_per_pod=8, labels=SET_LABELS, annotations=TIER_3, pod_spec=GATED
        )
        made = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "set"}}
        roles = [{"name": "worker", "replicas": 1, "template": {"spec": job["spec"]}}]
        cluster.request("POST", JOB_SETS, {**made, "spec": {"replicatedJobs": roles}})
        cluster.request("POST", JOBS, job)

    def suspended(self) -> bool:
        return self.cluster.request("GET", self.path)["spec"].get("suspend", False) is True

    def follow(self, suspended: bool) -> None:
        """Its Jobs are suspended and go on with it."""
        self.cluster.request("PATCH", f"{JOBS}/set-worker-0", {"spec": {"suspend": suspended}}, content_type=MERGE)


class PyTorchJob:
    """A PyTorchJob of one pod, and what its operator does."""

    path = f"{PYTORCH_JOBS}/torch"

    def __init__(self, cluster: ControlPlane) -> None:
        self.cluster = cluster
        pod = objects.pod("pytorch", gpus=8, annotations=TIER_3, spec=GATED)
        # The CRD wants the name of this container.
        pod["spec"]["containers"][0]["name"] = "pytorch"
        self.template = {"metadata": {"annotations": pod["metadata"]["annotations"]}, "spec": pod["spec"]}
        made = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "torch"}}
        spec = {"pytorchReplicaSpecs": {"Worker": {"replicas": 1, "template": self.template}}, "runPolicy": {}}
        self.uid = cluster.request("POST", PYTORCH_JOBS, {**made, "spec": spec})["metadata"]["uid"]
        self.follow(False)

    def suspended(self) -> bool:
        policy = self.cluster.request("GET", self.path)["spec"]["runPolicy"]
        return policy.get("suspend", False) is True

    def follow(self, suspended: bool) -> None:
        """Its pods are deleted while it is suspended, and made again."""
        if suspended:
            self.cluster.request("DELETE", f"{PODS}/torch-worker-0")
            return
        owner = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "torch", "uid": self.uid}
        metadata = {
            "name": "torch-worker-0",
            "labels": TORCH_LABELS,
            "annotations": self.template["metadata"]["annotations"],
            "ownerReferences": [{**owner, "controller": True}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.template["spec"]}
        self.cluster.request("POST", PODS, pod)


def running(cluster: ControlPlane) -> int:
    return sum(pod["status"].get("phase") == "Running" for pod in cluster.pods())


def all_of(values: Iterable[bool]) -> bool | None:
    return all(values) or None


def test_job_sets_and_pytorch_jobs_stop_and_go_on_by_their_own_field(cluster: ControlPlane) -> None:
    """Whatever a policy decides, each goes on when its time is over."""
    pytorch = [path for path in find_crds(*TRAINING_OPERATOR) if "pytorchjobs" in path.name]
    cluster.install_crds([*find_crds(*JOBSET), *pytorch])
    for node in ("n1", "n2"):
        pool_node(cluster, node, "gpu", **PRODUCT)
    kinds: tuple[Callable[[ControlPlane], JobSet | PyTorchJob], ...] = (JobSet, PyTorchJob)
    groups = [kind(cluster) for kind in kinds]
    with deployed(cluster, live_settings(*LEVER, "guardrails.suspension.max_seconds=10"), f"{POLICIES}:ALWAYS") as live:
        cluster.wait_until(lambda: all_of(group.suspended() for group in groups), "both are suspended")
        for group in groups:
            mark = cluster.request("GET", group.path)["metadata"]["annotations"]
            assert mark[names.ANNOTATION_SUSPENDED_BY] == "policy"
            group.follow(True)
        cluster.wait_until(lambda: running(cluster) == 0 or None, "their pods are gone")
        cluster.wait_until(lambda: all_of(not group.suspended() for group in groups), "both go on")
        for group in groups:
            group.follow(False)
        cluster.wait_until(lambda: running(cluster) == 2 or None, "both run again")
        metrics = live.process.metrics
        assert [metrics.value(names.METRIC_SUSPENSIONS, each, "policy") for each in DONE] == [2, 2]
    for group in groups:
        left = cluster.request("GET", group.path)["metadata"]["annotations"]
        assert names.ANNOTATION_SUSPENDED_AT not in left
        assert float(left[names.ANNOTATION_SUSPENDED_SECONDS]) >= 10.0
