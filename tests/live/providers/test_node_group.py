"""Bounds and templates from the annotations of Cluster API."""

from dataclasses import replace

import pytest

from autoscaler.live.config import LiveConfig, LiveConfigError, LivePool, NodeGroup, NodeTemplate
from autoscaler.live.constraints import Taint
from autoscaler.live.device_config import DeviceTemplate
from autoscaler.live.kube.client import ClusterAccessError
from autoscaler.live.preflight import needed_rights
from autoscaler.live.providers.cluster_api import names
from autoscaler.live.providers.cluster_api.node_group import from_annotations, with_node_groups

POOL = LivePool("a", 10, template=NodeTemplate(labels={"old": "x"}, taints=(Taint("old"),)), gpu_type="A100")


def test_without_annotations_a_pool_stays_as_it_is() -> None:
    assert from_annotations(POOL, {"others.example/max": "3"}) == POOL


def test_every_annotation_has_its_place() -> None:
    pool = from_annotations(
        POOL,
        {
            names.ANNOTATION_GROUP_MIN: "2",
            names.ANNOTATION_GROUP_MAX: "5",
            names.ANNOTATION_CAPACITY_CPU: "64",
            names.ANNOTATION_CAPACITY_MEMORY: "128G",
            names.ANNOTATION_CAPACITY_DISK: "100Gi",
            names.ANNOTATION_CAPACITY_PODS: "30",
            names.ANNOTATION_CAPACITY_GPUS: "4",
            names.ANNOTATION_CAPACITY_GPU_TYPE: "amd.com/gpu",
            names.ANNOTATION_CAPACITY_LABELS: "zone=z1, empty=",
            names.ANNOTATION_CAPACITY_TAINTS: "team=x:NoSchedule,alone:NoExecute,a=b=c:PreferNoSchedule",
        },
    )
    assert (pool.min_nodes, pool.max_nodes, pool.gpus_per_node, pool.gpu_resource) == (2, 5, 4, "amd.com/gpu")
    assert pool.template.allocatable == {"cpu": "64", "memory": "128G", "ephemeral-storage": "100Gi", "pods": "30"}
    assert pool.template.labels == {"zone": "z1", "empty": ""}
    assert pool.template.taints == (
        Taint("team", "x", "NoSchedule"),
        Taint("alone", "", "NoExecute"),
        Taint("a", "b=c", "PreferNoSchedule"),
    )
    assert pool.gpu_type == "A100", "no label says otherwise"
    assert POOL.template.labels == {"old": "x"}


def test_a_driver_of_devices_describes_as_many_as_there_are_gpus() -> None:
    said = {names.ANNOTATION_CAPACITY_DRA_DRIVER: "gpu.example.com", names.ANNOTATION_CAPACITY_GPUS: "4"}
    assert from_annotations(POOL, said).devices == (DeviceTemplate("gpu.example.com", 4),)
    described = replace(POOL, devices=(DeviceTemplate("gpu.example.com", 4, attributes={"model": "A100"}),))
    assert from_annotations(described, said).devices == described.devices


def test_a_label_of_the_gpu_product_is_the_pools_gpu_type() -> None:
    pool = from_annotations(POOL, {names.ANNOTATION_CAPACITY_LABELS: "nvidia.com/gpu.product=H100"})
    assert pool.gpu_type == "H100"
    assert pool.node_labels["nvidia.com/gpu.product"] == "H100"


def test_a_maximum_of_nothing_closes_the_pool() -> None:
    assert from_annotations(POOL, {names.ANNOTATION_GROUP_MAX: "0"}).max_nodes == 0


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (names.ANNOTATION_GROUP_MAX, "many", "write a whole number"),
        (names.ANNOTATION_GROUP_MAX, "-1", "max_nodes is -1"),
        (names.ANNOTATION_GROUP_MIN, "11", "min_nodes is 11"),
        (names.ANNOTATION_CAPACITY_GPUS, "-1", "gpus_per_node is -1"),
        (names.ANNOTATION_CAPACITY_MEMORY, "much", "write a quantity"),
        (names.ANNOTATION_CAPACITY_LABELS, "key", "write key=value"),
        (names.ANNOTATION_CAPACITY_TAINTS, "team=x", "write key=value:NoSchedule"),
        (names.ANNOTATION_CAPACITY_TAINTS, "team=x:Never", "write key=value:NoSchedule"),
    ],
)
def test_what_makes_no_pool_is_an_error_that_names_it(key: str, value: str, problem: str) -> None:
    with pytest.raises(LiveConfigError, match=f"pool a: .*{problem}"):
        from_annotations(POOL, {key: value})


class Api:
    """Answers with one object."""

    def __init__(self, **metadata: object) -> None:
        self.metadata, self.asked = metadata, []

    def get(self, path: str) -> dict[str, object]:
        self.asked.append(path)
        return {"metadata": self.metadata}


def test_only_pools_with_a_node_group_are_read() -> None:
    config = LiveConfig((POOL, LivePool("b", 3, node_group=NodeGroup("md", "ml"))))
    api = Api(annotations={names.ANNOTATION_GROUP_MAX: "6"})
    read = with_node_groups(config, api)  # type: ignore[arg-type]
    assert api.asked == ["/apis/cluster.x-k8s.io/v1beta2/namespaces/ml/machinedeployments/md"]
    assert (read.pools[0], read.pools[1].max_nodes) == (POOL, 6)
    assert "get machinedeployments.cluster.x-k8s.io" in {str(right) for right in needed_rights(config)}
    assert not any(right.group == "cluster.x-k8s.io" for right in needed_rights(LiveConfig((POOL,))))


def test_an_odd_object_is_one_line() -> None:
    config = LiveConfig((LivePool("b", 3, node_group=NodeGroup("md")),))
    with pytest.raises(ClusterAccessError, match=r"pool b: its node group .* cannot be read"):
        with_node_groups(config, Api(annotations=["odd"]))  # type: ignore[arg-type]
