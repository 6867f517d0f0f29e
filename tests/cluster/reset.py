"""Empty a test cluster between two tests, without waiting for anything that can be forced."""

import contextlib
from collections.abc import Iterator
from typing import Any

from kubernetes import client

from autoscaler.live.names import CONFIG_MAP, SIGNALS_CONFIG_MAP, STATUS_CONFIG_MAP
from tests.cluster import rest
from tests.cluster.constants import SYSTEM_NAMESPACES
from tests.cluster.waiting import wait_until

# What makes other objects comes before what it makes.
_WORKLOADS = (
    "/apis/batch/v1/cronjobs",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/statefulsets",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/replicasets",
    "/apis/batch/v1/jobs",
    "/api/v1/pods",
    "/apis/policy/v1/poddisruptionbudgets",
    "/api/v1/resourcequotas",
)
_OTHERS = (
    "/apis/resource.k8s.io/v1/resourceclaims",
    "/apis/resource.k8s.io/v1/resourceclaimtemplates",
    "/apis/resource.k8s.io/v1/resourceslices",
    "/apis/resource.k8s.io/v1/deviceclasses",
    "/api/v1/nodes",
    "/apis/coordination.k8s.io/v1/leases",
    "/api/v1/configmaps",
    "/api/v1/secrets",
    "/api/v1/services",
    "/api/v1/serviceaccounts",
    "/api/v1/events",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/scheduling.k8s.io/v1/priorityclasses",
    "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
    "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/api/v1/namespaces",
)
# Of these, those in the control plane's own namespaces stay: its components need them.
_KEPT_IN_SYSTEM_NAMESPACES = ("/configmaps", "/secrets", "/serviceaccounts", "/roles", "/rolebindings")
_KEPT = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default"), ("services", "kubernetes")}


def reset(api: client.ApiClient, timeout_seconds: float) -> None:
    """Delete what tests made and wait until nothing of it is left.

    The installed CustomResourceDefinitions stay, their objects go.

    Raises:
        WaitTimeoutError: Something came back or did not go.
    """
    left: list[str] = []

    def emptied() -> bool:
        left[:] = list(_delete_all(api))
        return not left

    wait_until(
        emptied,
        "the cluster is empty",
        timeout_seconds=timeout_seconds,
        describe=lambda: f"  left: {', '.join(left[:20])}",
    )


def _delete_all(api: client.ApiClient) -> Iterator[str]:
    """Request the deletion of everything, once; yield the paths of what there was."""
    for collection in (*_custom_collections(api), *_WORKLOADS, *_OTHERS):
        try:
            listed = rest.request(api, "GET", collection)
        except client.ApiException as error:
            if error.status == 404:  # This server does not serve the resource.
                continue
            raise
        for item in listed.get("items", ()):
            if not _kept(collection, item["metadata"]):
                path = _path(collection, item["metadata"])
                _delete(api, path, item["metadata"])
                if collection == "/api/v1/namespaces" and "deletionTimestamp" in item["metadata"]:
                    # Its content went in the pass that deleted it; its controller takes seconds to find out.
                    with _ignored(404, 409):
                        rest.request(api, "PUT", f"{path}/finalize", {**item, "spec": {"finalizers": []}})
                yield path


def _custom_collections(api: client.ApiClient) -> list[str]:
    crds = rest.request(api, "GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    collections = []
    for crd in crds:
        spec = crd["spec"]
        version = next(version["name"] for version in spec["versions"] if version["served"])
        collections.append(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}")
    # NodePools first: while one is there, Karpenter makes new NodeClaims.
    return sorted(collections, key=lambda path: not path.endswith("/nodepools"))


def _kept(collection: str, metadata: dict[str, Any]) -> bool:
    name, namespace = metadata["name"], metadata.get("namespace")
    if collection.endswith("/configmaps") and name in (STATUS_CONFIG_MAP, CONFIG_MAP, SIGNALS_CONFIG_MAP):
        return False  # the next test would see this one's status, and remember its cooldowns
    if "kubernetes.io/bootstrapping" in metadata.get("labels", {}):
        return True
    if collection.endswith("/namespaces"):
        return name in SYSTEM_NAMESPACES
    if namespace in SYSTEM_NAMESPACES and (collection.rpartition("/")[2], name) in _KEPT:
        return True
    if collection.endswith("/priorityclasses"):
        return bool(name.startswith("system-"))
    if collection.endswith("/leases"):
        return namespace == "kube-system" and name.startswith("apiserver-")
    return namespace in SYSTEM_NAMESPACES - {"default"} and collection.endswith(_KEPT_IN_SYSTEM_NAMESPACES)


def _path(collection: str, metadata: dict[str, Any]) -> str:
    prefix, _, plural = collection.rpartition("/")
    namespace = metadata.get("namespace")
    middle = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}{middle}/{plural}/{metadata['name']}"


def _delete(api: client.ApiClient, path: str, metadata: dict[str, Any]) -> None:
    options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
    # Gone meanwhile, or changed meanwhile: the next pass sees.
    with _ignored(404, 409):
        rest.request(api, "DELETE", path, options)
    if metadata.get("finalizers"):
        with _ignored(404, 409, 422):
            body = {"metadata": {"finalizers": None}}
            rest.request(api, "PATCH", path, body, content_type="application/merge-patch+json")


@contextlib.contextmanager
def _ignored(*statuses: int) -> Iterator[None]:
    try:
        yield
    except client.ApiException as error:
        if error.status not in statuses:
            raise
