"""Bounds and template of a pool from the annotations that Cluster API and Cluster Autoscaler agreed on.

Source: https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/clusterapi/README.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autoscaler.live.config import LiveConfig, LiveConfigError, LivePool
from autoscaler.live.constraints import Taint
from autoscaler.live.device_config import DeviceTemplate
from autoscaler.live.kube.client import ClusterAccessError, KubeClient, KubeError
from autoscaler.live.kube.fields import ParseError, mapping, string_map
from autoscaler.live.kube.quantities import QuantityError, parse_milli
from autoscaler.live.kube.rights import Right
from autoscaler.live.names import LABEL_GPU_PRODUCT
from autoscaler.live.providers.cluster_api.names import (
    ANNOTATION_CAPACITY_CPU,
    ANNOTATION_CAPACITY_DISK,
    ANNOTATION_CAPACITY_DRA_DRIVER,
    ANNOTATION_CAPACITY_GPU_TYPE,
    ANNOTATION_CAPACITY_GPUS,
    ANNOTATION_CAPACITY_LABELS,
    ANNOTATION_CAPACITY_MEMORY,
    ANNOTATION_CAPACITY_PODS,
    ANNOTATION_CAPACITY_TAINTS,
    ANNOTATION_GROUP_MAX,
    ANNOTATION_GROUP_MIN,
)

SIZES = {
    ANNOTATION_CAPACITY_CPU: "cpu",
    ANNOTATION_CAPACITY_MEMORY: "memory",
    ANNOTATION_CAPACITY_DISK: "ephemeral-storage",
    ANNOTATION_CAPACITY_PODS: "pods",
}
"""Annotations that hold a quantity, with the resource that each is the size of."""

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def from_annotations(pool: LivePool, annotations: Mapping[str, str]) -> LivePool:
    """A pool as the annotations of its node group have it; what they do not say stays as it is.

    Labels and taints take the place of those of the pool's template: what no longer stands on the group is gone.

    Raises:
        LiveConfigError: an annotation cannot be read, or what it says has no meaning for a pool.
    """

    def whole(key: str, default: int) -> int:
        if key not in annotations:
            return default
        try:
            return int(annotations[key])
        except ValueError:
            raise _unreadable(pool, annotations, key, "a whole number") from None

    template = pool.template
    sizes = {resource: _quantity(pool, annotations, key) for key, resource in SIZES.items() if key in annotations}
    labels = _labels(pool, annotations) if ANNOTATION_CAPACITY_LABELS in annotations else dict(template.labels)
    taints = _taints(pool, annotations) if ANNOTATION_CAPACITY_TAINTS in annotations else template.taints
    product = labels.pop(LABEL_GPU_PRODUCT, pool.gpu_type)
    gpus = whole(ANNOTATION_CAPACITY_GPUS, pool.gpus_per_node)
    driver = annotations.get(ANNOTATION_CAPACITY_DRA_DRIVER, "")
    return replace(
        pool,
        min_nodes=whole(ANNOTATION_GROUP_MIN, pool.min_nodes),
        max_nodes=whole(ANNOTATION_GROUP_MAX, pool.max_nodes),
        gpus_per_node=gpus,
        gpu_resource=annotations.get(ANNOTATION_CAPACITY_GPU_TYPE, pool.gpu_resource),
        gpu_type=product,
        devices=(DeviceTemplate(driver, gpus),) if driver and not pool.devices and gpus > 0 else pool.devices,
        template=replace(template, labels=labels, taints=taints, allocatable={**template.allocatable, **sizes}),
    )


def needed_rights(config: LiveConfig) -> tuple[Right, ...]:
    """The rights to read the node groups of a config."""
    groups = [pool.node_group for pool in config.pools if pool.node_group is not None]
    kinds = dict.fromkeys((group.group, group.resource) for group in groups)
    return tuple(Right(group, resource, "get", "read bounds and templates of node groups") for group, resource in kinds)


def with_node_groups(config: LiveConfig, client: KubeClient) -> LiveConfig:
    """The config with each pool as its node group has it now.

    Raises:
        ClusterAccessError: a node group cannot be read.
        LiveConfigError: its annotations make no pool.
    """
    pools = [pool if pool.node_group is None else from_annotations(pool, _read(pool, client)) for pool in config.pools]
    return replace(config, pools=tuple(pools))


def _read(pool: LivePool, client: KubeClient) -> dict[str, str]:
    group = pool.node_group
    assert group is not None
    try:
        metadata = mapping(client.get(group.path).get("metadata"), "metadata")
        return string_map(metadata.get("annotations"), "metadata.annotations")
    except (KubeError, ParseError) as error:
        raise ClusterAccessError(f"pool {pool.name}: its node group {group.path} cannot be read: {error}") from error


def _quantity(pool: LivePool, annotations: Mapping[str, str], key: str) -> str:
    try:
        parse_milli(annotations[key])
    except QuantityError:
        raise _unreadable(pool, annotations, key, "a quantity such as 96 or 1Ti") from None
    return annotations[key]


def _labels(pool: LivePool, annotations: Mapping[str, str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in _entries(annotations[ANNOTATION_CAPACITY_LABELS])]
    if not all(key and equals for key, equals, _ in pairs):
        raise _unreadable(pool, annotations, ANNOTATION_CAPACITY_LABELS, "key=value,key=value")
    return {key: value for key, _, value in pairs}


def _taints(pool: LivePool, annotations: Mapping[str, str]) -> tuple[Taint, ...]:
    found = []
    for entry in _entries(annotations[ANNOTATION_CAPACITY_TAINTS]):
        pair, _, effect = entry.rpartition(":")
        key, _, value = pair.partition("=")
        if not key or effect not in EFFECTS:
            raise _unreadable(pool, annotations, ANNOTATION_CAPACITY_TAINTS, "key=value:NoSchedule,key:NoExecute")
        found.append(Taint(key, value, effect))
    return tuple(found)


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _unreadable(pool: LivePool, annotations: Mapping[str, str], key: str, form: str) -> LiveConfigError:
    return LiveConfigError(f"pool {pool.name}: its node group has {key}: {annotations[key][:100]!r}; write {form}")
