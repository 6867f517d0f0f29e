"""From invocations to functions with images, and the requests for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from configs.errors import did_you_mean
from envs.containers.config import FunctionConfig, LayerConfig
from envs.containers.problem import make_requests
from envs.containers.state import Table
from envs.errors import EnvironmentConfigError
from envs.serverless.config import ServerlessConfig
from traces.curves.amdahl import ScalingCurve
from traces.invocations import Invocations

MEDIAN_MEMORY_MIB = 170.0
"""Where the workload does not say it. Source: Shahrad et al., "Serverless in the Wild", ATC 2020, figure 8."""


def select_part(invocations: Invocations, config: ServerlessConfig) -> Invocations:
    """The functions that the settings choose.

    Raises:
        EnvironmentConfigError: there are too few functions to split.
    """
    if config.most_per_hour is not None:
        counts = np.bincount(invocations.function, minlength=invocations.num_functions)
        kept = np.flatnonzero(counts <= config.most_per_hour * invocations.span_ms / 3.6e6)
        if not len(kept):
            raise EnvironmentConfigError(
                f"most_per_hour is {config.most_per_hour:g}: every function is called more often"
            )
        invocations = invocations.select(kept.tolist())
    if config.part == "all":
        return invocations
    count = invocations.num_functions
    cut = round(count * config.train_share)
    if not 0 < cut < count:
        raise EnvironmentConfigError(
            f"part is {config.part}, and train_share {config.train_share:g} of {count} functions leaves one part empty"
        )
    order = np.random.default_rng(config.split_seed).permutation(count)
    return invocations.select(np.sort(order[:cut] if config.part == "train" else order[cut:]).tolist())


def functions_of(invocations: Invocations, config: ServerlessConfig) -> tuple[list[FunctionConfig], list[LayerConfig]]:
    """Functions and the layers of their images.

    Raises:
        EnvironmentConfigError: `overrides` names a function or a field that there is not.
    """
    images = config.images
    layers = [LayerConfig(f"runtime-{number}", images.runtime_mib) for number in range(images.runtimes)]
    layers += [LayerConfig(name, mib) for name, mib in images.layers.items()]
    functions = []
    for index, name in enumerate(invocations.function_id):
        memory = float(np.nan_to_num(invocations.memory_mib[index], nan=MEDIAN_MEMORY_MIB))
        gpu = int(invocations.gpu_milli[index])
        own = [LayerConfig(f"code-{index}", images.code_mib)]
        if gpu > 0 and images.weights_share > 0:
            own.append(LayerConfig(f"weights-{index}", images.weights_share * memory))
        layers += own
        values: dict[str, Any] = {
            "name": name,
            "layers": (f"runtime-{index % images.runtimes}", *(layer.name for layer in own)),
            "memory_mib": max(1.0, memory),
            "cpu_milli": images.cpu_milli,
            "gpu_milli": gpu,
            "start_seconds": images.start_seconds,
            "load_seconds": images.load_seconds_per_gib * memory / 1024.0 if gpu else 0.0,
            "concurrency": images.concurrency,
            "deadline_seconds": config.deadline_seconds,
        }
        functions.append(FunctionConfig(**{**values, **config.overrides.get(name, {})}))
    return functions, layers


def with_shares(
    functions: Sequence[FunctionConfig], config: ServerlessConfig
) -> tuple[list[FunctionConfig], dict[int, tuple[int, int]]]:
    """Functions with those that stand for their larger shares; and, for `make_problem`, which they are.

    A function with `w` times the workers holds `w` times the memory, CPUs and GPUs. Functions without GPUs have one
    share, and so do all where no share is chosen.
    """
    given, shares = list(functions), dict[int, tuple[int, int]]()
    if config.admission != "minimum-share":
        return given, shares
    curve = ScalingCurve(config.shares.serial, config.shares.communication)
    speedups = curve.speedup(config.shares.workers)
    most = max(1000 * node.gpus for node in config.pool)
    for number, function in enumerate(functions):
        smaller = number
        for workers, speedup in zip(config.shares.workers[1:], speedups[1:].tolist(), strict=True):
            if not 0 < function.gpu_milli * workers <= most:
                continue
            shares[smaller] = len(given), max(1, round(1e6 / speedup))
            smaller = len(given)
            warm, busy = function.warm_watts, function.busy_watts
            given.append(
                replace(
                    function,
                    name=f"{function.name} x{workers}",
                    memory_mib=workers * function.memory_mib,
                    cpu_milli=workers * function.cpu_milli,
                    gpu_milli=workers * function.gpu_milli,
                    warm_watts=None if warm is None else workers * warm,
                    busy_watts=None if busy is None else workers * busy,
                )
            )
    return given, shares


def check_overrides(overrides: Mapping[str, Mapping[str, Any]], names: tuple[str, ...]) -> None:
    """Refuse settings of functions and fields that there are not, and values of the wrong kind.

    Raises:
        EnvironmentConfigError: as above.
    """
    known = [entry.name for entry in fields(FunctionConfig) if entry.name != "name"]
    for function, values in overrides.items():
        if function not in names:
            raise EnvironmentConfigError(f"overrides: unknown function {function!r}{did_you_mean(function, names)}")
        for name, value in values.items():
            if name not in known:
                raise EnvironmentConfigError(f"overrides.{function}: unknown field {name!r}{did_you_mean(name, known)}")
            if isinstance(value, tuple) != (name == "layers"):
                wanted = "a list of names" if name == "layers" else "a number"
                raise EnvironmentConfigError(f"overrides.{function}.{name} is {value!r}; it must be {wanted}")


def requests_of(invocations: Invocations) -> Table:
    """The requests of a workload, see `envs.containers.problem.make_requests`."""
    return make_requests(
        invocations.time_ms, invocations.function, invocations.duration_ms, deadline_ms=invocations.deadline_ms
    )
