"""The environments that Gymnasium knows by id. A new one is a folder and a line here."""

from __future__ import annotations

from typing import Any

GPU_CLUSTER = {
    "entry_point": "envs.gpu_cluster.env:GpuClusterEnv",
    "vector_entry_point": "envs.gpu_cluster.gymnasium_vector:GpuClusterVectorEnv",
}
SCALING_ONLY = {"max_pools": 1, "window_slots": 0}

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "autoscaler/GpuCluster-v0": GPU_CLUSTER,
    "autoscaler/GpuClusterScaling-v0": {**GPU_CLUSTER, "kwargs": {"default_codec": SCALING_ONLY}},
}
"""Id: arguments of `gymnasium.register`. The second one has a single discrete action, as DQN needs."""


def register_envs() -> None:
    """Register every environment in Gymnasium; calling it again changes nothing."""
    import gymnasium

    for env_id, arguments in ENVIRONMENTS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, **arguments)
