"""What `gymnasium.make` passes on, turned into a checked problem."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

import traces
from configs.checks import check_number
from configs.errors import did_you_mean
from configs.loader import build_config, load_config
from envs.errors import EnvironmentConfigError
from envs.serverless.config import ServerlessConfig
from envs.serverless.problem import ServerlessProblem, serverless_problem
from traces.invocations import Invocations

DEFAULT_WORKLOAD = "synthetic-functions:mixed?functions=200&hours=48&seed=0"
WorkloadArgument: TypeAlias = Invocations | str
ConfigArgument: TypeAlias = ServerlessConfig | Mapping[str, Any] | str | os.PathLike[str] | None
WINDOW_OPTIONS = ("start_seconds", "end_seconds")


def problem_from_arguments(workload: WorkloadArgument, config: ConfigArgument) -> ServerlessProblem:
    """The problem that the arguments of an environment describe; see `envs.serverless.env.ServerlessEnv`.

    Raises:
        UserError: the workload cannot be read, a setting is unknown, or they do not fit together.
    """
    if isinstance(workload, str):
        workload = traces.load_invocations(workload)
    if not isinstance(workload, Invocations):
        raise EnvironmentConfigError(f"workload is {workload!r}; it must be Invocations, or a URI of them")
    return serverless_problem(workload, serverless_config(config))


def serverless_config(config: ConfigArgument) -> ServerlessConfig:
    """Settings from an object, plain values, a YAML file or a preset.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
        EnvironmentConfigError: it is of no type that it may have.
    """
    if config is None:
        return ServerlessConfig()
    if isinstance(config, ServerlessConfig):
        return config
    if isinstance(config, Mapping):
        return build_config(config, ServerlessConfig, "config")
    if isinstance(config, str | os.PathLike):
        return load_config(os.fspath(config), ServerlessConfig)
    raise EnvironmentConfigError(
        f"config is {config!r}; it must be a mapping, a YAML file, a preset or ServerlessConfig"
    )


def draw_window(problem: ServerlessProblem, options: Mapping[str, Any], rng: np.random.Generator) -> tuple[int, int]:
    """Begin and end of an episode, ms: those of the options, else a random one.

    Raises:
        EnvironmentConfigError: an option is unknown or has no meaning.
    """
    for name in options:
        if name not in WINDOW_OPTIONS:
            raise EnvironmentConfigError(f"reset has no option {name!r}{did_you_mean(str(name), WINDOW_OPTIONS)}")
    span = problem.span_ms
    if not options:
        start = int(rng.integers(span - problem.episode_ms + 1))
        return start, start + problem.episode_ms
    for name in options:
        check_number(f"option {name}", options[name], EnvironmentConfigError, low=0.0, high=span / 1000.0)
    start = round(1000 * options.get("start_seconds", 0.0))
    end = round(1000 * options["end_seconds"]) if "end_seconds" in options else min(span, start + problem.episode_ms)
    if end <= start:
        raise EnvironmentConfigError(
            f"the episode ends at {end / 1000:g} s, not after its beginning at {start / 1000:g} s"
        )
    return start, end
