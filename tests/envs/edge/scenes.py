"""Small scenarios for tests of the city."""

from dataclasses import replace
from typing import Any

from envs.containers.config import FunctionConfig, NodeConfig
from envs.edge.config import CallConfig, CityConfig

HOUR = 3600.0


def scenario(**changes: Any) -> CityConfig:
    """Six sites, 40 users, one function, an hour."""
    config = CityConfig(
        sites=6,
        users="trips:*?users=40&days=1",
        layers=(),
        functions=(
            FunctionConfig("see", memory_mib=1000, gpu_milli=200, deadline_seconds=0.5),
            FunctionConfig("learn", memory_mib=2000, gpu_milli=500),
        ),
        calls=(
            CallConfig("see", per_user_hour=20.0, run_seconds=0.1, run_sigma=0.2),
            CallConfig("learn", round_minutes=20.0, round_users=5, run_seconds=20.0),
        ),
        site_nodes=(NodeConfig(memory_mib=8000, cpu_milli=4000, gpus=1, idle_watts=50.0, boot_seconds=20.0),),
        cloud_nodes=(NodeConfig(count=2, memory_mib=64_000, gpus=4, idle_watts=300.0),),
        sites_per_hub=3,
        episode_seconds=HOUR,
    )
    return replace(config, **changes)
