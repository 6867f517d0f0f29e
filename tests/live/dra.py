"""Raw JSON of devices and claims, as an API server sends them."""

from typing import Any

from tests.live import raw

DRIVER = "gpu.example.com"
CLASS = "gpus"


def device_class(name: str = CLASS, expression: str = f'device.driver == "{DRIVER}"', resource: str = "") -> Any:
    spec: dict[str, Any] = {"selectors": [{"cel": {"expression": expression}}]}
    if resource:
        spec["extendedResourceName"] = resource
    return {"metadata": raw.metadata(name), "spec": spec}


def devices(count: int = 8, **more: Any) -> list[dict[str, Any]]:
    return [{"name": f"gpu-{index}", **more} for index in range(count)]


def resource_slice(node: str, published: list[dict[str, Any]] | None = None, **spec: Any) -> Any:
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1, **spec.pop("pool", {})}
    name = spec.pop("name", f"slice-{node}")
    created = spec.pop("created", raw.START)
    everything = devices() if published is None else published
    return {
        "metadata": raw.metadata(name, created),
        "spec": {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": everything, **spec},
    }


def request(count: int = 8, expression: str = "", **more: Any) -> dict[str, Any]:
    selectors = [{"cel": {"expression": expression}}] if expression else []
    exactly = {"deviceClassName": CLASS, "count": count, "selectors": selectors, **more}
    return {"name": "gpus", "exactly": exactly}


def template(name: str = "template", *requests: dict[str, Any]) -> Any:
    spec = {"devices": {"requests": list(requests or (request(),))}}
    return {"metadata": raw.metadata(name, namespace="default"), "spec": {"spec": spec}}


def claim(name: str, *requests: dict[str, Any], node: str = "", allocated: tuple[str, ...] = (), **status: Any) -> Any:
    made: dict[str, Any] = {
        "metadata": raw.metadata(name, namespace="default"),
        "spec": {"devices": {"requests": list(requests or (request(),))}},
    }
    if node:
        field = {"key": "metadata.name", "operator": "In", "values": [node]}
        results = [{"request": "gpus", "driver": DRIVER, "pool": node, "device": each} for each in allocated]
        selector = {"nodeSelectorTerms": [{"matchFields": [field]}]}
        allocation = {"devices": {"results": results}, "nodeSelector": selector}
        made["status"] = {"allocation": allocation, "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]}
        made["status"] |= status
    return made


def pod(name: str, *claims: dict[str, Any], node: str = "", made: dict[str, str] | None = None, **more: Any) -> Any:
    """A pod with claims; `made` names the ResourceClaims that were made of its templates."""
    spec = {"containers": [{"resources": {"requests": {"cpu": "1"}}}], "resourceClaims": list(claims)}
    spec |= more.pop("spec", {})
    result = raw.pod(name, node_name=node or None, spec=spec, **more)
    statuses = [{"name": key, "resourceClaimName": value} for key, value in (made or {}).items()]
    if statuses:
        result["status"]["resourceClaimStatuses"] = statuses
    return result


def of_template(name: str = "template", claim_name: str = "gpus") -> dict[str, Any]:
    return {"name": claim_name, "resourceClaimTemplateName": name}


def of_claim(name: str, claim_name: str = "gpus") -> dict[str, Any]:
    return {"name": claim_name, "resourceClaimName": name}
