"""What one policy is trained on: the training window of each trace, and versions of them that differ from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

import traces
from agents.config import VariationConfig
from autoscaler.experiment import ExperimentConfig
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.regions import align_regions
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from traces.trace import Trace
from traces.transforms import Transforms, transform

VERSIONS = 3
"""Stream of random numbers of an experiment's seed; a search has its own."""


def training_problem(experiment: ExperimentConfig, trace: Trace, packer: str) -> Problem:
    """The training window of a trace.

    Args:
        experiment: cluster, split and settings.
        trace: the whole trace; regions are aligned with it, and an `auto` cluster is as large as its peak.
        packer: in-pool packer.

    Raises:
        ClusterError: trace, cluster and codec do not fit together.
    """
    config = _settings(experiment, trace, packer)
    end = experiment.training_window(trace)[1]
    return make_problem(trace.window(None, end), experiment.described_cluster(trace), config)


def further_problems(experiment: ExperimentConfig, trace: Trace, packer: str) -> Iterator[Problem]:
    """The training windows of `train.traces`, and the versions of all traces that `train.variations` asks for.

    Args:
        experiment: as in `training_problem`.
        trace: the experiment's own trace.
        packer: in-pool packer.

    Raises:
        TraceError: a trace cannot be loaded, or a version of it has no job.
        ClusterError: trace, cluster and codec do not fit together.
    """
    generator = np.random.default_rng([experiment.seed, VERSIONS])
    others = [traces.load(uri) for uri in experiment.train.traces]
    for other in others:
        yield training_problem(experiment, other, packer)
    for whole in (trace, *others):
        for _ in range(experiment.train.variations.copies):
            yield _version(experiment, whole, packer, generator)


def _version(experiment: ExperimentConfig, whole: Trace, packer: str, generator: np.random.Generator) -> Problem:
    """A version of the training window: nothing of what comes after it is copied into it."""
    ranges = experiment.train.variations
    load, seed = _drawn(ranges.load, generator), int(generator.integers(2**31))
    end = experiment.training_window(whole)[1]
    trace = transform(whole.window(None, end), Transforms(load=load, transform_seed=seed))
    cluster = _booting(experiment.described_cluster(trace), ranges, generator)
    config = _settings(experiment, whole, packer)
    if ranges.usd_per_gpu_hour is not None:
        price = _drawn(ranges.usd_per_gpu_hour, generator)
        config = replace(config, objective=replace(config.objective, usd_per_gpu_hour=price))
    return make_problem(trace, cluster, config)


def _settings(experiment: ExperimentConfig, whole: Trace, packer: str) -> EnvironmentConfig:
    """Settings with the packer, and the regions aligned by the whole trace, not by its training window."""
    regions = align_regions(experiment.environment.regions, whole)
    return replace(experiment.environment, packer=packer, regions=regions)


def _booting(cluster: ClusterConfig, ranges: VariationConfig, generator: np.random.Generator) -> ClusterConfig:
    """The cluster with another boot time, the same for all of its pools."""
    if ranges.boot_seconds is None:
        return cluster
    seconds = _drawn(ranges.boot_seconds, generator)
    return replace(cluster, pools=tuple(replace(pool, boot_seconds=seconds) for pool in cluster.pools))


def _drawn(bounds: tuple[float, float], generator: np.random.Generator) -> float:
    """Uniform in the logarithm."""
    low, high = np.log(bounds)
    return float(np.exp(generator.uniform(low, high)))
