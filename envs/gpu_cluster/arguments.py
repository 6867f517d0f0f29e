"""What `gymnasium.make` passes on, turned into a checked problem: objects, plain values, files and presets alike."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeAlias

import numpy as np

import traces
from configs.loader import build_config, load_config, to_dict
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.cluster import ClusterConfig, load_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from traces.trace import Trace

DEFAULT_TRACE = "synthetic:quickstart?days=30&seed=0"

TraceArgument: TypeAlias = Trace | str
ClusterArgument: TypeAlias = ClusterConfig | Mapping[str, Any] | str | os.PathLike[str]
ConfigArgument: TypeAlias = EnvironmentConfig | Mapping[str, Any] | str | os.PathLike[str] | None
CodecArgument: TypeAlias = CodecLayout | Mapping[str, Any] | None


def problem_from_arguments(
    trace: TraceArgument,
    cluster: ClusterArgument,
    config: ConfigArgument,
    codec: CodecArgument,
    default_codec: CodecArgument,
) -> Problem:
    """The problem that the arguments of an environment describe; see `envs.gpu_cluster.env.GpuClusterEnv` for them.

    Raises:
        TraceError: the trace cannot be read.
        ConfigError: a mapping or file has an unknown key or a value that does not fit.
        ClusterError: trace, cluster and codec do not fit together.
        EnvironmentConfigError: an argument is of no type that it may have.
    """
    settings = environment_config(config, codec, default_codec)
    jobs = _trace(trace)
    return make_problem(jobs, _cluster(cluster, jobs, settings), settings)


def environment_config(
    config: ConfigArgument = None, codec: CodecArgument = None, default_codec: CodecArgument = None
) -> EnvironmentConfig:
    """Settings from an object, plain values, a YAML file or a preset.

    Args:
        config: the settings; None: the defaults.
        codec: sizes that replace those of `config`, by field name.
        default_codec: sizes that replace the defaults of `CodecLayout`, by field name: `config` and `codec` come first.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
        EnvironmentConfigError: an argument is of no type that it may have.
    """
    if config is None:
        settings = EnvironmentConfig()
    elif isinstance(config, EnvironmentConfig):
        settings = config
    elif isinstance(config, Mapping):
        settings = build_config(plain(config), EnvironmentConfig, "config")
    elif isinstance(config, str | os.PathLike):
        settings = load_config(os.fspath(config), EnvironmentConfig)
    else:
        raise _wrong("config", config, "an EnvironmentConfig, a mapping, a YAML file or a preset")
    given, ours = to_dict(settings.codec), to_dict(CodecLayout())
    chosen = {name: value for name, value in given.items() if value != ours[name]}
    layout = {**ours, **_codec_fields("default_codec", default_codec), **chosen, **_codec_fields("codec", codec)}
    return replace(settings, codec=build_config(layout, CodecLayout, "codec"))


def plain(value: Any) -> Any:
    """Nested mappings, sequences, dataclasses and numbers of any library as dict, list, int and float."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(item) for item in value]
    return value


def _codec_fields(name: str, codec: Any) -> dict[str, Any]:
    if codec is None:
        return {}
    if isinstance(codec, CodecLayout):
        return to_dict(codec)
    if not isinstance(codec, Mapping):
        valid = ", ".join(field.name for field in fields(CodecLayout))
        raise _wrong(name, codec, f"a CodecLayout or a mapping of {valid}")
    values: dict[str, Any] = plain(codec)
    build_config(values, CodecLayout, name)
    return values


def _trace(trace: TraceArgument) -> Trace:
    if isinstance(trace, str):
        return traces.load(trace)
    if not isinstance(trace, Trace):
        raise _wrong("trace", trace, f"a Trace or the URI of one, such as {DEFAULT_TRACE!r}")
    return trace


def _cluster(cluster: ClusterArgument, trace: Trace, config: EnvironmentConfig) -> ClusterConfig:
    if isinstance(cluster, ClusterConfig):
        return cluster
    if isinstance(cluster, Mapping):
        return build_config(plain(cluster), ClusterConfig, "cluster")
    if isinstance(cluster, str | os.PathLike):
        return load_cluster(os.fspath(cluster), trace, second_resources=config.physics.second_resources)
    raise _wrong("cluster", cluster, "a ClusterConfig, a mapping with pools, 'auto', a YAML file or a URI of nodes")


def _wrong(name: str, value: Any, wanted: str) -> EnvironmentConfigError:
    text = repr(value)
    short = text if len(text) <= 60 else f"{text[:57]}..."
    return EnvironmentConfigError(f"{name} is {short} ({type(value).__name__}); it must be {wanted}")
