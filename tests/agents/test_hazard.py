"""The agent that learns hazards: plans that cost least, what it reads, and a training that proves its gain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import traces
from agents.artifact import WEIGHTS
from agents.config import TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError, ArtifactError
from agents.hazard.features import NAMES, inputs_of, logit
from agents.hazard.fit import Fit, rows_of
from agents.hazard.learned_hazard import LearnedHazard
from agents.hazard.model import HazardPolicy, mean_of, model_of, untrained
from agents.hazard.periods import Periods, idle_periods
from agents.hazard.plans import Plans, costs_ms, plan
from agents.hazard.view import COLUMN, STARTS, WIDTHS, View, own_hazards, view_of
from agents.loading import load_policy
from agents.registry import make_agent
from agents.training import Hooks, check, train
from envs.containers.history import BINS, bin_of
from envs.serverless.codec import FEATURES, FIRST_BEGIN, FIRST_END
from envs.serverless.config import ServerlessConfig
from envs.serverless.network import NUM_INPUTS, fill_chances, make_scratch
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import RulePlayer, ServerlessSimulator, rule
from envs.serverless.state import LOOK_AHEAD
from envs.training import training_of

ENV = "autoscaler/Serverless-v0"
MINUTE = 60_000


@pytest.fixture(scope="module")
def timers(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Functions that are called every few minutes, each at a pace of its own, with a call that is missing at times."""
    rng, lines = np.random.default_rng(0), []
    for function in range(40):
        every = float(rng.uniform(120.0, 1500.0))
        times = np.arange(rng.uniform(0.0, every), 6 * 3600.0, every)
        lines += [(time, f"a,f{function},{time + 1.0:.3f},1.0") for time in times[rng.random(len(times)) < 0.9]]
    path = tmp_path_factory.mktemp("functions") / "calls.csv"
    path.write_text("\n".join(["app,func,end_timestamp,duration", *(line for _, line in sorted(lines))]) + "\n")
    return f"azure-functions-2021:{path}"


@pytest.fixture(scope="module")
def problem(timers: str) -> ServerlessProblem:
    return serverless_problem(traces.load_invocations(timers), ServerlessConfig(warm_up_seconds=0.0))


@pytest.fixture(scope="module")
def periods(problem: ServerlessProblem) -> Periods:
    return idle_periods(problem, 1000, np.random.default_rng(0))


def kwargs_of(workload: str) -> dict[str, Any]:
    return {"workload": workload, "config": {"part": "train", "train_share": 0.75, "warm_up_seconds": 1800.0}}


def task_of(workload: str, steps: int = 4000, **settings: Any) -> EnvironmentTask:
    agent = make_agent("learned-hazard", **{"networks": ((), (4,)), "weight_decays": (0.1,), **settings})
    config, kwargs = TrainConfig(total_steps=steps, validations=2, checkpoint_steps=1000), kwargs_of(workload)
    return EnvironmentTask(agent, config, ENV, kwargs, training_of(ENV, kwargs, 2), 0, "")


def view_with(worth_ms: float, start_ms: float = 0.0, demand: float = 0.0, age_ms: float = 0.0) -> View:
    one = np.ones(1)
    return View(
        np.zeros((1, BINS)), np.array([bin_of(int(age_ms))]), age_ms * one, worth_ms * one, one < 0.0,
        start_ms * one, demand * one, one, one, np.full((1, 2), np.nan), np.full((1, 5), np.nan),
    )  # fmt: skip


def test_a_plan_costs_no_more_than_any_other_if_requests_come_as_the_hazards_say() -> None:
    rng = np.random.default_rng(1)
    for worth in (2 * MINUTE, 10 * MINUTE, 60 * MINUTE):
        hazards = rng.beta(0.3, 4.0, (1, BINS))
        hazards[:, -1] = 1.0
        chance = hazards[0] * np.concatenate([[1.0], np.cumprod(1.0 - hazards[0, :-1])])
        middles = np.append(STARTS[:-1] + WIDTHS / 2.0, STARTS[-1] + 1.0)
        view = view_with(worth)

        def expected(plans: Plans, view: View = view, middles: Any = middles, chance: Any = chance) -> float:
            came = np.ones(BINS, np.bool_)
            return float(costs_ms(plans, view, middles, came) @ chance)

        best = expected(plan(hazards, view))
        for _ in range(300):
            keep, warm, end = np.sort(rng.integers(0, BINS, 3))
            for start in (warm, -1):
                tried = Plans(np.array([keep]), np.array([start]), np.array([end]))
                assert best <= expected(tried) + 1e-6


def test_what_a_plan_costs() -> None:
    view, came = view_with(5.0 * MINUTE, start_ms=1000.0), np.array([True])
    plans = Plans(np.array([bin_of(2 * MINUTE)]), np.array([bin_of(9 * MINUTE)]), np.array([bin_of(11 * MINUTE)]))
    costs = {
        minutes: float(costs_ms(plans, view, np.array([minutes * MINUTE]), came)[0])
        for minutes in (1.0, 4.0, 10.0, 20.0)
    }
    assert costs == {
        1.0: MINUTE,  # kept
        4.0: 2.0 * MINUTE + 5.0 * MINUTE,  # dropped, and a cold start
        10.0: 2.0 * MINUTE + 1000.0 + MINUTE,  # pre-warmed
        20.0: 2.0 * MINUTE + 1000.0 + 2.0 * MINUTE + 5.0 * MINUTE,
    }
    assert costs_ms(plans, view, np.array([4.0 * MINUTE]), np.array([False]))[0] == 2.0 * MINUTE


def test_containers_beside_running_ones_are_not_pre_warmed() -> None:
    hazards = np.full((1, BINS), 1e-6)
    hazards[0, bin_of(10 * MINUTE)] = 0.99
    assert plan(hazards, view_with(20.0 * MINUTE)).warm_from[0] == bin_of(10 * MINUTE)
    assert plan(hazards, view_with(20.0 * MINUTE, demand=1.0)).warm_from[0] == -1


def test_a_view_is_what_the_simulator_showed(problem: ServerlessProblem, periods: Periods) -> None:
    view = view_of(periods.observations)
    assert (view.counts.sum(axis=1) <= view.arrivals + 1e-3).all()
    assert view.counts.sum(axis=1).max() > 50
    assert (view.first == 0).all()
    np.testing.assert_allclose(view.start_ms, 1000.0, rtol=1e-4)
    about = problem.serverless.about[periods.function]
    np.testing.assert_allclose(view.worth_ms, about[:, 1] / about[:, 0], rtol=1e-3)


@pytest.mark.parametrize("spare_worth", [0.0, 1.0])
def test_a_container_that_another_one_made_spare_is_dropped_where_it_is_worth_nothing(
    problem: ServerlessProblem, periods: Periods, spare_worth: float
) -> None:
    seen = periods.observations[40:41].copy()
    seen[0, COLUMN["idle_age"]] = 0.01
    model = untrained(problem.serverless.prior_mass, (1.0, 1.0, spare_worth))
    policy, kept = HazardPolicy("learned-hazard", model, {}), {}
    for containers in (1.0, 2.0):
        seen[0, COLUMN["containers"]] = containers / (containers + 4.0)
        assert policy.act(seen).tolist() == model.actions(seen).tolist()
        kept[containers] = STARTS[policy.act(seen)[0, 0] - FIRST_END]
    assert kept[1.0] > 0.0
    assert kept[2.0] == (kept[1.0] if spare_worth else 0.0)


def test_inputs_that_are_left_out_are_not_read(web: ServerlessProblem) -> None:
    periods = idle_periods(web, 100, np.random.default_rng(0))
    start = untrained(web.serverless.prior_mass)
    frame = rows_of(periods, start, ("own", "recent")).frame
    layer = np.zeros((len(NAMES), 1), np.float32), np.zeros(1, np.float32)
    chosen = {}
    for name in ("own", "age"):
        layer[0][:] = 0.0
        layer[0][NAMES.index(name)] = 1.0
        model = replace(frame, layers=(layer,))
        policy = HazardPolicy("learned-hazard", model, {})
        chosen[name] = policy.act(periods.observations)
        assert (chosen[name] == model.actions(periods.observations)).mean() > 0.99
    assert (chosen["own"] == start.actions(periods.observations)).mean() > 0.99
    assert (chosen["age"] != start.actions(periods.observations)).any()


def test_an_unknown_input_is_refused() -> None:
    with pytest.raises(AgentConfigError, match="own_hazard"):
        check(make_agent("learned-hazard", left_out=("own_hazard",)), TrainConfig())


def test_idle_periods_last_until_the_next_request(problem: ServerlessProblem, periods: Periods) -> None:
    given = problem.invocations
    for function in range(5):
        times = given.time_ms[given.function == function]
        ours = periods.chosen(periods.function == function)
        np.testing.assert_allclose(ours.idle_ms[ours.came][1:], np.diff(times)[1:] - 1000, atol=1.0)
        assert (~ours.came).sum() == 1


def test_some_periods_of_busy_functions_stand_for_all(problem: ServerlessProblem, periods: Periods) -> None:
    some = idle_periods(problem, 20, np.random.default_rng(1))
    assert len(some) < 0.7 * len(periods)
    assert some.weight.sum() == pytest.approx(len(periods), rel=0.15)


def test_the_untrained_policy_is_the_rule_with_look_ahead(problem: ServerlessProblem) -> None:
    windows = problem.windows(2)
    for factors in ((1.0, 1.0), (2.0, 16.0)):
        policy = HazardPolicy("learned-hazard", untrained(problem.serverless.prior_mass, (*factors, 0.0)), {})
        simulator = ServerlessSimulator(problem, 2)
        simulator.play(policy, windows)
        usd = [simulator.results(index).decidable_usd(problem.config.prices) for index in range(2)]
        expected = RulePlayer(problem).usd([rule(LOOK_AHEAD, *factors)], None, windows)[0]
        np.testing.assert_allclose(usd, expected, rtol=1e-6)


def fitted(periods: Periods, start: Any, hidden: tuple[int, ...]) -> Any:
    """Models that were fitted a little, and corrected much."""
    rows = rows_of(periods.chosen(periods.function < 10), start)
    settings = LearnedHazard(networks=(hidden,), weight_decays=(0.0,), batch_size=64)
    models = []
    for seed in range(3):
        fit = Fit(settings, rows, np.ones(len(rows.own), np.bool_), (seed,))
        fit.epoch(0, 0.03)
        models += fit.models()
    return mean_of(models)


def decisions_seen(problem: ServerlessProblem, policy: Any) -> Any:
    """[N, features] what a policy saw at its decisions."""
    simulator, seen = ServerlessSimulator(problem, 4), []
    simulator.begin_all(problem.windows(4))
    while not simulator.done.all():
        seen.append(simulator.observations[~simulator.done].copy())
        simulator.step(policy.act(simulator.observations))
    return np.concatenate(seen)


@pytest.fixture(scope="module")
def web() -> ServerlessProblem:
    """Functions with several requests at once, and containers that others made spare."""
    workload = traces.load_invocations("synthetic-functions:mixed?functions=30&hours=8&seed=1")
    return serverless_problem(workload, ServerlessConfig(warm_up_seconds=1800.0, most_per_hour=600.0))


def expected_savings(hazards: Any, view: View, actions: Any) -> Any:
    """[B] ms of keeping that the plans which begin with actions save on average."""
    found = np.empty(len(actions))
    for row, (keep, warm, _, _) in enumerate(actions):
        until, first, now = keep - FIRST_END, warm - FIRST_BEGIN, view.first[row]
        reached = np.concatenate([[1.0], np.cumprod(1.0 - hazards[row, now:-1])])
        chance, worth = hazards[row, now:-1], view.worth_ms[row]
        saved = np.append(0.0, np.cumsum(reached[:-1] * (chance * worth - (1.0 - 0.5 * chance) * WIDTHS[now:])))
        found[row] = saved[until - now]
        if first >= 0:
            found[row] += (saved[first - now :].max() - saved[first - now]) - reached[first - now] * view.start_ms[row]
    return found


@pytest.mark.parametrize("hidden", [(), (16,), (5, 3)])
def test_compiled_code_chooses_as_numpy_does(web: ServerlessProblem, hidden: Any) -> None:
    periods = idle_periods(web, 300, np.random.default_rng(0))
    model = fitted(periods, untrained(web.serverless.prior_mass, (1.4, 4.0, 0.0)), hidden)
    policy = HazardPolicy("learned-hazard", model, {})
    seen = decisions_seen(web, policy)
    view = model.view_of(seen)
    assert len(seen) > 2000
    assert (view.demand > 0.0).any()
    assert (view.worth_ms == 0.0).any()
    assert (policy.act(seen) != model.actions(seen)).any(axis=1).mean() < 0.001
    assert (untrained(model.prior, model.factors).actions(seen) != model.actions(seen)).any(axis=1).mean() > 0.1


@pytest.mark.parametrize("hidden", [(), (16,), (5, 3)])
def test_where_compiled_code_chooses_otherwise_it_costs_the_same(
    web: ServerlessProblem, periods: Periods, hidden: Any
) -> None:
    start = untrained(web.serverless.prior_mass, (1.4, 4.0, 0.0))
    model = fitted(periods, start, hidden)  # of other functions: far away
    policy = HazardPolicy("learned-hazard", model, {})
    seen = decisions_seen(web, policy)
    view, chosen, expected = model.view_of(seen), policy.act(seen), model.actions(seen)
    is_other = (chosen != expected).any(axis=1)
    savings = [expected_savings(model.hazards(view), view, actions) for actions in (chosen, expected)]
    np.testing.assert_allclose(*savings, rtol=1e-4, atol=1.0)  # ms
    assert is_other.mean() < 0.2  # where next to no request is left, NumPy's sums are rounded away


@pytest.mark.parametrize("hidden", [(), (16,), (5, 3)])
def test_chances_are_those_of_numpy_within_a_hundred_thousandth(
    web: ServerlessProblem, periods: Periods, hidden: Any
) -> None:
    model = fitted(periods, untrained(web.serverless.prior_mass), hidden)
    policy = HazardPolicy("learned-hazard", model, {})
    seen = decisions_seen(web, policy)[[0, 100, 1000, 2000]]
    expected, scratch = model.hazards(model.view_of(seen)), make_scratch(policy.network)
    for row, chances in zip(seen, expected, strict=True):
        fill_chances(row, policy.network, scratch)
        np.testing.assert_allclose(scratch.chances[:BINS], chances, rtol=1e-5, atol=1e-12)


def test_episodes_in_compiled_code_are_those_that_are_stepped(web: ServerlessProblem, periods: Periods) -> None:
    policy = HazardPolicy("learned-hazard", fitted(periods, untrained(web.serverless.prior_mass), (16,)), {})
    windows = web.windows(3)
    whole, stepped = (ServerlessSimulator(web, 3, log_rows=100_000) for _ in range(2))
    found = whole.play(policy, windows)
    before = stepped.begin_all(windows)
    while not stepped.done.all():
        stepped.step(policy.act(stepped.observations))
    for index, results in enumerate(stepped.results_since(before)):
        assert results.costs(web.config.prices) == found[index].costs(web.config.prices)
        np.testing.assert_array_equal(whole.log(index), stepped.log(index))


def test_inputs_are_as_many_as_their_names_and_finite_for_a_function_without_history() -> None:
    view = view_with(MINUTE)
    prior = np.full(BINS, 0.1)
    inputs = inputs_of(view, logit(own_hazards(view, prior)), prior)
    assert inputs.shape == (1, BINS, len(NAMES))
    assert len(NAMES) == NUM_INPUTS
    assert np.isfinite(inputs).all()


@pytest.mark.slow
def test_a_training_proves_a_gain_on_functions_that_it_does_not_fit(timers: str, tmp_path: Path) -> None:
    result = train(task_of(timers, 12_000), tmp_path)
    assert result.best_score < result.start_score
    assert result.note.count("network") == 1
    assert result.kept_step > 0
    policy: Any = load_policy(tmp_path)
    assert policy.act(np.zeros((3, len(FEATURES)), np.float32)).shape == (3, 4)


def test_without_proof_the_rule_is_kept(timers: str, tmp_path: Path) -> None:
    result = train(task_of(timers, proof=1e9), tmp_path)
    assert "look-ahead rule is kept" in result.note
    assert result.best_score == result.start_score
    model = load_policy(tmp_path).model  # type: ignore[union-attr]
    assert not any(array.any() for layer in model.layers for array in layer)


def test_a_training_is_resumed_to_the_same_bits(timers: str, tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = train(task_of(timers), tmp_path / "whole")
    stops = iter([False, False, True])
    stopped = train(task_of(timers), tmp_path / "parts", Hooks(should_stop=lambda: next(stops, True)))
    assert not stopped.finished
    assert train(task_of(timers), tmp_path / "parts", resume=True) == whole
    for name in (f"policy/{WEIGHTS}", "metrics.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_networks_begin_at_a_model_of_the_same_layers(problem: ServerlessProblem, periods: Periods) -> None:
    start, settings = untrained(problem.serverless.prior_mass), LearnedHazard(networks=((4,),), weight_decays=(0.0,))
    parts = [rows_of(periods.chosen((periods.function < 20) == which), start) for which in (True, False)]
    first, second = (
        Fit(settings, rows, np.ones(len(rows.own), np.bool_), (number,)) for number, rows in enumerate(parts)
    )
    first.epoch(0, 0.01)
    assert second.start_from(first.models()[0])
    view = view_of(periods.observations[50:60])
    np.testing.assert_allclose(second.models()[0].hazards(view), first.models()[0].hazards(view), atol=0.02)
    other = Fit(LearnedHazard(networks=((5,),)), parts[0], np.ones(len(parts[0].own), np.bool_), (0,))
    assert not other.start_from(first.models()[0])


@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
def test_the_mean_of_models_corrects_by_the_mean(problem: ServerlessProblem, periods: Periods, hidden: Any) -> None:
    rows = rows_of(periods.chosen(periods.function < 10), untrained(problem.serverless.prior_mass))
    settings, view = LearnedHazard(networks=(hidden,), weight_decays=(0.0,)), view_of(periods.observations[50:60])
    models = []
    for seed in range(3):
        fit = Fit(settings, rows, np.ones(len(rows.own), np.bool_), (seed,))
        fit.epoch(0, 0.01)
        models += fit.models()
    inputs = inputs_of(view, logit(own_hazards(view, rows.frame.prior)), rows.frame.prior)
    each = np.mean([model.corrections(inputs, view) for model in models], axis=0)
    np.testing.assert_allclose(mean_of(models).corrections(inputs, view), each, atol=1e-4)


def test_a_damaged_model_is_one_line(timers: str, tmp_path: Path) -> None:
    arrays = untrained(np.ones(BINS)).arrays()
    for change, says in (
        ({"weights0": np.zeros((3, 1), np.float32)}, "are no hazard model"),
        ({"mean": np.full(len(NAMES), np.nan, np.float32)}, "not finite"),
    ):
        with pytest.raises(ValueError, match=says):
            model_of({**arrays, **change})
    with pytest.raises(ValueError, match="'prior' is missing"):
        model_of({name: arrays[name] for name in arrays if name != "prior"})
    train(task_of(timers, 1), tmp_path)
    (tmp_path / "policy" / WEIGHTS).write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="damaged"):
        load_policy(tmp_path)


def test_what_it_cannot_play_or_use_is_one_line(timers: str, tmp_path: Path) -> None:
    task = task_of(timers)
    other = replace(task, env="CartPole-v1", env_kwargs={}, training=training_of("CartPole-v1", {}, 2))
    with pytest.raises(AgentConfigError, match="cannot play CartPole-v1; choose another"):
        train(other, tmp_path)
    with pytest.raises(AgentConfigError, match=r"neither train\.reward nor"):
        check(task.agent, replace(task.train, reward="module:reward"))
    with pytest.raises(AgentConfigError, match=r"agent\.networks is"):
        make_agent("learned-hazard", networks=((0,),))
