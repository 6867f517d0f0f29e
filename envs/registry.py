"""The environments that Gymnasium knows by id. A new one is a folder and a line here."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import did_you_mean
from configs.registry import import_object
from envs.errors import EnvironmentConfigError

if TYPE_CHECKING:
    from gymnasium.envs.registration import EnvSpec

GPU_CLUSTER = {
    "entry_point": "envs.gpu_cluster.env:GpuClusterEnv",
    "vector_entry_point": "envs.gpu_cluster.gymnasium_vector:GpuClusterVectorEnv",
}
SCALING_ONLY = {"max_pools": 1, "window_slots": 0}

EDGE_CITY = {
    "entry_point": "envs.edge.env:EdgeCityEnv",
    "vector_entry_point": "envs.edge.vector:EdgeCityVectorEnv",
}

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "autoscaler/GpuCluster-v0": GPU_CLUSTER,
    "autoscaler/GpuClusterScaling-v0": {**GPU_CLUSTER, "kwargs": {"default_codec": SCALING_ONLY}},
    "autoscaler/EdgeCity-v0": EDGE_CITY,
    "autoscaler/Serverless-v0": {
        "entry_point": "envs.serverless.env:ServerlessEnv",
        "vector_entry_point": "envs.serverless.vector:ServerlessVectorEnv",
    },
}
"""Id: arguments of `gymnasium.register`. The second one has a single discrete action, as DQN needs."""

TRAINING: dict[str, str] = {
    "autoscaler/EdgeCity-v0": "envs.edge.training:EdgeTraining",
    "autoscaler/Serverless-v0": "envs.serverless.training:ServerlessTraining",
}
"""Id: `module:NAME` of how it is trained on, see `envs.training`; where there is none, it is `GymnasiumTraining`.

GPU clusters have no line: an experiment without `env` describes one, with trace, heuristic and codec."""


def register_envs() -> None:
    """Register every environment in Gymnasium; calling it again changes nothing."""
    import gymnasium

    for env_id, arguments in ENVIRONMENTS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, **arguments)


def find_environment(env: str) -> EnvSpec:
    """What Gymnasium makes an environment from.

    Args:
        env: an id of Gymnasium, ours included; `module:ID`, where the module registers it; or `module:Class`. A module
            of the working directory is found too.

    Raises:
        EnvironmentConfigError: there is no such environment, or its module cannot be imported.
    """
    import gymnasium

    register_envs()
    module, colon, name = env.rpartition(":")
    if colon and name.isidentifier():
        found = import_object(env, "env", EnvironmentConfigError)
        if not (isinstance(found, type) and issubclass(found, gymnasium.Env)):
            raise EnvironmentConfigError(f"env {env!r} must be a class that derives from gymnasium.Env")
        entry: Any = found
        return gymnasium.envs.registration.EnvSpec(id=f"{name}-v0", entry_point=entry)
    if colon:
        _import(env, module)
    if name not in gymnasium.registry:
        near = did_you_mean(name, [*ENVIRONMENTS, *gymnasium.registry])
        raise EnvironmentConfigError(f"unknown environment {env!r}{near}")
    return gymnasium.registry[name]


def _import(env: str, module: str) -> None:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, as in `import_object`
    try:
        import_module(module)
    except Exception as error:  # whatever the user's module raises
        reason = str(error) or type(error).__name__
        raise EnvironmentConfigError(f"environment {env!r} cannot be made: {reason}") from error
