"""The tuned heuristic is the cheapest constant on the training window, and has seen nothing else."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

import traces
from agents.baselines.training_window import TRIED_PACKERS, TrainingWindow
from agents.baselines.tuned import Tuned, tune
from agents.registry import make_baseline
from agents.scoring import score
from envs.errors import ClusterError
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import ALWAYS_ON, IDLE_AGE_EDGES_SECONDS, RESERVE_NODES, CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.episodes import equal_episodes
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import make_problem
from tests.envs.gpu_cluster.builders import make_trace
from traces.trace import Trace

PRICES = ObjectiveConfig(usd_per_kwh=0.3, usd_per_gpu_hour=0.05)
CONFIG = EnvironmentConfig(codec=CodecLayout(max_pools=1, window_slots=2), objective=PRICES)
DAY = 86_400.0


@pytest.fixture(scope="module")
def trace() -> Trace:
    return traces.load("synthetic:quickstart?days=3&seed=0")


def tuned_on(trace: Trace, start: float, end: float, windows: int = 2, config: EnvironmentConfig = CONFIG) -> Tuned:
    return tune(TrainingWindow(trace, auto_cluster(trace), config, start, end, windows))


def brute_force(trace: Trace, start: float, end: float, windows: int) -> dict[tuple[str, float, float], list[float]]:
    """USD of every rule on every window, each replayed alone: energy that works apart, waiting and the rest."""
    costs = {}
    half = (end - start) / windows / 2
    for packer in TRIED_PACKERS:
        problem = make_problem(trace, auto_cluster(trace), replace(CONFIG, packer=packer))
        episodes = equal_episodes(problem, start, end, windows)
        if windows > 1:
            episodes = np.concatenate([episodes, equal_episodes(problem, start + half, end - half, windows - 1)])
        for index, (timeout, headroom) in enumerate(CONFIG.codec.setpoints):
            costs[packer, timeout, headroom] = []
            for episode in episodes:
                simulator = Simulator.from_problem(problem)
                simulator.reset(np.array([0]), episode[None])
                simulator.replay(np.array([index]))
                energy = simulator.energy()
                waited_gpu_hours = simulator.waited_gpu_hours[0]
                costs[packer, timeout, headroom].append(
                    (energy.fragmentation + energy.idle + energy.boot + energy.off) * 0.3 + waited_gpu_hours * 0.05
                )
    return costs


@pytest.mark.parametrize("windows", [1, 2])
def test_it_is_the_cheapest_rule_of_all(trace: Trace, windows: int) -> None:
    start = trace.first_submit_seconds
    costs = brute_force(trace, start, start + DAY, windows)
    tuned = tuned_on(trace, start, start + DAY, windows)
    means = {rule: float(np.mean(values)) for rule, values in costs.items()}
    best = min(means.values())
    assert tuned.usd_per_window == pytest.approx(best, rel=1e-9)
    assert means[tuned.packer, tuned.idle_timeout_seconds, tuned.headroom] == pytest.approx(best, rel=1e-9)
    assert len(costs) == len(TRIED_PACKERS) * len(CONFIG.codec.setpoints)
    assert tuned.usd_per_window < means["best-fit", 600.0, 0.0]
    assert min(tuned.half_usd_per_window) >= tuned.usd_per_window - 1e-9


def test_only_the_window_is_used(trace: Trace) -> None:
    """Other jobs after the window change nothing, other jobs inside do."""
    start, end = trace.first_submit_seconds, trace.first_submit_seconds + DAY
    cluster = auto_cluster(trace)
    alone = trace.window(None, end)
    later = trace.submit_time_seconds >= end
    other = Trace.from_columns(
        {
            "submit_time_seconds": trace.submit_time_seconds,
            "duration_seconds": np.where(later, 7.0 * trace.duration_seconds, trace.duration_seconds),
            "gpu_milli": np.where(later, 1000, trace.gpu_milli),
        }
    )
    tuned = [tune(TrainingWindow(one, cluster, CONFIG, start, end, 2)) for one in (trace, alone, other)]
    assert tuned[0] == tuned[1] == tuned[2]
    assert tuned_on(trace, start, end + DAY).usd_per_window != tuned[0].usd_per_window


def test_its_policy_costs_what_it_says(trace: Trace) -> None:
    start = trace.first_submit_seconds
    tuned = tuned_on(trace, start, start + DAY, 1)
    problem = make_problem(trace, auto_cluster(trace), replace(CONFIG, packer=tuned.packer))
    policy = tuned.policy(CONFIG)
    assert (policy.name, policy.packer) == ("reactive-tuned", tuned.packer)
    cost = score(policy, problem, equal_episodes(problem, start, start + DAY, 1))
    assert cost.mean() == pytest.approx(tuned.usd_per_window, rel=1e-9)
    assert tuned.usd_per_hour == pytest.approx(tuned.usd_per_window / 24.0)


def test_prices_decide_the_choice(trace: Trace) -> None:
    """Free waiting: nodes go at once. Free energy: all nodes are on, or nobody waits at least."""
    start = trace.first_submit_seconds
    free_waiting = replace(CONFIG, objective=ObjectiveConfig(usd_per_kwh=0.15, usd_per_gpu_hour=0.0))
    free_energy = replace(CONFIG, objective=ObjectiveConfig(usd_per_kwh=0.0, usd_per_gpu_hour=0.1))
    frugal = tuned_on(trace, start, start + DAY, 2, free_waiting)
    lavish = tuned_on(trace, start, start + DAY, 2, free_energy)
    assert (frugal.idle_timeout_seconds, frugal.headroom) == (0.0, 0.0)
    assert frugal.packer != "worst-fit"
    assert lavish.headroom != 0.0


def test_it_survives_json(trace: Trace) -> None:
    tuned = tuned_on(trace, trace.first_submit_seconds, trace.first_submit_seconds + DAY)
    assert Tuned.from_dict(json.loads(json.dumps(tuned.to_dict()))) == tuned


def test_progress_is_told_per_packer(trace: Trace) -> None:
    told: list[int] = []
    start = trace.first_submit_seconds
    tune(TrainingWindow(trace, auto_cluster(trace), CONFIG, start, start + DAY, 1), told.append)
    assert told == [1] * len(TRIED_PACKERS)


def test_a_window_without_jobs_is_refused() -> None:
    trace = make_trace([(0.0, 60.0, 1.0), (1e6, 60.0, 1.0)])
    with pytest.raises(ClusterError, match=r"no job is submitted in the training window from 10\.0 s to 20\.0 s"):
        tuned_on(trace, 10.0, 20.0)


@pytest.mark.parametrize("windows", [1, 3, 6])
def test_a_burst_in_one_window_is_enough(windows: int) -> None:
    """All the other windows are empty, those in between too."""
    trace = make_trace([(0.0, 60.0, 1.0), (1.0, 60.0, 1.0), (1e6, 60.0, 1.0)])
    tuned = tuned_on(trace, 0.0, 1e5, windows)
    assert tuned.usd_per_window > 0.0


def test_scores_do_not_depend_on_which_windows_are_played_together(trace: Trace) -> None:
    problem = make_problem(trace, auto_cluster(trace), CONFIG)
    episodes = equal_episodes(problem, 0.0, 3 * DAY, 5)
    policy = make_baseline("reactive", CONFIG.codec)
    together = score(policy, problem, episodes)
    alone = [score(policy, problem, episode[None])[0] for episode in episodes]
    assert together.tolist() == alone
    assert all(one != other for one, other in itertools.pairwise(alone))


def consolidating(**flags: bool) -> EnvironmentConfig:
    """One day's worth of moves that cost little."""
    codec = replace(CONFIG.codec, consolidation=True, consolidation_interval_seconds=600.0, **flags)
    return replace(CONFIG, codec=codec, move_seconds=1.0)


@pytest.mark.slow
def test_cheap_moves_are_chosen_and_dear_ones_are_not() -> None:
    trace = traces.load("synthetic:quickstart?days=3&seed=0&checkpointable=1.0")
    start = trace.first_submit_seconds
    without = tuned_on(trace, start, start + DAY)
    cheap = tuned_on(trace, start, start + DAY, config=consolidating())
    dear = tuned_on(trace, start, start + DAY, config=replace(consolidating(), move_seconds=36_000.0))
    assert (without.consolidation, dear.consolidation) == (0, 0)
    assert cheap.consolidation > 0
    assert cheap.usd_per_window < without.usd_per_window
    assert dear.usd_per_window == pytest.approx(without.usd_per_window, rel=1e-9)
    assert "consolidate" in cheap.describe()
    assert "consolidate" not in dear.describe()
    assert Tuned.from_dict(cheap.to_dict()) == cheap


@pytest.mark.slow
def test_its_policy_with_levers_costs_what_it_says() -> None:
    """Moves and the overhead that they cause are in the price, as in the sum of rewards."""
    trace = traces.load("synthetic:quickstart?days=3&seed=0&checkpointable=1.0")
    start, config = trace.first_submit_seconds, consolidating(power_caps=True)
    tuned = tuned_on(trace, start, start + DAY, 1, config)
    problem = make_problem(trace, auto_cluster(trace), replace(config, packer=tuned.packer))
    episodes = equal_episodes(problem, start, start + DAY, 1)
    assert score(tuned.policy(config), problem, episodes).mean() == pytest.approx(tuned.usd_per_window, rel=1e-9)
    assert tuned.policy(config).rule.tolist()[1:] == [tuned.consolidation, tuned.power_cap, tuned.width, 0, 0]


def test_a_reserve_in_nodes_is_chosen_where_it_is_cheaper_and_its_policy_costs_what_it_says(trace: Trace) -> None:
    """Boots that take half an hour are worth a node that is kept warm where waiting is dear."""
    start = trace.first_submit_seconds
    dear = replace(CONFIG, objective=ObjectiveConfig(usd_per_gpu_hour=20.0))
    config = replace(dear, codec=replace(CONFIG.codec, reserve_nodes=True))
    without, tuned = (tuned_on(trace, start, start + DAY, 1, each) for each in (dear, config))
    assert without.reserve_nodes == 0 < tuned.reserve_nodes
    assert without.reserve_grid_usd == ()
    assert tuned.usd_per_window < without.usd_per_window
    grid = np.array(tuned.reserve_grid_usd)
    assert grid.shape == (len(RESERVE_NODES) - 1, len(IDLE_AGE_EDGES_SECONDS))
    assert grid.min() == tuned.usd_per_window
    assert f"reserve in nodes {RESERVE_NODES[tuned.reserve_nodes]}" in tuned.describe()
    assert Tuned.from_dict(json.loads(json.dumps(tuned.to_dict()))) == tuned
    problem = make_problem(trace, auto_cluster(trace), replace(config, packer=tuned.packer))
    episodes = equal_episodes(problem, start, start + DAY, 1)
    assert score(tuned.policy(config), problem, episodes).mean() == pytest.approx(tuned.usd_per_window, rel=1e-9)


def test_a_choice_says_whether_it_lies_at_an_end_of_the_grid() -> None:
    inside = Tuned(600.0, 0.05, "best-fit", 1.0, 1.0, (1.0, 1.0), ("", ""))
    assert inside.optimum == "inside"
    assert "edge" not in inside.describe()
    assert replace(inside, idle_timeout_seconds=0.0, headroom=0.0).optimum == "inside"  # nothing is below that
    longest = replace(inside, idle_timeout_seconds=14400.0, headroom=1.0)
    assert longest.optimum == "at the edge: time-out and reserve"
    assert "at the edge: time-out and reserve of the grid" in longest.describe()
    assert replace(longest, headroom=ALWAYS_ON).optimum == "inside"
    most = replace(inside, reserve_nodes=len(RESERVE_NODES) - 1)
    assert most.optimum == "at the edge: reserve in nodes"
    assert Tuned.from_dict(json.loads(json.dumps(longest.to_dict()))) == longest
