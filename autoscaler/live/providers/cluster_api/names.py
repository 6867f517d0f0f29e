"""Annotations of a node group of Cluster API, which say what its pool is like."""

from __future__ import annotations

from typing import Final

from autoscaler.live.names import NameTable

_table = NameTable()
_name = _table.add

ANNOTATION_GROUP_MIN: Final = _name(
    "annotation", "cluster.x-k8s.io/cluster-api-autoscaler-node-group-min-size", "Node group: `min_nodes`."
)
ANNOTATION_GROUP_MAX: Final = _name(
    "annotation", "cluster.x-k8s.io/cluster-api-autoscaler-node-group-max-size", "Node group: `max_nodes`."
)
ANNOTATION_CAPACITY_CPU: Final = _name(
    "annotation", "capacity.cluster-autoscaler.kubernetes.io/cpu", "Node group: `template.allocatable.cpu`."
)
ANNOTATION_CAPACITY_MEMORY: Final = _name(
    "annotation", "capacity.cluster-autoscaler.kubernetes.io/memory", "Node group: `template.allocatable.memory`."
)
ANNOTATION_CAPACITY_DISK: Final = _name(
    "annotation",
    "capacity.cluster-autoscaler.kubernetes.io/ephemeral-disk",
    "Node group: `template.allocatable.ephemeral-storage`.",
)
ANNOTATION_CAPACITY_PODS: Final = _name(
    "annotation", "capacity.cluster-autoscaler.kubernetes.io/maxPods", "Node group: `template.allocatable.pods`."
)
ANNOTATION_CAPACITY_GPUS: Final = _name(
    "annotation", "capacity.cluster-autoscaler.kubernetes.io/gpu-count", "Node group: `gpus_per_node`."
)
ANNOTATION_CAPACITY_GPU_TYPE: Final = _name(
    "annotation",
    "capacity.cluster-autoscaler.kubernetes.io/gpu-type",
    "Node group: `gpu_resource`, such as `nvidia.com/gpu`.",
)
ANNOTATION_CAPACITY_DRA_DRIVER: Final = _name(
    "annotation",
    "capacity.cluster-autoscaler.kubernetes.io/dra-driver",
    "Node group: driver of the GPUs, `devices`, unless the config describes them.",
)
ANNOTATION_CAPACITY_LABELS: Final = _name(
    "annotation",
    "capacity.cluster-autoscaler.kubernetes.io/labels",
    "Node group: `template.labels`, as `key=value,key=value`.",
)
ANNOTATION_CAPACITY_TAINTS: Final = _name(
    "annotation",
    "capacity.cluster-autoscaler.kubernetes.io/taints",
    "Node group: `template.taints`, as `key=value:Effect,key:Effect`.",
)

NAMES: Final = _table.all()
