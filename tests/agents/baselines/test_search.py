"""Rules of the literature are tuned on the training window only, within one budget, and cost what the search says."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import traces
from agents.baselines.baseline import LITERATURE
from agents.baselines.hpa import HorizontalAutoscaler
from agents.baselines.keda import THRESHOLD, QueueThreshold
from agents.baselines.rule import TIMEOUT
from agents.baselines.search import TunedConstants, grid_sets, search
from agents.baselines.training_window import TrainingWindow
from agents.registry import BASELINES
from agents.scoring import score
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator.problem import make_problem
from traces.trace import Trace

DAY = 86_400.0
LEVERS = dict.fromkeys(("consolidation", "power_caps", "elastic_width", "suspension", "job_hints", "signals"), True)
CONFIG = EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=2, **LEVERS))
SEARCHED = (
    "class-aware",
    "tuned-combination",
    "tuned-placement",
    "learned-placement",
)  # by CMA-ES, in files of their own
TUNED = [
    pytest.param(name, marks=pytest.mark.slow) if name == "lifetime-aware" else name  # compiles detailed kernels
    for name in BASELINES
    if BASELINES[name].group == LITERATURE and BASELINES[name].tune is not None and name not in SEARCHED
]


@pytest.fixture(scope="module")
def trace() -> Trace:
    return traces.load("synthetic:quickstart?days=2&seed=0&jobs_per_day=60&checkpointable=0.5")


def found(trace: Trace, rule: type = QueueThreshold, budget_jobs: int | None = None) -> TunedConstants:
    start = trace.first_submit_seconds
    window = TrainingWindow(trace, auto_cluster(trace), CONFIG, start, start + DAY, 2)
    return search(rule, window, budget_jobs=budget_jobs)


def test_a_grid_is_tried_in_full_or_sampled_with_its_default() -> None:
    grid = {"a": (1.0, 2.0, 3.0), "b": (5.0, 6.0)}
    assert len(grid_sets(grid, 6)) == 6
    sampled = grid_sets(grid, 3)
    assert (len(sampled), sampled[0]) == (3, {"a": 1.0, "b": 5.0})
    assert sampled == grid_sets(grid, 3)
    assert grid_sets(grid, 0) == [{"a": 1.0, "b": 5.0}]


@pytest.mark.slow
def test_it_is_the_cheapest_set_and_costs_what_it_says(trace: Trace) -> None:
    tuned = found(trace)
    start, cluster = trace.first_submit_seconds, auto_cluster(trace)
    window = TrainingWindow(trace, cluster, CONFIG, start, start + DAY, 2)
    problem = make_problem(trace, cluster, CONFIG)
    costs = {
        (threshold, timeout): score(
            QueueThreshold(CONFIG.codec, {THRESHOLD: threshold, TIMEOUT: timeout}), problem, window.episodes(problem)
        ).mean()
        for threshold in QueueThreshold.grid[THRESHOLD]
        for timeout in QueueThreshold.grid[TIMEOUT]
    }
    assert tuned.usd_per_window == pytest.approx(min(costs.values()), rel=1e-12)
    assert costs[tuned.constants[THRESHOLD], tuned.constants[TIMEOUT]] == pytest.approx(tuned.usd_per_window)
    assert tuned.tried == len(costs)
    assert tuned.simulated_jobs == tuned.tried * window.jobs


@pytest.mark.slow
def test_the_budget_bounds_what_is_simulated_and_is_kept(trace: Trace) -> None:
    tuned = found(trace, HorizontalAutoscaler, budget_jobs=600)
    assert 0 < tuned.simulated_jobs <= tuned.budget_jobs == 600
    assert 1 < tuned.tried < 30
    kept = json.loads(json.dumps(tuned.to_dict()))
    assert (kept["budget_jobs"], kept["simulated_jobs"], kept["tried"]) == (600, tuned.simulated_jobs, tuned.tried)
    assert f"{tuned.tried} sets, {tuned.simulated_jobs:,} of 600 jobs" in tuned.describe()


def test_jobs_after_the_window_change_nothing(trace: Trace) -> None:
    start = trace.first_submit_seconds
    cluster = auto_cluster(trace)
    alone = trace.window(None, start + DAY)
    windows = [TrainingWindow(one, cluster, CONFIG, start, start + DAY, 2) for one in (trace, alone)]
    results = [search(QueueThreshold, window) for window in windows]
    assert results[0] == results[1]


@pytest.mark.parametrize("name", TUNED)
def test_every_rule_is_tuned_to_the_same_each_time_and_makes_its_policy(trace: Trace, name: str) -> None:
    baseline, start = BASELINES[name], trace.first_submit_seconds
    assert baseline.tune is not None
    window = TrainingWindow(trace, auto_cluster(trace), CONFIG, start, start + DAY, 2)
    tuned, again = (baseline.tune(window) for _ in range(2))
    assert tuned.to_dict() == again.to_dict()
    assert json.loads(json.dumps(tuned.to_dict())) == tuned.to_dict()
    policy = tuned.policy(CONFIG)
    assert policy.name == name
    packed = replace(CONFIG, packer=policy.packer or CONFIG.packer)
    problem = make_problem(trace, auto_cluster(trace), packed)
    episodes = window.episodes(problem)
    assert score(policy, problem, episodes).mean() == pytest.approx(tuned.usd_per_window, rel=1e-9)
    assert tuned.simulated_jobs <= tuned.budget_jobs
