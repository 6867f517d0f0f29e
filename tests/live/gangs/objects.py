"""Objects of each kind of group, in the shape in which their controllers and users write them."""

from typing import Any

from autoscaler.live.names import GATE_PLACEMENT
from tests.live.raw import GPU, metadata

Json = dict[str, Any]


def template(gpus: int = 8, **labels: str) -> Json:
    """A pod template whose pods wait at our gate."""
    limits = {GPU: str(gpus)} if gpus else {}
    container = {"name": "main", "image": "train:1", "resources": {"requests": {"cpu": "1"}, "limits": limits}}
    spec = {"restartPolicy": "Never", "schedulingGates": [{"name": GATE_PLACEMENT}], "containers": [container]}
    return {"metadata": {"labels": labels}, "spec": spec}


def _object(api_version: str, kind: str, name: str, spec: Json, **more: Any) -> Json:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": metadata(name, namespace="default"),
        "spec": spec,
        **more,
    }


def native(name: str, least: int) -> Json:
    reference = {"workload": {"workloadName": name, "podGroupTemplateName": "workers"}}
    policy = {"gang": {"minCount": least}}
    spec = {"podGroupTemplateRef": reference, "schedulingPolicy": policy}
    return _object("scheduling.k8s.io/v1alpha2", "PodGroup", name, spec)


def volcano(name: str, least: int) -> Json:
    spec = {"minMember": least, "minResources": {GPU: str(8 * least)}, "queue": "default"}
    return _object("scheduling.volcano.sh/v1beta1", "PodGroup", name, spec, status={"phase": "Inqueue"})


def kai(name: str, least: int) -> Json:
    spec = {"minMember": least, "queue": "team-a", "priorityClassName": "train"}
    return _object("scheduling.run.ai/v2alpha2", "PodGroup", name, spec)


def scheduler_plugins(name: str, least: int) -> Json:
    spec = {"minMember": least, "scheduleTimeoutSeconds": 10}
    return _object("scheduling.x-k8s.io/v1alpha1", "PodGroup", name, spec)


def job_set(name: str, leaders: int = 1, workers: int = 2, pods: int = 2, **spec: Any) -> Json:
    def job(role: str, replicas: int, parallelism: int) -> Json:
        inside = {"parallelism": parallelism, "completions": parallelism, "completionMode": "Indexed"}
        return {"name": role, "replicas": replicas, "template": {"spec": {**inside, "template": template()}}}

    jobs = [job("leader", leaders, 1), job("workers", workers, pods)]
    return _object("jobset.x-k8s.io/v1alpha2", "JobSet", name, {"replicatedJobs": jobs, **spec})


def leader_worker_set(name: str, size: int = 3, replicas: int = 2, startup: str = "LeaderCreated") -> Json:
    inside = {"size": size, "leaderTemplate": template(4), "workerTemplate": template(8), "restartPolicy": "None"}
    spec = {"replicas": replicas, "leaderWorkerTemplate": inside, "startupPolicy": startup}
    return _object("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", name, spec)


def pytorch_job(name: str, workers: int = 3, **spec: Any) -> Json:
    replicas = {
        "Master": {"replicas": 1, "restartPolicy": "OnFailure", "template": template()},
        "Worker": {"replicas": workers, "restartPolicy": "OnFailure", "template": template()},
    }
    inside = {"pytorchReplicaSpecs": replicas, "runPolicy": {"suspend": False}, **spec}
    return _object("kubeflow.org/v1", "PyTorchJob", name, inside)


def mpi_job(name: str, workers: int = 2, **spec: Any) -> Json:
    replicas = {
        "Launcher": {"replicas": 1, "template": template(0)},
        "Worker": {"replicas": workers, "template": template()},
    }
    inside = {"slotsPerWorker": 8, "mpiReplicaSpecs": replicas, "runPolicy": {"cleanPodPolicy": "Running"}, **spec}
    return _object("kubeflow.org/v2beta1", "MPIJob", name, inside)


def ray_cluster(name: str, workers: int = 2, hosts: int = 1, **spec: Any) -> Json:
    group = {
        "groupName": "gpu",
        "replicas": workers,
        "minReplicas": 1,
        "maxReplicas": 9,
        "numOfHosts": hosts,
        "template": template(),
        "rayStartParams": {},
    }
    head = {"rayStartParams": {"dashboard-host": "0.0.0.0"}, "template": template(0)}
    inside = {"rayVersion": "2.46.0", "headGroupSpec": head, "workerGroupSpecs": [group], **spec}
    return _object("ray.io/v1", "RayCluster", name, inside)


def workload(name: str, pods: int = 2, gpus: int = 8, state: str = "Pending", **status: Any) -> Json:
    sets = [{"name": "main", "count": pods, "template": template(gpus)}]
    check = {
        "name": "nodes",
        "state": state,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    found = {
        "conditions": [{"type": "QuotaReserved", "status": "True", "reason": "QuotaReserved", "message": ""}],
        "admissionChecks": [check],
        **status,
    }
    spec = {"queueName": "team", "podSets": sets, "priority": 5, "active": True}
    return _object("kueue.x-k8s.io/v1beta2", "Workload", name, spec, status=found)


def admission_check(name: str = "nodes", controller: str = "autoscaler.green/nodes") -> Json:
    check = _object("kueue.x-k8s.io/v1beta2", "AdmissionCheck", name, {"controllerName": controller})
    del check["metadata"]["namespace"]
    return check
