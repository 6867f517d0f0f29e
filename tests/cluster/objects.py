"""Manifests of the objects that tests create: fake GPU nodes, pods, gang Jobs, disruption budgets."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster import constants

Manifest = dict[str, Any]

IMAGE = "example.invalid/trainer:1"
"""No image is ever pulled."""


def gpu_node(
    name: str,
    *,
    gpus: int = 8,
    gpu_product: str = "NVIDIA-H100-80GB-HBM3",
    boot_seconds: float = 0.0,
    gpu_delay_seconds: float | None = 0.0,
    heartbeat_seconds: float | None = None,
    cpu: str = "96",
    memory: str = "1Ti",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    taints: Sequence[Mapping[str, str]] = (),
) -> Manifest:
    """Return a node that KWOK brings to life.

    Args:
        name: Name of the node.
        gpus: Its `nvidia.com/gpu`; 0 makes it a node without GPUs.
        gpu_product: Value of its label `nvidia.com/gpu.product`.
        boot_seconds: From its creation until it is Ready.
        gpu_delay_seconds: From Ready until its GPUs are allocatable; None means never.
        heartbeat_seconds: From Ready until its heartbeat stops; None means never.
        cpu: Its CPUs.
        memory: Its memory.
        labels: Further labels.
        annotations: Further annotations.
        taints: Its taints.
    """
    own_annotations = {
        constants.KWOK_ANNOTATION: constants.KWOK_ANNOTATION_VALUE,
        constants.ANNOTATION_BOOT_SECONDS: _seconds(boot_seconds),
    }
    own_labels = {constants.HOSTNAME_LABEL: name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    if gpus:
        own_labels[constants.GPU_PRODUCT_LABEL] = gpu_product
        own_annotations[constants.ANNOTATION_GPUS] = str(gpus)
        own_annotations[constants.ANNOTATION_GPU_DELAY_SECONDS] = (
            constants.GPU_DELAY_NEVER if gpu_delay_seconds is None else _seconds(gpu_delay_seconds)
        )
    if heartbeat_seconds is not None:
        own_annotations[constants.ANNOTATION_HEARTBEAT_SECONDS] = _seconds(heartbeat_seconds)
    resources = {"cpu": cpu, "memory": memory, "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {**own_labels, **(labels or {})},
            "annotations": {**own_annotations, **(annotations or {})},
        },
        "spec": {"taints": [dict(taint) for taint in taints]},
        "status": {"capacity": resources, "allocatable": dict(resources)},
    }


def pod(
    name: str,
    *,
    gpus: int = 1,
    run_seconds: float | None = None,
    outcome: str = constants.OUTCOME_SUCCEED,
    termination_seconds: float = 0.0,
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> Manifest:
    """Return a pod that requests GPUs.

    Args:
        name: Name of the pod.
        gpus: Its `nvidia.com/gpu`; 0 requests none.
        run_seconds: From its start to its end; None means until it is deleted.
        outcome: How it ends, `succeed` or `fail`.
        termination_seconds: How long it takes to go once it was deleted.
        namespace: Its namespace.
        labels: Its labels.
        annotations: Further annotations.
        spec: Fields of its spec that are added or replaced, for example `schedulingGates`.
    """
    own_annotations = {constants.ANNOTATION_OUTCOME: outcome}
    if run_seconds is not None:
        own_annotations[constants.ANNOTATION_RUN_SECONDS] = _seconds(run_seconds)
    if termination_seconds:
        own_annotations[constants.ANNOTATION_TERMINATION_SECONDS] = _seconds(termination_seconds)
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {}}
    if gpus:
        resources["limits"][constants.GPU_RESOURCE] = str(gpus)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(labels or {}),
            "annotations": {**own_annotations, **(annotations or {})},
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": IMAGE, "resources": resources}],
            **(spec or {}),
        },
    }


def gang_job(
    name: str,
    *,
    pods: int = 2,
    gpus_per_pod: int = 8,
    run_seconds: float | None = None,
    outcome: str = constants.OUTCOME_SUCCEED,
    backoff_limit: int = 0,
    suspend: bool = False,
    namespace: str = "default",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    pod_spec: Mapping[str, Any] | None = None,
) -> Manifest:
    """Return an Indexed Job whose pods run side by side, the plainest form of a gang.

    Args:
        name: Name of the Job.
        pods: Its parallelism and its completions.
        gpus_per_pod: `nvidia.com/gpu` of each pod.
        run_seconds: From each pod's start to its end; None means until it is deleted.
        outcome: How each pod ends, `succeed` or `fail`.
        backoff_limit: How many failed pods it replaces before it fails.
        suspend: Whether it waits to be resumed.
        namespace: Its namespace.
        labels: Labels of the Job and of its pods.
        annotations: Further annotations of its pods.
        pod_spec: Fields of the pods' spec that are added or replaced.
    """
    template = pod(
        name,
        gpus=gpus_per_pod,
        run_seconds=run_seconds,
        outcome=outcome,
        labels=labels,
        annotations=annotations,
        spec=pod_spec,
    )
    metadata = {key: template["metadata"][key] for key in ("labels", "annotations")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels or {})},
        "spec": {
            "completionMode": "Indexed",
            "parallelism": pods,
            "completions": pods,
            "backoffLimit": backoff_limit,
            "suspend": suspend,
            "template": {"metadata": metadata, "spec": template["spec"]},
        },
    }


def disruption_budget(
    name: str, match_labels: Mapping[str, str], *, max_unavailable: int = 0, namespace: str = "default"
) -> Manifest:
    """Return a PodDisruptionBudget."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"matchLabels": dict(match_labels)}, "maxUnavailable": max_unavailable},
    }


def _seconds(value: float) -> str:
    # KWOK appends the unit and parses the result as a Go duration, which has no exponents.
    return f"{value:.3f}"
