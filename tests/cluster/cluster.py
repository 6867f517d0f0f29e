"""What tests do with a cluster: create fake nodes and gangs, wait, look, and empty it again."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client

from tests.cluster import constants, objects, rest
from tests.cluster.reset import reset
from tests.cluster.waiting import PATIENCE_SECONDS, wait_until

T = TypeVar("T")

_MERGE_PATCH = "application/merge-patch+json"


class Cluster:
    """A cluster seen through an administrator's kubeconfig.

    Attributes:
        kubeconfig: The administrator's kubeconfig.
        api: A client with a timeout on every call; the typed APIs below use it.
        core: CoreV1Api.
        batch: BatchV1Api.
        policy: PolicyV1Api.
        coordination: CoordinationV1Api.
        rbac: RbacAuthorizationV1Api.
        custom: CustomObjectsApi.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.api = rest.api_client(kubeconfig)
        self.core = client.CoreV1Api(self.api)
        self.batch = client.BatchV1Api(self.api)
        self.policy = client.PolicyV1Api(self.api)
        self.coordination = client.CoordinationV1Api(self.api)
        self.rbac = client.RbacAuthorizationV1Api(self.api)
        self.custom = client.CustomObjectsApi(self.api)

    def close(self) -> None:
        """Close the connections."""
        self.api.close()  # type: ignore[no-untyped-call]

    def client(self) -> rest.TimeoutApiClient:
        """Return a new client of the administrator, which the caller closes."""
        return rest.api_client(self.kubeconfig)

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> rest.Json:
        """Make a plain JSON request, see `rest.request`."""
        return rest.request(self.api, method, path, body, **options)

    def reset(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Delete everything that tests may have made, and wait until it is gone."""
        reset(self.api, timeout_seconds)

    # What tests create. The arguments are those of the functions of the same name in objects.py.

    def create_gpu_node(self, name: str, **options: Any) -> rest.Json:
        """Create a fake GPU node."""
        return self.request("POST", "/api/v1/nodes", objects.gpu_node(name, **options))

    def create_pod(self, name: str, **options: Any) -> rest.Json:
        """Create a bare pod."""
        body = objects.pod(name, **options)
        return self.request("POST", f"/api/v1/namespaces/{body['metadata']['namespace']}/pods", body)

    def create_gang_job(self, name: str, **options: Any) -> rest.Json:
        """Create an Indexed Job."""
        body = objects.gang_job(name, **options)
        return self.request("POST", f"/apis/batch/v1/namespaces/{body['metadata']['namespace']}/jobs", body)

    def create_disruption_budget(self, name: str, match_labels: Mapping[str, str], **options: Any) -> rest.Json:
        """Create a PodDisruptionBudget and wait until its controller has counted the pods."""
        body = objects.disruption_budget(name, match_labels, **options)
        path = f"/apis/policy/v1/namespaces/{body['metadata']['namespace']}/poddisruptionbudgets"
        created = self.request("POST", path, body)
        # An eviction is refused with 429 in any case until the controller has seen the budget.
        return self.wait_until(
            lambda: _observed(self.request("GET", f"{path}/{name}"), created["metadata"]["generation"]),
            f"the disruption controller has seen {name}",
        )

    def create_namespace(self, name: str) -> None:
        """Create a namespace and wait until pods can be created in it."""
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.wait_until(
            lambda: self._exists(f"/api/v1/namespaces/{name}/serviceaccounts/default"),
            f"namespace {name} has a default ServiceAccount",
        )

    # What happens to nodes.

    def node(self, name: str) -> rest.Json:
        """Return a node."""
        return self.request("GET", f"/api/v1/nodes/{name}")

    def pod(self, name: str, namespace: str = "default") -> rest.Json:
        """Return a pod."""
        return self.request("GET", f"/api/v1/namespaces/{namespace}/pods/{name}")

    def stop_heartbeat(self, node: str) -> None:
        """Let a fake node stop renewing its Lease: it is not Ready after the grace period."""
        self._annotate_node(node, {constants.ANNOTATION_HEARTBEAT_SECONDS: "0"})

    def start_heartbeat(self, node: str) -> None:
        """Let a fake node go on renewing its Lease: it is Ready again when KWOK next looks."""
        self._annotate_node(node, {constants.ANNOTATION_HEARTBEAT_SECONDS: None})
        path = f"/apis/coordination.k8s.io/v1/namespaces/{constants.NODE_LEASE_NAMESPACE}/leases/{node}"
        self.request("PATCH", path, {"spec": {"holderIdentity": None}}, content_type=_MERGE_PATCH)

    def _annotate_node(self, node: str, annotations: Mapping[str, str | None]) -> None:
        body = {"metadata": {"annotations": annotations}}
        self.request("PATCH", f"/api/v1/nodes/{node}", body, content_type=_MERGE_PATCH)

    # Waiting and looking.

    def wait_until(
        self, condition: Callable[[], T | None], what: str, *, timeout_seconds: float = PATIENCE_SECONDS
    ) -> T:
        """Wait like `waiting.wait_until`; the message of a failure shows nodes, pods and Jobs."""
        return wait_until(condition, what, timeout_seconds=timeout_seconds, describe=self.describe)

    def wait_for_node(
        self, name: str, *, ready: bool = True, gpus: int | None = None, timeout_seconds: float = PATIENCE_SECONDS
    ) -> rest.Json:
        """Wait until a node is Ready or is not, and has so many allocatable GPUs; return it."""
        what = f"node {name} is {'' if ready else 'not '}Ready" + ("" if gpus is None else f", {gpus} GPUs")

        def condition() -> rest.Json | None:
            node = self.node(name)
            good = is_ready(node) is ready and gpus in (None, allocatable_gpus(node))
            return node if good else None

        return self.wait_until(condition, what, timeout_seconds=timeout_seconds)

    def wait_for_job(
        self,
        name: str,
        condition: str = "Complete",
        *,
        namespace: str = "default",
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> rest.Json:
        """Wait until a Job has a condition, `Complete` or `Failed`; return the Job."""
        path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}"

        def reached() -> rest.Json | None:
            job = self.request("GET", path)
            return job if condition_status(job, condition) == "True" else None

        return self.wait_until(reached, f"Job {name} is {condition}", timeout_seconds=timeout_seconds)

    def wait_for_pod(
        self, name: str, phase: str, *, namespace: str = "default", timeout_seconds: float = PATIENCE_SECONDS
    ) -> rest.Json:
        """Wait until a pod is in a phase; return it."""
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"

        def reached() -> rest.Json | None:
            pod = self.request("GET", path)
            return pod if pod["status"].get("phase") == phase else None

        return self.wait_until(reached, f"pod {name} is {phase}", timeout_seconds=timeout_seconds)

    def pods(self, selector: str = "", namespace: str = "default") -> list[rest.Json]:
        """Return the pods of a namespace that a label selector selects."""
        path = f"/api/v1/namespaces/{namespace}/pods"
        items: list[rest.Json] = self.request("GET", path, query={"labelSelector": selector})["items"]
        return items

    def describe(self) -> str:
        """Return nodes, pods, Jobs and the last Events as text, for messages of failures."""
        lines: list[str] = []
        with contextlib.suppress(Exception):  # The message must not hide the failure that it is about.
            for node in self.request("GET", "/api/v1/nodes")["items"]:
                taints = ",".join(taint["key"] for taint in node["spec"].get("taints", ()))
                ready = condition_status(node, "Ready")
                lines.append(f"  node {_name(node)}: Ready={ready} gpus={allocatable_gpus(node)} taints={taints}")
            for pod in self.request("GET", "/api/v1/pods")["items"]:
                where = pod["spec"].get("nodeName", "-")
                lines.append(f"  pod {_name(pod)}: {pod['status'].get('phase')} on {where}")
            for job in self.request("GET", "/apis/batch/v1/jobs")["items"]:
                lines.append(f"  job {_name(job)}: {job['status']}")
            events = self.request("GET", "/api/v1/events")["items"]
            for event in sorted(events, key=lambda item: item["metadata"]["creationTimestamp"])[-10:]:
                involved = event["involvedObject"]
                lines.append(f"  event {involved.get('name')}: {event['reason']}: {event['message'][:200]}")
        return "\n".join(lines) or "  (the API server does not answer, or there is nothing)"

    def _can_list(self, crd: rest.Json) -> bool:
        """Whether objects of a CRD can be listed; those who come too early find no path, or storage being set up."""
        spec = crd["spec"]
        versions = [version["name"] for version in spec["versions"] if version["served"]]
        try:
            for version in versions:
                self.request("GET", f"/apis/{spec['group']}/{version}/{spec['names']['plural']}")
        except client.ApiException as error:
            if error.status not in (404, 429):
                raise
            return False
        return True

    def _exists(self, path: str) -> bool:
        try:
            self.request("GET", path)
        except client.ApiException as error:
            if error.status != 404:
                raise
            return False
        return True


def condition_status(item: rest.Json, kind: str) -> str | None:
    """Return the status of an object's condition of this type, or None when it has none."""
    for condition in item.get("status", {}).get("conditions") or ():
        if condition["type"] == kind:
            return str(condition["status"])
    return None


def is_ready(node: rest.Json) -> bool:
    """Tell whether a node is Ready."""
    return condition_status(node, "Ready") == "True"


def allocatable_gpus(node: rest.Json) -> int:
    """Return a node's allocatable `nvidia.com/gpu`."""
    return int(node["status"].get("allocatable", {}).get(constants.GPU_RESOURCE, 0))


def _observed(budget: rest.Json, generation: int) -> rest.Json | None:
    return budget if budget.get("status", {}).get("observedGeneration") == generation else None


def _name(item: rest.Json) -> str:
    namespace = item["metadata"].get("namespace")
    return f"{namespace}/{item['metadata']['name']}" if namespace else str(item["metadata"]["name"])
