"""What the next node of a pool is like."""

from dataclasses import replace

from autoscaler.live.cluster_objects import DaemonSetView
from autoscaler.live.config import LivePool, NodeTemplate
from autoscaler.live.constraints import Requirement, Taint, Toleration
from autoscaler.live.fit.shapes import shape_of
from autoscaler.live.names import LABEL_POOL, RESOURCE_GPUS
from tests.live.views import GPU, booting, node, pod

POOL = LivePool("a", 4, template=NodeTemplate(taints=(Taint("gpu", "yes"),)))
TOLERATES = (Toleration(operator="Exists"),)


def daemon_set(name="ds", cpu_milli=2000, **fields):
    fields.setdefault("tolerations", TOLERATES)
    return DaemonSetView(name=name, uid=name, template=pod(name, cpu_milli=cpu_milli, **fields))


def test_an_empty_pool_is_as_the_config_says():
    shape = shape_of(POOL)
    assert shape.allocatable == {
        "cpu": 96_000,
        "memory": (1 << 40) * 1000,
        "pods": 110_000,
        GPU: 8000,
        RESOURCE_GPUS: 8000,
    }
    assert shape.labels[LABEL_POOL] == "a"
    assert (shape.taints, shape.overhead) == (POOL.template.taints, {})


def test_what_its_newest_node_offers_counts_before_the_config():
    old = replace(node("old", created_seconds=1.0), allocatable={"cpu": 200_000, "rdma/hca": 1000, GPU: 8000})
    new = replace(node("new", created_seconds=2.0), allocatable={"cpu": 64_000, "rdma/hca": 0, GPU: 4000})
    shape = shape_of(POOL, [new, old, booting("later")])
    assert shape.allocatable["cpu"] == 64_000
    assert shape.allocatable["rdma/hca"] == 1000, "the plugin of the newest has not reported yet"
    assert shape.allocatable[GPU] == 8000, "GPUs are the config's to say"


def test_a_label_that_all_its_nodes_share_is_that_of_the_next_one():
    host = "kubernetes.io/hostname"
    nodes = [node(name, labels={"zone": "z1", "rack": name, host: name, LABEL_POOL: "a"}) for name in ("n", "m")]
    assert shape_of(POOL, nodes).labels["zone"] == "z1"
    assert "rack" not in shape_of(POOL, nodes).labels
    assert host not in shape_of(POOL, nodes[:1]).labels
    apart = [nodes[0], node("o", labels={"zone": "z2", LABEL_POOL: "a"})]
    assert "zone" not in shape_of(POOL, apart).labels


def test_daemon_sets_take_their_part_of_each_node_that_they_run_on():
    sets = [
        daemon_set("all"),
        daemon_set("port", cpu_milli=500, host_ports=(("TCP", "0.0.0.0", 9100),)),
        daemon_set("no toleration", tolerations=()),
        daemon_set("elsewhere", node_selector={LABEL_POOL: "b"}),
        daemon_set("by affinity", cpu_milli=250, affinity_terms=((Requirement(LABEL_POOL, "In", ("a",)),),)),
    ]
    shape = shape_of(POOL, daemon_sets=sets)
    assert shape.overhead == {"cpu": 2750, "pods": 3000}
    assert shape.ports == (("TCP", "0.0.0.0", 9100),)


def test_a_requirement_of_karpenter_that_leaves_one_value_is_a_label_of_its_nodes():
    requirements = {"zone": ("z1",), "instance": ("small", "large")}
    pool = LivePool("k", 4, provider="karpenter", provider_settings={"requirements": requirements})
    labels = shape_of(pool).labels
    assert labels["zone"] == "z1"
    assert "instance" not in labels
