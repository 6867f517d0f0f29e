"""The learned intensity of arrivals: what it is fitted to, that the policy's files keep it, and who may read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.errors import AgentConfigError
from agents.es.intensity import HORIZON_MS, STEP_MS, fit_intensity
from agents.loading import load_policy
from agents.registry import make_agent
from agents.setpoints import LearnedSetpoints
from agents.training import train
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import INTENSITY, INTENSITY_INPUTS, CodecLayout, make_policies
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator.arrivals import signals_at
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from tests.agents.builders import ONE_COMPONENT, small_problem, small_task
from traces.trace import Trace

SHOWN = replace(ONE_COMPONENT, arrival_features=True)
SMALL = {"restarts": 2, "windows": 2, "window_days": 0.2, "population": 6, "features": ("since_submit", INTENSITY)}


def bursts(seed: int) -> Problem:
    """A job starts a burst of jobs a minute apart, or none follows for hours."""
    generator = np.random.default_rng(seed)
    starts = np.cumsum(generator.exponential(7200.0, 200))
    submit = np.sort(np.concatenate([start + 60.0 * np.arange(generator.integers(20, 60)) for start in starts]))
    columns = {"submit_time_seconds": submit, "duration_seconds": np.full(len(submit), 600.0)}
    trace = Trace.from_columns({**columns, "gpu_milli": np.full(len(submit), 2000)})
    config = EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=0, arrival_features=True))
    return make_problem(trace, ClusterConfig((PoolConfig("gpu", max_nodes=64),)), config)


def test_the_intensity_tells_more_of_later_arrivals_than_their_mean() -> None:
    """It is fitted to the first half of a trace, and never to what came later."""
    problem = bursts(0)
    begin, end = int(problem.submit_ms[0]), int(problem.submit_ms[-1])
    middle = (begin + end) // 2
    weights = fit_intensity([(problem, begin, middle)])
    assert (weights >= 0.0).all()
    assert weights[1:].max() > 0.0
    moments = np.arange(middle, end - HORIZON_MS, STEP_MS)
    columns = [int(feature) for feature in INTENSITY_INPUTS]
    memory = signals_at(problem, moments)[:, -23:][:, columns]
    expected = weights[0] + memory @ weights[1:]
    counts = [np.searchsorted(problem.submit_ms, moments + ahead, side="right") for ahead in (0, HORIZON_MS)]
    came = 2.0 * (counts[1] - counts[0])
    assert np.mean((expected - came) ** 2) < 0.7 * np.var(came)
    cut = np.searchsorted(problem.submit_ms, middle)
    later = problem.jobs.copy()
    later[cut:-1, 2] *= 7  # other jobs afterwards
    np.testing.assert_array_equal(fit_intensity([(replace(problem, jobs=later), begin, middle)]), weights)


def test_a_policy_keeps_its_intensity_in_its_files(tmp_path: Path) -> None:
    task = small_task("dqn", 0, small_problem(SHOWN), {"total_steps": 12_000, "validations": 2})
    task = replace(task, agent=make_agent("cma-es", **SMALL, proof=0.0))
    folder = tmp_path / "run"
    folder.mkdir()
    train(task, folder)
    policy = load_policy(folder)
    assert isinstance(policy, LearnedSetpoints)
    assert policy.policies.intensity.shape == (1 + len(INTENSITY_INPUTS),)
    assert policy.policies.intensity.max() > 0.0
    problem = task.problem
    begin = int(problem.submit_ms[0])
    end = int(problem.submit_ms[-1]) + 1
    cut = end - round((end - begin) * task.agent.validation)
    np.testing.assert_array_equal(policy.policies.intensity, fit_intensity([(problem, begin, cut)]))


def test_without_the_switch_no_policy_reads_it(tmp_path: Path) -> None:
    task = replace(small_task("dqn"), agent=make_agent("cma-es", **SMALL))
    with pytest.raises(AgentConfigError, match=f"unknown feature '{INTENSITY}'"):
        train(task, tmp_path)


def test_weights_that_do_not_fit_are_refused() -> None:
    start, weights = np.zeros(2), np.zeros((1, 6))
    with pytest.raises(ValueError, match="needs its fitted weights"):
        make_policies(SHOWN, SMALL["features"], (), start, weights)
    with pytest.raises(ValueError, match="have the shape"):
        make_policies(SHOWN, SMALL["features"], (), start, weights, intensity=np.zeros(3))
