"""What a pod uses of accelerators besides whole GPUs: device claims, slices and shares of a GPU, other vendors.

Sources:
    https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
    https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/5004-dra-extended-resource
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from autoscaler.live.kube.fields import items, mapping, text

DEVICE_CLASS_PREFIX = "deviceclass.resource.kubernetes.io/"
"""An extended resource that a DeviceClass serves without a name of its own."""

VENDORS = (
    "aliyun.com",
    "amd.com",
    "aws.amazon.com",
    "cambricon.com",
    "cloud-tpus.google.com",
    "enflame.com",
    "furiosa.ai",
    "gpu.intel.com",
    "graphcore.ai",
    "habana.ai",
    "huawei.com",
    "hygon.com",
    "iluvatar.ai",
    "iluvatar.com",
    "kunlunxin.com",
    "metax-tech.com",
    "mthreads.com",
    "nvidia.com",
    "qualcomm.com",
    "rebellions.ai",
    "tenstorrent.com",
    "xilinx.com",
)
"""Domains whose device plugins serve accelerators."""

_WORDS = re.compile(
    r"(^|[^a-z])(v?gpu|v?tpu|v?npu|v?dcu|mlu|gcu|xpu|fpga|mig(?![a-z])|neuron(core|device)?|vcuda|accelerator)"
)
"""Words by which device plugins of other domains name accelerators."""


def is_accelerator(resource: str, more: Collection[str] = ()) -> bool:
    """Whether an extended resource is an accelerator, or a part of one.

    Args:
        resource: such as `nvidia.com/mig-1g.10gb`.
        more: patterns of further resources, such as `example.com/*`.
    """
    domain, slash, name = resource.partition("/")
    if not slash:
        return False
    if any(fnmatchcase(resource, pattern) for pattern in more):
        return True
    if resource.startswith(DEVICE_CLASS_PREFIX):
        return True
    if domain.endswith("kubernetes.io"):
        return False
    return domain in VENDORS or _WORDS.search(name.lower()) is not None


def accelerators(
    spec: Mapping[str, Any],
    status: Mapping[str, Any],
    requests: Mapping[str, int],
    counted: Collection[str],
    more: Collection[str] = (),
) -> tuple[str, ...]:
    """What a pod uses of accelerators, besides the GPU resources of the pools; sorted.

    Args:
        spec: of the pod.
        status: of the pod.
        requests: what it requests, see `autoscaler.live.kube.fields.requests`.
        counted: GPU resources of the pools.
        more: see `is_accelerator`.

    Returns:
        Names of resources, and of device claims as `resource claim <name>`.

    Raises:
        ParseError: a claim cannot be read.
    """
    found = {
        resource
        for resource, amount in requests.items()
        if amount > 0 and resource not in counted and is_accelerator(resource, more)
    }
    claims = {text(claim.get("name"), "spec.resourceClaims.name") for claim in _claims(spec)}
    by_resource = mapping(status.get("extendedResourceClaimStatus"), "status.extendedResourceClaimStatus")
    if by_resource:
        claims.add(text(by_resource.get("resourceClaimName"), "status.extendedResourceClaimStatus.resourceClaimName"))
    return tuple(sorted({*found, *(f"resource claim {name}" for name in claims)}))


def _claims(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Claims of the pod, and those that a container names although the pod does not declare them."""
    found = list(items(spec.get("resourceClaims"), "spec.resourceClaims"))
    for part in ("containers", "initContainers"):
        for container in items(spec.get(part), f"spec.{part}"):
            resources = mapping(container.get("resources"), f"spec.{part}.resources")
            found += items(resources.get("claims"), f"spec.{part}.resources.claims")
    return found
