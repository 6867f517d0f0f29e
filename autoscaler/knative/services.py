"""Knative Services, and the annotations of the Revisions that serve them.

The annotations are written on the latest ready Revision, not into the template of the Service: a change of the template
makes a new Revision, which rolls out new containers and would defeat the point. The spec of a Revision is immutable,
its annotations are not, and Knative hands those of its autoscaler on to the Revision's PodAutoscaler.

Source: knative.dev/serving v0.48.0, pkg/reconciler/revision/reconcile_resources.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from autoscaler.knative.plan import Plan
from autoscaler.live.kube.client import ClusterAccessError, Json, KubeClient
from autoscaler.live.kube.discovery import kinds
from autoscaler.live.kube.quantities import QuantityError, parse_milli
from autoscaler.live.names import DOMAIN

SERVING = "/apis/serving.knative.dev/v1"
RETENTION = "autoscaling.knative.dev/scale-to-zero-pod-retention-period"
MIN_SCALE = "autoscaling.knative.dev/min-scale"
WRITTEN_AT = f"{DOMAIN}/knative-written-at"
GPU = "nvidia.com/gpu"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class KnativeService:
    """A Service that is ready.

    Attributes:
        namespace: its namespace.
        name: its name.
        revision: name of its latest ready Revision.
        memory_mib: that a container of it requests; None: it does not say.
        gpu_milli: thousandths of GPUs that it requests.
        concurrency: requests that a container runs at once; 1 where Knative does not limit them.
        least: `min-scale` of its own template.
    """

    namespace: str
    name: str
    revision: str
    memory_mib: float | None
    gpu_milli: int
    concurrency: int
    least: int

    @property
    def key(self) -> str:
        """As histories call it."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Change:
    """A Revision whose annotations are to change.

    Attributes:
        service: whose.
        annotations: what is written.
        before: the values that stand there now.
        why: in words.
    """

    service: KnativeService
    annotations: Mapping[str, str]
    before: Mapping[str, str]
    why: str


def check_knative(client: KubeClient) -> None:
    """Refuse a cluster without Knative Services.

    Raises:
        ClusterAccessError: as above; one line.
    """
    if not {"Service", "Revision"} <= kinds(client, SERVING):
        raise ClusterAccessError(
            "the cluster has no CRDs for Services and Revisions of serving.knative.dev/v1; install Knative"
        )


def list_services(client: KubeClient, namespace: str | None) -> list[KnativeService]:
    """The Services that have a ready Revision, by namespace and name.

    Raises:
        KubeError: they cannot be listed.
    """
    where = "" if namespace is None else f"/namespaces/{namespace}"
    items = client.get(f"{SERVING}{where}/services").get("items") or []
    found = [service for item in items if (service := _service(item)) is not None]
    return sorted(found, key=lambda service: service.key)


def _service(item: Json) -> KnativeService | None:
    revision = (item.get("status") or {}).get("latestReadyRevisionName")
    if not revision:
        return None
    template = (item.get("spec") or {}).get("template") or {}
    spec = template.get("spec") or {}
    memory_mib, gpu_milli = _requests(spec)
    least = ((template.get("metadata") or {}).get("annotations") or {}).get(MIN_SCALE, "0")
    return KnativeService(
        namespace=item["metadata"]["namespace"],
        name=item["metadata"]["name"],
        revision=revision,
        memory_mib=memory_mib,
        gpu_milli=gpu_milli,
        concurrency=max(int(spec.get("containerConcurrency") or 1), 1),
        least=int(least) if str(least).isdecimal() else 0,
    )


def _requests(spec: Json) -> tuple[float | None, int]:
    """MiB and thousandths of GPUs of all containers; None and 0 where they do not say, or say it oddly."""
    found: dict[str, int] = {}
    for container in spec.get("containers") or []:
        resources = container.get("resources") or {}
        for name, text in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}.items():
            with suppress(QuantityError):
                found[name] = found.get(name, 0) + parse_milli(text)
    return found["memory"] / 1000.0 / MIB if found.get("memory") else None, found.get(GPU, 0)


def change_of(
    client: KubeClient, service: KnativeService, plan: Plan, now: float, least_seconds: float
) -> Change | None:
    """What is to be written for a Service; None: it stands there already, or was written too recently.

    Raises:
        KubeError: its Revision cannot be read.
    """
    revision = client.get(_path(service))
    present = (revision.get("metadata") or {}).get("annotations") or {}
    wanted = {RETENTION: f"{plan.retention_seconds}s", MIN_SCALE: str(max(plan.min_scale, service.least))}
    before = {name: present[name] for name in wanted if name in present}
    if before == wanted:
        return None
    written = present.get(WRITTEN_AT, "")
    if written.replace(".", "", 1).isdecimal() and now - float(written) < least_seconds:
        return None
    # Rounded down: a time to come would hold back a write that may follow at once.
    return Change(service, {**wanted, WRITTEN_AT: str(int(now))}, before, plan.why)


def write(client: KubeClient, change: Change) -> None:
    """Write the annotations of a Revision.

    Raises:
        KubeError: they cannot be written.
    """
    client.patch(_path(change.service), {"metadata": {"annotations": dict(change.annotations)}})


def _path(service: KnativeService) -> str:
    return f"{SERVING}/namespaces/{service.namespace}/revisions/{service.revision}"
