"""A fake driver of devices: it publishes the ResourceSlices of each node that comes, as a DaemonSet's pod would."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kubernetes import client

from autoscaler.live.names import LABEL_POOL
from tests.cluster.cluster import Cluster, is_ready
from tests.cluster.rest import Json

DRIVER = "gpu.example.com"
CLASS = "gpus"
RESOURCES = "/apis/resource.k8s.io/v1"
POLL_SECONDS = 0.2

Slices = Callable[[str], Sequence[Json]]
"""From the name of a node to the specs of its slices, without driver, pool and node."""


def whole_gpus(count: int) -> Slices:
    """One slice of equal GPUs."""
    return lambda node: [
        {"devices": [{"name": f"gpu-{index}", "attributes": {"model": {"string": "A100"}}} for index in range(count)]}
    ]


def divided_gpus(count: int, parts: int) -> Slices:
    """GPUs that can be had whole, or in equal parts of their memory; the counters are a slice of their own."""

    def takes(gpu: int, gigabytes: int) -> list[Json]:
        return [{"counterSet": f"gpu-{gpu}", "counters": {"memory": {"value": f"{gigabytes}Gi"}}}]

    def slices(node: str) -> list[Json]:
        counters = [
            {"name": f"gpu-{gpu}", "counters": {"memory": {"value": f"{10 * parts}Gi"}}} for gpu in range(count)
        ]
        devices = []
        for gpu in range(count):
            kind = {"kind": {"string": "whole"}}
            devices.append({"name": f"gpu-{gpu}", "attributes": kind, "consumesCounters": takes(gpu, 10 * parts)})
            for part in range(parts):
                kind = {"kind": {"string": "part"}}
                name = f"gpu-{gpu}-part-{part}"
                devices.append({"name": name, "attributes": kind, "consumesCounters": takes(gpu, 10)})
        return [{"sharedCounters": counters}, {"devices": devices}]

    return slices


def publish(cluster: Cluster, node: Json, specs: Sequence[Json], only: Sequence[int] | None = None) -> None:
    """Publish the slices of a node, or some of them; they go when the node goes."""
    name, uid = node["metadata"]["name"], node["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid, "controller": True}
    pool = {"name": name, "generation": 1, "resourceSliceCount": len(specs)}
    for index, spec in enumerate(specs):
        if only is None or index in only:
            body = {
                "metadata": {"name": f"{name}-{index}", "ownerReferences": [owner]},
                "spec": {"driver": DRIVER, "nodeName": name, "pool": pool, **spec},
            }
            with contextlib.suppress(client.ApiException):
                cluster.request("POST", f"{RESOURCES}/resourceslices", body)


@contextlib.contextmanager
def driver(cluster: Cluster, slices: Slices) -> Iterator[None]:
    """Publish slices for each node of a pool once it is ready, while the block runs."""
    stop = threading.Event()

    def run() -> None:
        seen: set[str] = set()
        while not stop.wait(POLL_SECONDS):
            with contextlib.suppress(client.ApiException, OSError):
                for node in cluster.request("GET", "/api/v1/nodes", query={"labelSelector": LABEL_POOL})["items"]:
                    if node["metadata"]["uid"] not in seen and is_ready(node):
                        publish(cluster, node, slices(node["metadata"]["name"]))
                        seen.add(node["metadata"]["uid"])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def create_class(cluster: Cluster, extended_resource: str = "") -> None:
    """The DeviceClass of the driver's devices."""
    spec: Json = {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]}
    if extended_resource:
        spec["extendedResourceName"] = extended_resource
    cluster.request("POST", f"{RESOURCES}/deviceclasses", {"metadata": {"name": CLASS}, "spec": spec})


def claim_spec(count: int, expression: str = "", **more: Any) -> Json:
    """What a claim for devices requests."""
    selectors = [{"cel": {"expression": expression}}] if expression else []
    exactly = {"deviceClassName": CLASS, "count": count, "selectors": selectors, **more}
    return {"devices": {"requests": [{"name": "gpus", "exactly": exactly}]}}


def create_template(cluster: Cluster, name: str, spec: Json, namespace: str = "default") -> None:
    """A ResourceClaimTemplate."""
    body = {"metadata": {"name": name}, "spec": {"spec": spec}}
    cluster.request("POST", f"{RESOURCES}/namespaces/{namespace}/resourceclaimtemplates", body)


def create_claim(cluster: Cluster, name: str, spec: Json, namespace: str = "default") -> None:
    """A ResourceClaim that pods name."""
    body = {"metadata": {"name": name}, "spec": spec}
    cluster.request("POST", f"{RESOURCES}/namespaces/{namespace}/resourceclaims", body)


def claims(cluster: Cluster, namespace: str = "default") -> list[Json]:
    """All ResourceClaims."""
    found: list[Json] = cluster.request("GET", f"{RESOURCES}/namespaces/{namespace}/resourceclaims")["items"]
    return found


def allocated(claim: Json) -> list[str]:
    """Names of the devices of a claim, as pool/device."""
    results = claim.get("status", {}).get("allocation", {}).get("devices", {}).get("results", [])
    return sorted(f"{each['pool']}/{each['device']}" for each in results)
