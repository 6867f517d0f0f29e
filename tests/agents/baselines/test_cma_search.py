"""CMA-ES finds the optimum of what it is given, and never returns what is worse than its start."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import traces
from agents.baselines.cma_search import SEEDS, _evolve, _windows
from agents.baselines.knobs import Choice, Range, decoded, start_units
from agents.baselines.training_window import TrainingWindow
from agents.baselines.tuned import tune
from agents.baselines.tuned_combination import TunedCombination
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig

KNOBS = {"price": Range(0.0, 4.0, 1.0), "cap": Choice((1.0, 0.85, 0.7), 0.85)}


def test_knobs_say_their_values_and_their_start() -> None:
    assert decoded(KNOBS, start_units(KNOBS)) == {"price": 1.0, "cap": 0.85}
    assert decoded(KNOBS, np.array([0.5, 0.0])) == {"price": 2.0, "cap": 1.0}
    assert decoded(KNOBS, np.array([1.0, 1.0])) == {"price": 4.0, "cap": 0.7}


def test_every_seed_finds_the_optimum_of_a_bowl() -> None:
    def costs(points: list[np.ndarray], which: np.ndarray) -> np.ndarray:
        return np.array([[((point - [0.7, 0.2]) ** 2).sum()] * len(which) for point in points])

    trial: Any = SimpleNamespace(
        knobs=KNOBS, costs=costs, window=SimpleNamespace(episode_jobs=np.array([10, 10])), rule=TunedCombination
    )
    ends = _evolve(trial, 10**9, SEEDS)
    assert len(ends) == 2 * SEEDS
    for point in ends:
        np.testing.assert_allclose(point, [0.7, 0.2], atol=0.02)


def test_generations_share_the_budget() -> None:
    jobs = np.array([100, 100, 100, 100])
    few = _windows(jobs, 30, 30 * 100 * 40, np.random.default_rng(0))
    assert (len(few), {len(which) for which in few}) == (20, {2})
    assert sum(30 * int(jobs[which].sum()) for which in few) <= 30 * 100 * 40
    assert _windows(jobs, 30, 10, np.random.default_rng(0)) == []
    assert len(_windows(jobs, 30, 10**9, np.random.default_rng(0))) == 60


@pytest.mark.slow
@pytest.mark.parametrize("budget", [0, 20_000])
def test_the_combination_is_not_worse_than_the_tuned_heuristic_and_the_same_each_time(budget: int) -> None:
    trace = traces.load("synthetic:quickstart?days=2&seed=0&jobs_per_day=60")
    config = EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=2))
    start = trace.first_submit_seconds
    window = TrainingWindow(trace, auto_cluster(trace), config, start, start + 86_400.0, 2)
    heuristic = tune(window)
    total = heuristic.simulated_jobs + budget
    found, again = (TunedCombination.tune(window, budget_jobs=total) for _ in range(2))
    assert found.to_dict() == again.to_dict()
    assert found.usd_per_window <= heuristic.usd_per_window * (1 + 1e-9)
    assert len(found.seeds_usd_per_window) == SEEDS
    assert min(found.seeds_usd_per_window) == pytest.approx(found.usd_per_window)
    assert found.simulated_jobs <= max(total, heuristic.simulated_jobs + 12 * 250)
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert "5 seeds from" in found.describe()
