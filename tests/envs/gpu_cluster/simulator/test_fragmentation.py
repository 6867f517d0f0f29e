"""Packing heterogeneous nodes: the compiled packers agree with plain Python, and never give more than there is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import traces
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.registry import PACKERS
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables
from envs.gpu_cluster.simulator.packing.choice import set_open
from envs.gpu_cluster.simulator.packing.fragmentation import make_tables
from envs.gpu_cluster.simulator.packing.gpus import loosest_gpus
from envs.gpu_cluster.simulator.packing.node_packer import NodePacker, PackingError, allocate, make_pods
from envs.gpu_cluster.simulator.packing.packer import Packer
from envs.gpu_cluster.simulator.packing.packers.best_fit import best_fit
from envs.gpu_cluster.simulator.packing.packers.lifetime_aware import later_end
from envs.gpu_cluster.simulator.packing.packers.worst_fit import worst_fit
from envs.gpu_cluster.simulator.packing.plain import PlainCluster, PlainNode, PlainPod
from tests.envs.gpu_cluster.worlds import kernel_property
from traces.tables import read_csv

MODELS = 3
NODES = st.tuples(
    st.sampled_from([0, 8000, 16000, 96000]),
    st.sampled_from([0, 30000, 120000]),
    st.sampled_from([0, 1, 2, 4, 8, 8]),
    st.integers(0, MODELS - 1),
    st.sampled_from([1, 2, 4, 8]),
)
ASKED_GPUS = st.sampled_from([(0, 0), (1, 1), (1, 125), (1, 500), (1, 500), (1, 1000), (2, 1000), (3, 1000), (8, 1000)])
PODS = st.tuples(
    st.sampled_from([0, 1000, 4000, 7500]),
    st.sampled_from([0, 4096, 20000]),
    ASKED_GPUS,
    st.sampled_from([0b111, 0b111, 0b011, 0b100]),
    st.sampled_from([1, 60, 61, 3600, 10**9]),
)


class Pair:
    """The same nodes twice, compiled and plain, with pods that may be placed on them."""

    def __init__(self, packer: str, nodes: Sequence[Any], pods: Sequence[Any], num_shapes: int) -> None:
        columns = [np.array(column) for column in zip(*nodes, strict=True)]
        cpu, memory, gpus, models, linked = columns
        self.packer = packer
        self.capacity = cpu, memory, gpus
        self.pods = make_pods(
            np.array([pod[0] for pod in pods]),
            np.array([pod[1] for pod in pods]),
            np.array([pod[2][0] for pod in pods]),
            np.array([pod[2][1] for pod in pods]),
            np.array([pod[3] for pod in pods]),
            np.array([pod[4] for pod in pods]),
        )
        self.plain_pods = [
            PlainPod(number, a, b, c, d, frozenset(m for m in range(MODELS) if bits >> m & 1), end)
            for number, (a, b, (c, d), bits, end) in enumerate(pods)
        ]
        most_cpu, most_gpus = int(cpu.max()), max(int(gpus.max()), 1)
        tables = make_tables(self.pods, most_cpu_milli=most_cpu, most_gpus=most_gpus, num_models=MODELS)
        state = allocate(cpu, memory, gpus, models, tables, num_shapes=num_shapes, linked=linked)
        self.fast = NodePacker(state, tables, packer)
        plain = [PlainNode(a, b, [1000] * c, d, e) for a, b, c, d, e in nodes]
        self.slow = PlainCluster(plain, self.plain_pods, max(most_cpu, 1), 1000 * most_gpus)

    def place(self, number: int, first: int, end: int) -> tuple[int, int]:
        """Place a pod on both; return its node and GPUs."""
        nodes, bits = self.fast.place(self.pods[number : number + 1], first, end)
        node, gpus = self.slow.place(self.packer, self.plain_pods[number], first, end)
        assert nodes[0] == node
        assert bits[0] == sum(1 << gpu for gpu in gpus)
        return node, int(bits[0])

    def end(self, number: int, node: int, bits: int) -> None:
        """End a pod on both."""
        self.fast.give_back(self.pods[number], node, bits)
        self.slow.end(self.plain_pods[number], node, gpus_of(bits))

    def assert_equal(self) -> None:
        """All numbers of both are the same, and no node gives more than it has."""
        n = self.fast.nodes
        for number, node in enumerate(self.slow.nodes):
            gpus = len(node.gpus)
            row = n.node[number]
            assert n.gpu[number].tolist() == node.gpus + [0] * (n.gpu.shape[1] - gpus)
            assert [row[ns.FREE_CPU], row[ns.FREE_MEMORY], row[ns.FREE_MILLI]] == [node.cpu, node.memory, node.milli]
            assert row[ns.WHOLE] == node.gpus.count(1000)
            assert row[ns.LARGEST] == max(node.gpus, default=0)
            assert row[ns.PODS] == len(node.pods)
            assert row[ns.LATEST_END] == node.latest_end
            assert row[ns.KINDS] == len({(pod.gpus, pod.is_share) for pod in node.pods if pod.gpus})
            assert row[ns.USABLE] == self.slow.usable(node)
            assert 0 <= node.cpu <= self.capacity[0][number]
            assert 0 <= node.memory <= self.capacity[1][number]
            assert all(0 <= milli <= 1000 for milli in node.gpus)


def gpus_of(bits: int) -> tuple[int, ...]:
    return tuple(gpu for gpu in range(16) if bits >> gpu & 1)


@pytest.mark.parametrize("packer", PACKERS.listed)
@kernel_property(examples=40)
@given(
    nodes=st.lists(NODES, min_size=1, max_size=8),
    pods=st.lists(PODS, min_size=1, max_size=6),
    keep=st.booleans(),
    data=st.data(),
)
def test_compiled_and_plain_choose_the_same(
    packer: str, nodes: list[Any], pods: list[Any], keep: bool, data: st.DataObject
) -> None:
    """Whatever starts, ends, opens and closes, in any pool."""
    pair = Pair(packer, nodes, pods, len(pods) if keep else 0)
    running: list[tuple[int, int, int]] = []
    for _ in range(data.draw(st.integers(1, 40), label="events")):
        event = data.draw(st.sampled_from(["start", "start", "start", "end", "open"]))
        if event == "start":
            first = data.draw(st.integers(0, len(nodes) - 1)) if data.draw(st.booleans()) else 0
            number = data.draw(st.integers(0, len(pods) - 1))
            node, bits = pair.place(number, first, len(nodes))
            if node >= 0:
                running.append((number, node, bits))
        elif event == "end" and running:
            pair.end(*running.pop(data.draw(st.integers(0, len(running) - 1))))
        elif event == "open":
            node = data.draw(st.integers(0, len(nodes) - 1))
            pair.slow.nodes[node].is_open = not pair.slow.nodes[node].is_open
            set_open(pair.fast.nodes, node, int(pair.slow.nodes[node].is_open))
        pair.assert_equal()


def openb_like(seed: int) -> tuple[Nodes, Nodes, Tables, NDArray[np.int64]]:
    """Two equal clusters of 60 nodes, one that keeps keys and one that does not, and 400 pods of 24 shapes."""
    generator = np.random.default_rng(seed)
    shapes = generator.integers(0, 24, 400)
    gpus = np.array([0, 1, 1, 1, 1, 2, 4, 8])[shapes % 8]
    milli = np.where(gpus == 0, 0, np.where((gpus == 1) & (shapes % 3 > 0), 110 * (shapes // 8 + 1), 1000))
    pods = make_pods(1000 * (1 + shapes // 3), 1000 + shapes, gpus, milli, None, generator.integers(1, 10**6, 400))
    tables = make_tables(pods, most_cpu_milli=96000, most_gpus=8, num_models=2)
    sizes = generator.choice([2, 4, 8], 60)
    args = np.where(sizes == 8, 96000, 24000), np.full(60, 200000), sizes, sizes // 8, tables
    linked = np.minimum(sizes, 4)
    return allocate(*args, num_shapes=24, linked=linked), allocate(*args, linked=linked), tables, pods


@pytest.mark.parametrize("packer", PACKERS.listed)
def test_kept_keys_are_those_that_scoring_anew_would_give(packer: str) -> None:
    """Also after more changes than the log holds, and after another packer used the same memory."""
    kept, anew, tables, pods = openb_like(3)
    generator = np.random.default_rng(0)
    for name in ("worst-fit", packer):
        running: list[tuple[Pod, int, int]] = []
        for start in range(0, 400, 50):
            batch = pods[start : start + 50]
            first = int(generator.integers(0, 30))
            nodes, gpus = NodePacker(kept, tables, name).place(batch, first)
            others = NodePacker(anew, tables, name).place(batch, first)
            np.testing.assert_array_equal((nodes, gpus), others)
            running += [(pod, int(a), int(b)) for pod, a, b in zip(batch, nodes, gpus, strict=True) if a >= 0]
            for _ in range(len(running) // 2):
                pod, node, bits = running.pop(int(generator.integers(len(running))))
                for state in (kept, anew):
                    NodePacker(state, tables, name).give_back(pod, node, bits)
        np.testing.assert_array_equal(kept.node, anew.node)


def test_the_least_fragmenting_node_and_gpu_are_chosen() -> None:
    """A share goes to the shared GPU, whose rest no typical pod can use anyway, and leaves whole ones whole."""
    pods = make_pods(np.full(3, 1000), np.zeros(3, int), np.array([1, 1, 2]), np.array([600, 400, 1000]))
    tables = make_tables(pods[[1, 2, 2]], most_cpu_milli=8000, most_gpus=2, num_models=1)
    nodes = allocate(np.full(2, 8000), np.zeros(2, int), np.full(2, 2), np.zeros(2, int), tables)
    packer = NodePacker(nodes, tables, "fgd-exact")
    packer.place(pods[:1], first=1)
    assert [values.tolist() for values in packer.place(pods[1:])] == [[1, 0], [0b01, 0b11]]


def emptiest(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """A custom packer."""
    return -n.node[node, ns.FREE_CPU]


def emptiest_by_text(n: Nodes, f: Tables, pod: Pod, node: int) -> int:
    """The same in words that numba does not compile."""
    return -int({"free": str(n.node[node, ns.FREE_CPU])}["free"])


@pytest.mark.parametrize("compiled", [True, False])
def test_a_packer_of_ones_own_compiled_or_plain(compiled: bool) -> None:
    """One function is enough; a choice of GPUs may come with it."""
    one, other, tables, pods = openb_like(5)
    own = NodePacker(one, tables, best_fit, compiled=compiled)
    np.testing.assert_array_equal(own.place(pods[:80]), NodePacker(other, tables, "best-fit").place(pods[:80]))
    own = NodePacker(one, tables, Packer(worst_fit, loosest_gpus), compiled=compiled)
    np.testing.assert_array_equal(own.place(pods[80:160]), NodePacker(other, tables, "worst-fit").place(pods[80:160]))
    own = NodePacker(one, tables, Packer(best_fit, per_pod=later_end), compiled=compiled)
    np.testing.assert_array_equal(own.place(pods[160:]), NodePacker(other, tables, "lifetime-aware").place(pods[160:]))


def test_a_plain_packer_may_be_any_python() -> None:
    one, other, tables, pods = openb_like(6)
    plain = NodePacker(one, tables, emptiest_by_text, compiled=False).place(pods[:60])
    np.testing.assert_array_equal(plain, NodePacker(other, tables, emptiest).place(pods[:60]))


def test_mistakes_are_named() -> None:
    one, _, tables, pods = openb_like(7)
    with pytest.raises(EnvironmentConfigError, match="unknown packer 'best-fitt'; did you mean 'best-fit'"):
        NodePacker(one, tables, "best-fitt")
    with pytest.raises(PackingError, match="pod 1 requests 2 GPUs of 500 thousandths each"):
        make_pods(np.ones(2, int), np.ones(2, int), np.array([1, 2]), np.array([500, 500]))
    size = np.array([2**30]), np.array([1]), np.array([8]), np.array([0])
    huge = make_tables(pods, most_cpu_milli=2**10, most_gpus=8, num_models=1)
    huge.most[0] = 2**30
    with pytest.raises(PackingError, match="their product must be below"):
        allocate(*size, huge)


@pytest.mark.parametrize("packer", PACKERS.listed)
def test_every_packer_has_a_reference_implementation(packer: str) -> None:
    assert PACKERS[packer].reference is not None


def test_openb_gives_the_published_order(data_dir: Path) -> None:
    """FGD leaves the fewest GPUs unallocated, then best fit, packing, dot product, and random fit."""
    folder = data_dir / "traces" / "openb"
    machines = traces.load_nodes(f"openb-nodes:{folder}/openb_node_list_gpu_node.csv.gz").table
    cpu, memory, gpus = (machines[name].to_numpy() for name in ("cpu_milli", "memory_mib", "gpus"))
    models = machines["gpu_model"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    columns = dict.fromkeys(("cpu_milli", "memory_mib", "num_gpu", "gpu_milli"), pa.int64())
    listed = read_csv(f"{folder}/openb_pod_list_default.csv.gz", columns)  # the importer drops pods without a GPU
    pods = make_pods(*(listed[name].to_numpy() for name in columns))
    tables = make_tables(pods, most_cpu_milli=int(cpu.max()), most_gpus=8, num_models=int(models.max()) + 1)
    stream = pods[np.random.default_rng(1).integers(0, len(pods), 9000)]  # requests about 108 % of the GPUs
    unallocated = {}
    for packer in ("fgd", "best-fit", "gpu-packing", "dot-product", "random-fit"):
        state = allocate(cpu, memory, gpus, models, tables, num_shapes=int(pods[:, ns.SHAPE].max()) + 1)
        NodePacker(state, tables, packer).place(stream)
        unallocated[packer] = state.node[:, ns.FREE_MILLI].sum() / 6_212_000
    assert sorted(unallocated, key=lambda name: unallocated[name]) == list(unallocated), unallocated
    assert unallocated["fgd"] < 0.8 * unallocated["best-fit"]
