"""JobSet, and TrainJob of Kubeflow Trainer v2, which makes a JobSet.

Source: https://github.com/kubernetes-sigs/jobset/blob/main/api/jobset/v1alpha2/jobset_types.go
"""

from __future__ import annotations

from autoscaler.live.gangs.base import Collection, GangKind, Member, Role, Shape, is_over, part, replicas
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import items, text
from autoscaler.live.objects import GroupRef

NAME = "jobset.sigs.k8s.io/jobset-name"
ROLE = "jobset.sigs.k8s.io/replicatedjob-name"


def _member(pod: Member) -> GroupRef | None:
    name = pod.labels.get(NAME)
    return GroupRef("jobset", name, pod.labels.get(ROLE, "")) if name else None


def _shape(raw: Json) -> Shape:
    spec = part(raw, "spec")
    jobs = items(spec.get("replicatedJobs"), "spec.replicatedJobs")
    ordered = text(part(spec, "startupPolicy").get("startupPolicyOrder"), "spec.startupPolicy") == "InOrder"
    return Shape(
        tuple(_role(job) for job in jobs),
        late=ordered or any(job.get("dependsOn") for job in jobs),
        over=spec.get("suspend") is True or is_over(raw, "Completed", "Failed"),
    )


def _role(job: Json) -> Role:
    spec = part(job, "template", "spec")
    parallelism = replicas(spec, "parallelism")
    if spec.get("completions") is not None:
        parallelism = min(parallelism, replicas(spec, "completions"))
    return Role(text(job.get("name"), "name"), replicas(job) * parallelism, part(spec, "template"))


JOB_SET = GangKind(
    "jobset",
    "JobSet (`jobset.x-k8s.io/v1alpha2`), also that of a TrainJob of Kubeflow Trainer v2",
    f"pod labels `{NAME}` and `{ROLE}`; JobSet `spec.replicatedJobs[]`: `replicas`, `template.spec.parallelism`, "
    "`completions` and the pod template, `dependsOn`; `spec.startupPolicy.startupPolicyOrder`, `spec.suspend`",
    _member,
    Collection("jobset.x-k8s.io", ("v1alpha2",), "jobsets", "JobSet"),
    _shape,
    ("spec", "suspend"),
)
