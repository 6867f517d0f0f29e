"""Objects of others' APIs that tests need: their CRDs, cut down to what the API server requires."""

from typing import Any

from tests.cluster.cluster import Cluster

Manifest = dict[str, Any]

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MACHINE_DEPLOYMENTS = "/apis/cluster.x-k8s.io/v1beta2/namespaces/default/machinedeployments"
PROVISIONING_REQUESTS = "/apis/autoscaling.x-k8s.io/v1/namespaces/default/provisioningrequests"


def crd(group: str, version: str, kind: str, scope: str = "Namespaced") -> Manifest:
    """Return a CustomResourceDefinition whose objects may hold anything."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # The API server lets only those name a group of Kubernetes' own domain who say that it was approved.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for tests"},
        },
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [served],
        },
    }


def install(cluster: Cluster, manifest: Manifest) -> None:
    """Install a CRD that is not there yet, and wait until it is served."""
    path = f"{CRDS}/{manifest['metadata']['name']}"
    if not cluster._exists(path):
        cluster.request("POST", CRDS, manifest)
    cluster.wait_until(lambda: cluster._can_list(manifest), f"{manifest['metadata']['name']} is served")


def machine_deployment(cluster: Cluster, name: str, annotations: dict[str, str]) -> None:
    """Create a MachineDeployment of Cluster API, of which nothing but the annotations is ever read."""
    install(cluster, crd("cluster.x-k8s.io", "v1beta2", "MachineDeployment"))
    body = {
        "apiVersion": "cluster.x-k8s.io/v1beta2",
        "kind": "MachineDeployment",
        "metadata": {"name": name, "annotations": annotations},
    }
    cluster.request("POST", MACHINE_DEPLOYMENTS, body)


def provisioning_request(cluster: Cluster, name: str) -> None:
    """Create a ProvisioningRequest."""
    install(cluster, crd("autoscaling.x-k8s.io", "v1", "ProvisioningRequest"))
    body = {
        "apiVersion": "autoscaling.x-k8s.io/v1",
        "kind": "ProvisioningRequest",
        "metadata": {"name": name},
        "spec": {"provisioningClassName": "check-capacity.autoscaling.x-k8s.io"},
    }
    cluster.request("POST", PROVISIONING_REQUESTS, body)
