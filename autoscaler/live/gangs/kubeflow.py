"""Jobs of Kubeflow's training operator v1 and of its MPI operator.

Sources:
    https://github.com/kubeflow/trainer/tree/release-1.9/pkg/apis/kubeflow.org/v1
    https://github.com/kubeflow/mpi-operator/blob/master/pkg/apis/kubeflow/v2beta1/types.go
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autoscaler.live.gangs.base import Collection, GangKind, Member, Role, Shape, is_over, part, replicas
from autoscaler.live.kube.client import Json
from autoscaler.live.kube.fields import mapping, text
from autoscaler.live.objects import GroupRef

JOB_NAME = "training.kubeflow.org/job-name"
OPERATOR = "training.kubeflow.org/operator-name"
REPLICA_TYPE = "training.kubeflow.org/replica-type"
JOB_ROLE = "training.kubeflow.org/job-role"
WAITS_FOR_WORKERS = "WaitForWorkersReady"

SPECS: Mapping[str, str] = {
    "PyTorchJob": "pytorchReplicaSpecs",
    "MPIJob": "mpiReplicaSpecs",
    "TFJob": "tfReplicaSpecs",
    "XGBoostJob": "xgbReplicaSpecs",
    "PaddleJob": "paddleReplicaSpecs",
    "JAXJob": "jaxReplicaSpecs",
}
"""Field of the replicas of each kind."""


def _member(kind: str) -> Callable[[Member], GroupRef | None]:
    def member(pod: Member) -> GroupRef | None:
        name, owner = pod.labels.get(JOB_NAME), pod.owner
        if not name:
            return None
        # The launcher of an MPIJob is of a Job, so its operator tells what it is.
        operator = pod.labels.get(OPERATOR, "").partition("-")[0]
        owned = owner is not None and owner.kind == kind
        if not owned and operator not in (kind.lower(), kind.lower().removesuffix("job")):
            return None
        role = pod.labels.get(REPLICA_TYPE) or pod.labels.get(JOB_ROLE, "")
        return GroupRef(kind.lower(), name, role.lower())

    return member


def _shape(kind: str) -> Callable[[Json], Shape]:
    field = SPECS[kind]

    def shape(raw: Json) -> Shape:
        spec = part(raw, "spec")
        specs = part(spec, field)
        roles = tuple(
            Role(name.lower(), replicas(mapping(each, name)), part(mapping(each, name), "template"))
            for name, each in sorted(specs.items())
        )
        policy = part(spec, "runPolicy")
        least = part(policy, "schedulingPolicy").get("minAvailable")
        if least is None:
            least = _elastic(spec, roles)
        waits = text(spec.get("launcherCreationPolicy"), "spec.launcherCreationPolicy") == WAITS_FOR_WORKERS
        over = policy.get("suspend") is True or is_over(raw, "Succeeded", "Failed")
        fewest = None if least is None else replicas({"minAvailable": least}, "minAvailable")
        return Shape(roles, fewest, waits, over=over)

    return shape


def _elastic(spec: Json, roles: tuple[Role, ...]) -> int | None:
    """Pods without which an elastic PyTorchJob does not begin; None: it is not elastic."""
    fewest = part(spec, "elasticPolicy").get("minReplicas")
    if fewest is None:
        return None
    others = sum(role.count for role in roles if role.name != "worker")
    return others + replicas({"minReplicas": fewest}, "minReplicas")


def _kind(kind: str, versions: tuple[str, ...]) -> GangKind:
    return GangKind(
        kind.lower(),
        f"Kubeflow {kind} ({', '.join(f'`kubeflow.org/{version}`' for version in versions)})",
        f"pod labels `{JOB_NAME}`, `{OPERATOR}` or its owner, `{REPLICA_TYPE}` or `{JOB_ROLE}`; {kind} "
        f"`spec.{SPECS[kind]}`: `replicas` and the pod template; `spec.runPolicy`: `suspend`, "
        "`schedulingPolicy.minAvailable`; `spec.elasticPolicy.minReplicas`; `spec.launcherCreationPolicy`",
        _member(kind),
        Collection("kubeflow.org", versions, f"{kind.lower()}s", kind),
        _shape(kind),
        ("spec", "runPolicy", "suspend"),
    )


KUBEFLOW = tuple(_kind(kind, ("v2beta1", "v1") if kind == "MPIJob" else ("v1",)) for kind in SPECS)
