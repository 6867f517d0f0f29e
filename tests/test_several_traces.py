"""One policy on several traces: their training windows, and versions of them that see nothing of what comes later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import traces
from agents.baselines.tuned import choose_together, grid_rules
from autoscaler.experiment import ExperimentConfig, load_experiment
from autoscaler.several_traces import further_problems
from autoscaler.training import training_windows
from configs.errors import ConfigError
from envs.gpu_cluster.simulator.problem import Problem

OWN, OTHER = "synthetic:quickstart?days=4&seed=0", "synthetic:quickstart?days=4&seed=1"


def experiment(**variations: object) -> ExperimentConfig:
    values = {
        "trace": OWN,
        "agent": {"name": "cma-es"},
        "environment": {"codec": {"max_pools": 1, "window_slots": 0}},
        "train": {"traces": [OTHER], "variations": variations},
    }
    return load_experiment(values)


def problems(described: ExperimentConfig) -> list[Problem]:
    return list(further_problems(described, traces.load(OWN), "best-fit"))


def test_each_further_trace_brings_its_own_cluster_and_only_its_training_part() -> None:
    (problem,) = problems(experiment())
    whole = traces.load(OTHER)
    end = 0.6 * whole.span_seconds + whole.first_submit_seconds
    assert problem.num_jobs == int((whole.submit_time_seconds < end).sum())
    assert problem.cluster == experiment().described_cluster(whole)
    assert problem.config.packer == "best-fit"


def test_versions_differ_within_their_bounds_and_the_seed_decides_which() -> None:
    described = experiment(copies=2, load=[1.5, 3.0], boot_seconds=[60.0, 100.0], usd_per_gpu_hour=[0.5, 2.0])
    found, again = problems(described), problems(described)
    assert len(found) == 1 + 2 * 2
    for problem in found[1:]:
        assert 60.0 <= problem.cluster.pools[0].boot_seconds <= 100.0
        assert 0.5 <= problem.config.objective.usd_per_gpu_hour <= 2.0
    own = traces.load(OWN)
    few = int((own.submit_time_seconds < 0.6 * own.span_seconds + own.first_submit_seconds).sum())
    assert all(1.2 * few < problem.num_jobs < 3.5 * few for problem in found[1:3])  # copies of the training part alone
    assert [problem.num_jobs for problem in found] == [problem.num_jobs for problem in again]
    other = problems(replace(described, seed=1))
    assert other[1].cluster != found[1].cluster


def test_constants_for_several_traces_are_best_by_shares_and_not_by_size() -> None:
    windows = training_windows(experiment())
    rules = len(grid_rules(windows[0].config.codec))
    costs = [np.full((3, rules, 2), 10.0), np.full((3, rules, 2), 1000.0)]
    costs[0][:, 1], costs[0][:, 2] = 5.0, 5.5  # halves the cost of the small one
    costs[1][:, 1], costs[1][:, 2] = 1400.0, 1000.0
    chosen = choose_together(windows, costs)
    layout = windows[0].config.codec
    assert layout.setpoint(chosen.idle_timeout_seconds, chosen.headroom) == 2
    alone = choose_together(windows[1:], costs[1:])
    assert alone.usd_per_window == 1000.0


def test_a_bound_that_is_no_pair_is_refused_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"load"):
        experiment(load=[1.0])
