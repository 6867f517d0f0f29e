"""What custom packers read of nodes and pods by name."""

from __future__ import annotations

import numpy as np
import pytest

from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.simulator import PACKERS, Nodes, Packer, Pod, Simulator, Tables, node_view
from tests.envs.gpu_cluster.builders import make_trace

NODE_FACTS = (
    *("free_cpu_milli", "free_memory_mib", "free_gpu_milli", "free_gpus"),
    *("num_gpus", "linked_gpus", "running_pods", "latest_end_ms"),
)
POD_FACTS = (
    *("requested_cpu_milli", "requested_memory_mib", "requested_gpus"),
    *("requested_milli_per_gpu", "predicted_end_ms", "pod_number"),
)


@pytest.mark.slow
def test_a_packer_sees_what_nodes_have_and_pods_request() -> None:
    """A whole node stays idle, so the third job finds one busy node: 2.5 of its 4 GPUs are taken by two jobs."""
    seen: list[dict[str, int]] = []

    def look(nodes: Nodes, tables: Tables, pod: Pod, node: int) -> int:
        facts = {name: int(getattr(node_view, name)(nodes, node)) for name in NODE_FACTS}
        facts |= {name: int(getattr(node_view, name)(pod)) for name in POD_FACTS}
        facts["gpus"] = sorted(int(node_view.free_milli_of_gpu(nodes, node, gpu)) for gpu in range(4))
        seen.append(facts)
        return 0

    trace = make_trace(
        [(0.0, 5000.0, 2.0), (1000.0, 9000.0, 0.5), (2000.0, 100.0, 0.25)],
        cpu_milli=[8000, 1000, 500],
        memory_mib=[4096, 1024, 512],
    )
    pool = PoolConfig(
        "gpu", 2, min_nodes=2, gpus_per_node=4, cpus_per_node=16.0, memory_gib_per_node=64.0, linked_gpus=2
    )
    PACKERS["look"] = Packer(look, compiled=False)
    try:
        config = EnvironmentConfig(packer="look", physics=PhysicsConfig(second_resources=True))
        simulator = Simulator(trace, ClusterConfig((pool,)), config)
        simulator.reset_all()
        simulator.replay(np.array([config.codec.setpoint(3600.0, 0.0)]))
    finally:
        del PACKERS["look"]
    starts = simulator.job_times().start_ms
    assert seen[-1] == {
        "free_cpu_milli": 16_000 - 8000 - 1000,
        "free_memory_mib": 65_536 - 4096 - 1024,
        "free_gpu_milli": 1500,
        "free_gpus": 1,
        "num_gpus": 4,
        "linked_gpus": 2,
        "running_pods": 2,
        "latest_end_ms": starts[1] + 9_000_000,
        "requested_cpu_milli": 500,
        "requested_memory_mib": 512,
        "requested_gpus": 1,
        "requested_milli_per_gpu": 250,
        "predicted_end_ms": starts[2] + 100_000,
        "pod_number": 2,
        "gpus": [0, 0, 500, 1000],
    }
