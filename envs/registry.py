"""The environments that Gymnasium knows by id."""

from __future__ import annotations

from typing import Any

SCALING_ONLY = {"max_pools": 1, "window_slots": 0}

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "autoscaler/GpuCluster-v0": {},
    "autoscaler/GpuClusterScaling-v0": {"default_codec": SCALING_ONLY},
}
"""Id: keyword arguments of `envs.gpu_cluster.env:GpuClusterEnv`. The second one has a single
discrete action, as DQN needs."""


def register_envs() -> None:
    """Register every environment in Gymnasium; calling it again changes nothing."""
    import gymnasium

    for env_id, kwargs in ENVIRONMENTS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, entry_point="envs.gpu_cluster.env:GpuClusterEnv", kwargs=kwargs)
