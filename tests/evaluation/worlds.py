"""Small worlds whose numbers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from autoscaler.evaluation.rollouts import Scenario
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.lifecycle import BootConfig, FailureConfig, SpotConfig
from envs.gpu_cluster.simulator.state import QUANTILES
from tests.envs.gpu_cluster.builders import Job, make_trace


def one_pool(max_nodes: int = 2, min_nodes: int = 0) -> ClusterConfig:
    """Nodes of 8 GPUs that take 300 s to boot."""
    return ClusterConfig((PoolConfig("gpu", max_nodes=max_nodes, min_nodes=min_nodes),))


def scenario(jobs: Sequence[Job], cluster: ClusterConfig | None = None) -> Scenario:
    """Jobs on one pool, with default settings."""
    return Scenario(make_trace(jobs), cluster or one_pool(), EnvironmentConfig())


def lossy(monkeypatch: pytest.MonkeyPatch, **pool: Any) -> Scenario:
    """A job of 2 GPUs and 1,500 s that saves each 400 s and is due after 2,000 s, on a node that lives for 1,000 s."""
    monkeypatch.setattr(
        "envs.gpu_cluster.simulator.draws.exponential",
        lambda mean_seconds: np.full(QUANTILES, -1 if mean_seconds is None else round(1000 * mean_seconds)),
    )
    trace = make_trace([(0.0, 1500.0, 2.0)], checkpoint_interval_seconds=[400.0], deadline_seconds=[2000.0])
    config = EnvironmentConfig(physics=PhysicsConfig(queue=QueueConfig(deadlines=True)))
    return Scenario(trace, ClusterConfig((replace(one_pool(max_nodes=1).pools[0], **pool),)), config)


FAILS = {"failures": FailureConfig(mean_seconds=1000.0, repair_seconds=600.0)}
IS_RECLAIMED = {"spot": SpotConfig(mean_seconds=1000.0, notice_seconds=120.0, outage_seconds=600.0)}
FAILS_TO_BOOT = {"boot": BootConfig(failure_probability=0.9, timeout_seconds=100.0)}


@st.composite
def job_lists(draw: st.DrawFn, max_gpus: int = 16) -> list[Job]:
    """Up to 12 jobs in whole seconds, within some minutes."""
    gpus = st.one_of(st.integers(1, max_gpus), st.sampled_from([0.25, 0.5]))
    rows = draw(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 300), gpus), min_size=1, max_size=12))
    return [(float(submit), float(run), float(count)) for submit, run, count in sorted(rows)]
