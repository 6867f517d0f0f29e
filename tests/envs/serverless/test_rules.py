"""What rules do, what a pool costs, and that the compiled policy is the one that loads."""

from __future__ import annotations

import numpy as np
import pytest

from configs.errors import ConfigError
from envs.containers import state as st
from envs.containers.config import FunctionConfig, NodeConfig
from envs.containers.history import bin_of
from envs.containers.objective import ContainerPrices
from envs.errors import EnvironmentConfigError
from envs.serverless.arguments import problem_from_arguments, serverless_config
from envs.serverless.codec import (
    ACTION_SIZES,
    BREAK_EVEN,
    DEFAULT_KEEP,
    FEATURES,
    FIRST_BEGIN,
    FIRST_END,
    FIRST_GAPS,
    GAPS_SCALE,
    NEVER,
    SLEEP_MS,
)
from envs.serverless.config import ImageConfig, ServerlessConfig, SharesConfig
from envs.serverless.kernels import WEIGHTS
from envs.serverless.problem import serverless_problem
from envs.serverless.simulator import RulePlayer, ServerlessSimulator, rule
from envs.serverless.state import AUTOSCALER, FIXED, HAZARD, HISTOGRAM, LEARNED, LOOK_AHEAD, PER_FUNCTION, SLEEP
from envs.serverless.training import linear_actions
from traces.invocations import Invocations

MINUTE = 60_000
POOL = (NodeConfig(count=2, memory_mib=4096.0, cpu_milli=8000, gpus=2, boot_seconds=10.0, sleep_seconds=60.0),)


def calls(times_ms, functions=None, **columns) -> Invocations:
    count = len(times_ms)
    function = np.zeros(count, np.int64) if functions is None else np.array(functions, np.int64)
    names = [f"f{number}" for number in range(int(function.max()) + 1)]
    columns = {"span_ms": 4 * 3_600_000, "memory_mib": np.full(len(names), 512.0), **columns}
    return Invocations.from_columns(names, np.array(times_ms), function, np.full(count, 1000), **columns)


def problem_of(invocations, **settings):
    values = {"pool": POOL, "warm_up_seconds": 0.0, "prices": ContainerPrices(usd_per_waited_hour=10.0), **settings}
    return serverless_problem(invocations, ServerlessConfig(**values))


def played(problem, row, sleep_ms=None):
    player = RulePlayer(problem)
    row = row if sleep_ms is None else [*row[:SLEEP], float(sleep_ms), *row[SLEEP + 1 :]]
    player.usd([row], None, problem.windows(1))
    return player.results()


def test_a_pool_without_requests_takes_no_energy_and_costs_nothing():
    problem = problem_of(calls([3 * 3_600_000]))
    windows = np.array([problem.episode(0, 2 * 3_600_000)])
    player = RulePlayer(problem)
    assert player.usd([rule(FIXED, float(st.FOREVER))], None, windows)[0, 0] == 0.0
    assert player.results().energy_uj.sum() == 0


def test_nodes_go_to_zero_when_the_last_container_is_gone():
    results = played(problem_of(calls([0, 3_600_000])), rule(FIXED, 0.0))
    assert results.total("boots") == 2
    on_ms = results.energy_uj[0, st.IDLE_NODE_UJ] / (100 * 1000)
    assert on_ms < 4 * MINUTE


def test_the_hazard_rule_drops_a_timers_container_and_warms_it_again_in_time():
    problem = problem_of(calls([1000 + 10 * MINUTE * number for number in range(24)]))
    hazard = played(problem, rule(HAZARD, 1.0, 1.0), sleep_ms=st.FOREVER)
    kept = played(problem, rule(FIXED, 20.0 * MINUTE), sleep_ms=st.FOREVER)
    assert hazard.total("pre_warmed_used") > 10
    assert hazard.total("cold") < 8
    assert hazard.spare_mib_ms.sum() < 0.6 * kept.spare_mib_ms.sum()


def test_look_ahead_keeps_through_a_pause_that_is_shorter_than_a_start():
    slow = {"images": ImageConfig(start_seconds=30.0), "prices": ContainerPrices(usd_per_waited_hour=0.03)}
    invocations = calls([1000 + 26_000 * number for number in range(200)])  # 25 s idle after each
    hazard, ahead = (
        played(problem_of(invocations, **slow), rule(kind, 1.0, 1.0), sleep_ms=st.FOREVER)
        for kind in (HAZARD, LOOK_AHEAD)
    )
    assert hazard.total("expired") > 100
    assert ahead.total("expired") < 5
    assert ahead.total("cold") < hazard.total("cold")


def test_look_ahead_drops_a_timers_container_and_warms_it_again_in_time():
    problem = problem_of(calls([1000 + 10 * MINUTE * number for number in range(24)]))
    ahead = played(problem, rule(LOOK_AHEAD, 1.0, 1.0), sleep_ms=st.FOREVER)
    kept = played(problem, rule(FIXED, 20.0 * MINUTE), sleep_ms=st.FOREVER)
    assert ahead.total("pre_warmed_used") > 10
    assert ahead.spare_mib_ms.sum() < 0.6 * kept.spare_mib_ms.sum()


def test_the_hybrid_histogram_warms_a_timers_container_before_the_head_of_its_gaps():
    problem = problem_of(calls([1000 + 10 * MINUTE * number for number in range(24)]))
    results = played(problem, rule(HISTOGRAM, 0.05, 0.99, 2.0), sleep_ms=st.FOREVER)
    assert results.total("pre_warmed_used") > 15
    assert results.total("cold") <= 3


def test_knative_drops_the_last_container_after_its_window_and_grace():
    problem = problem_of(calls([0, 80_000, 300_000]))
    results = played(problem, rule(AUTOSCALER, 60_000.0, 30_000.0), sleep_ms=st.FOREVER)
    assert results.total("cold") == 2


def test_each_function_can_have_a_keep_alive_of_its_own():
    problem = problem_of(calls([0, 0, 5 * MINUTE, 5 * MINUTE], [0, 1, 0, 1]))
    player = RulePlayer(problem)
    player.keep_by_function(np.array([MINUTE, 10 * MINUTE]))
    player.usd([rule(PER_FUNCTION)], None, problem.windows(1))
    assert player.results().total("cold") == 3


def test_a_rejected_request_is_one_that_could_not_meet_its_deadline():
    deadlines = np.array([2_000, 60_000, 2_500], np.int64)
    invocations = calls([0, 1, 100_000], deadline_ms=deadlines)
    strict = played(problem_of(invocations, admission="now"), rule(FIXED, float(st.FOREVER)))
    assert strict.total("rejected") == 1  # a boot and a start take longer; the last one finds a warm container
    assert strict.total("late") == 0
    assert played(problem_of(invocations), rule(FIXED, float(st.FOREVER))).total("late") == 1


def bursts():
    """Four requests at once, of ten seconds, every ten minutes."""
    invocations = calls(np.repeat([1000 + 10 * MINUTE * number for number in range(24)], 4))
    invocations.duration_ms[:] = 10_000
    return invocations


def test_the_hazard_rule_warms_as_many_as_are_called_at_once():
    problem = problem_of(bursts())
    one = played(problem, rule(HAZARD, 1.0, 1.0), sleep_ms=st.FOREVER)
    many = played(problem, rule(HAZARD, 1.0, 1.0, many=0.5), sleep_ms=st.FOREVER)
    assert one.total("cold") > 50
    assert many.total("cold") < 0.5 * one.total("cold")
    assert many.total("pre_warmed_used") > 40


def test_an_action_says_how_many_are_warmed():
    cold = []
    for choice in range(ACTION_SIZES[3]):
        simulator = ServerlessSimulator(problem_of(bursts()))
        simulator.begin(0, 0, simulator.problem.span_ms)
        idle_age = [feature.name for feature in FEATURES].index("idle_age")
        pre_warm = [FIRST_END, FIRST_BEGIN + bin_of(9 * MINUTE), 5, choice]
        while not simulator.done[0]:
            simulator.step(np.array([[6, NEVER, 5, 0] if simulator.observations[0, idle_age] > 0.0 else pre_warm]))
        cold.append(simulator.results().total("cold"))
    assert cold == [4 + 23 * 3, 4 + 23 * 2, 4, 4]  # after the first burst


def test_nodes_sleep_after_as_long_as_a_boot_costs():
    price = ContainerPrices(usd_per_waited_hour=10.0, usd_per_kwh=0.15)
    problem = problem_of(calls([0, 3 * 3_600_000]), prices=price)
    boot_usd = 10.0 / 3_600_000 * 10.0 * 1000.0 + 0.1 * 0.15 * 10.0 / 3600.0
    expected = boot_usd / (0.1 * 0.15) * 3_600_000
    assert problem.serverless.break_even_ms == pytest.approx([expected] * 2, rel=1e-6)
    for row in (rule(FIXED, 0.0, sleep_ms=BREAK_EVEN), rule(FIXED, 0.0, sleep_ms=problem.serverless.break_even_ms[0])):
        results = played(problem, row)
        on_ms = results.energy_uj[0, st.IDLE_NODE_UJ] / (100 * 1000)
        assert on_ms == pytest.approx(expected + 3_600_000, abs=2 * MINUTE)  # and after the second request
    simulator = ServerlessSimulator(problem)
    simulator.begin(0, 0, problem.span_ms)
    while not simulator.done[0]:
        simulator.step(np.array([[0, NEVER, SLEEP_MS.index(BREAK_EVEN), 0]]))
    assert simulator.results().energy_uj.tolist() == results.energy_uj.tolist()


def test_idle_nodes_that_cost_nothing_never_sleep_at_break_even():
    problem = problem_of(calls([0]), prices=ContainerPrices(usd_per_kwh=0.0))
    assert problem.serverless.break_even_ms.tolist() == [st.FOREVER] * 2


TRAINING = {
    "pool": (NodeConfig(memory_mib=65536.0, cpu_milli=8000, gpus=4, boot_seconds=0.0, sleep_seconds=None),),
    "images": ImageConfig(start_seconds=0.0, load_seconds_per_gib=0.0, code_mib=0.001, runtime_mib=0.001),
    "shares": SharesConfig(workers=(1, 2, 4), serial=0.0, communication=0.0),
}


def training_jobs(times, deadlines, run_ms=60_000):
    columns = {"gpu_milli": np.array([1000]), "deadline_ms": np.array(deadlines, np.int64)}
    invocations = calls(times, **columns)
    invocations.duration_ms[:] = run_ms
    return invocations


@pytest.mark.parametrize(
    ("deadlines", "admission", "rejected", "gpu_ms"),
    [
        ([100_000] * 4, "minimum-share", 0, 4 * [60_000]),  # one GPU each is enough
        ([50_000], "minimum-share", 0, [60_000]),  # two GPUs for half of the time
        ([50_000], "now", 1, []),  # it knows one share
        ([30_000] * 2, "minimum-share", 1, [60_000]),  # all four GPUs, so that the second one has none in time
        ([140_000] * 8, "minimum-share", 0, 8 * [60_000]),  # four wait for the others
        ([140_000] * 8, "now", 4, 4 * [60_000]),
    ],
)
def test_a_job_gets_the_smallest_share_that_meets_its_deadline(deadlines, admission, rejected, gpu_ms):
    problem = problem_of(training_jobs([0] * len(deadlines), deadlines), admission=admission, **TRAINING)
    results = played(problem, rule(FIXED, 0.0))
    assert results.total("rejected") == rejected
    assert results.total("late") == 0
    assert results.total("finished") == len(deadlines) - rejected
    assert results.total("busy_gpu_milli_ms") == pytest.approx(1000 * sum(gpu_ms), abs=4000 * len(deadlines))


def test_what_is_promised_is_not_taken_by_what_comes_later():
    # Both halves are taken for a minute; all four GPUs are promised from then on for half a minute to the third.
    times, deadlines = [0, 0, 0, 1000, 1000], [40_000, 40_000, 60_000, 89_000, 200_000]
    problem = problem_of(training_jobs(times, deadlines), admission="minimum-share", **TRAINING)
    simulator = RulePlayer(problem, log_rows=1000)
    simulator.usd([rule(FIXED, 0.0)], None, problem.windows(1))
    results = simulator.results()
    assert results.total("late") == 0
    assert results.total("rejected") == 0
    assert results.total("finished") == 5


def test_shares_without_meaning_are_refused_in_one_line():
    for shares, message in (
        ({"workers": (2, 4)}, "must ascend from 1"),
        ({"workers": (1, 2, 64), "communication": 0.1}, "64 take no less time than 2"),
        ({"serial": 2.0}, "shares.serial is 2"),
    ):
        with pytest.raises(EnvironmentConfigError, match=message) as caught:
            SharesConfig(**shares)
        assert "\n" not in str(caught.value)
    overrides = {"f0": {"concurrency": 4}}
    with pytest.raises(EnvironmentConfigError, match="function f0: concurrency is 4"):
        problem_of(training_jobs([0], [1000]), admission="minimum-share", **{**TRAINING, "overrides": overrides})


def test_gpu_seconds_are_billed_where_they_have_a_price():
    invocations = calls([0], gpu_milli=np.array([500]))
    prices = ContainerPrices(usd_per_gpu_second_billed=0.01)
    problem = problem_of(invocations, prices=prices)
    assert played(problem, rule(FIXED, 0.0)).costs(prices)["billed"] == pytest.approx(-0.005)


def test_rewards_of_an_episode_are_what_the_rule_player_says_it_costs():
    problem = problem_of(calls(np.sort(np.random.default_rng(0).integers(0, 3_600_000 * 3, 200)), np.arange(200) % 5))
    simulator = ServerlessSimulator(problem)
    simulator.begin(0, 0, problem.span_ms)
    total, action = 0.0, np.array([[5, 0, 0, 0]])
    while not simulator.done[0]:
        simulator.step(action)
        total += simulator.rewards[0]
    usd = RulePlayer(problem).usd([rule(FIXED, 10.0 * MINUTE)], None, problem.windows(1))[0, 0]
    assert -total == pytest.approx(usd, rel=1e-9)
    assert usd == pytest.approx(simulator.results().decidable_usd(problem.config.prices), rel=1e-9)


def test_keeping_until_a_bin_begins_is_the_keep_alive_that_long():
    rng = np.random.default_rng(4)
    problem = problem_of(calls(np.sort(rng.integers(0, 3_600_000 * 3, 200)), np.arange(200) % 5))
    simulator = ServerlessSimulator(problem)
    simulator.begin(0, 0, problem.span_ms)
    while not simulator.done[0]:
        simulator.step(np.array([[FIRST_END + bin_of(7 * MINUTE), NEVER, 0, 0]]))
    expected = RulePlayer(problem).usd([rule(FIXED, 7.0 * MINUTE)], None, problem.windows(1))[0, 0]
    assert simulator.results().decidable_usd(problem.config.prices) == pytest.approx(expected, rel=1e-9)


def test_a_container_is_ready_where_the_bin_begins_that_an_action_names():
    problem = problem_of(calls([1000 + 10 * MINUTE * number for number in range(24)]))
    simulator = ServerlessSimulator(problem)
    simulator.begin(0, 0, problem.span_ms)
    idle_age = [feature.name for feature in FEATURES].index("idle_age")
    pre_warm = [FIRST_END, FIRST_BEGIN + bin_of(9 * MINUTE), 5, 0]  # dropped at once
    while not simulator.done[0]:
        simulator.step(np.array([[6, NEVER, 5, 0] if simulator.observations[0, idle_age] > 0.0 else pre_warm]))
    results = simulator.results()
    assert results.total("cold") == 1
    assert results.total("pre_warmed_used") == 23
    spare_ms = results.spare_mib_ms.sum() / 512.0
    assert 23 * 59_000 < spare_ms < 24 * 80_000  # a minute, and its start, before each request


def test_a_pre_warm_for_when_the_container_is_still_kept_is_none():
    problem = problem_of(calls([1000, 3_600_000]))
    simulator = ServerlessSimulator(problem)
    simulator.begin(0, 0, problem.span_ms)
    while not simulator.done[0]:
        simulator.step(np.array([[FIRST_END + bin_of(10 * MINUTE), FIRST_BEGIN + bin_of(5 * MINUTE), 0, 0]]))
    assert simulator.results().total("pre_warmed") == 0


def test_the_observation_holds_the_histogram_that_rules_decide_by():
    problem = problem_of(calls([1000 + 11 * MINUTE * number for number in range(8)]))
    simulator = ServerlessSimulator(problem)
    simulator.begin(0, 0, problem.span_ms)
    most = 0.0
    while not simulator.done[0]:
        gaps = simulator.observations[0, FIRST_GAPS:].astype(float)
        counts = np.rint(GAPS_SCALE * gaps / (1.0 - gaps))
        assert counts.sum() == counts[bin_of(10 * MINUTE) : bin_of(12 * MINUTE)].sum()
        most = max(most, counts.sum())
        simulator.step(np.array([[DEFAULT_KEEP, 0, 0, 0]]))
    assert most == 7


def test_the_policy_that_kernels_play_is_the_one_that_loads():
    rng = np.random.default_rng(1)
    problem = problem_of(calls(np.sort(rng.integers(0, 3_600_000 * 3, 300)), np.arange(300) % 4))
    weights = rng.normal(0.0, 1.0, WEIGHTS)
    expected = RulePlayer(problem).usd([rule(LEARNED)], weights[None, :], problem.windows(1))[0, 0]
    simulator = ServerlessSimulator(problem)
    simulator.begin(0, 0, problem.span_ms)
    while not simulator.done[0]:
        simulator.step(linear_actions(weights, simulator.observations))
    assert simulator.results().decidable_usd(problem.config.prices) == pytest.approx(expected, rel=1e-9)


def test_observations_are_within_the_space():
    problem = problem_of(calls(np.sort(np.random.default_rng(2).integers(0, 3_600_000 * 3, 300)), np.arange(300) % 4))
    simulator, rng = ServerlessSimulator(problem), np.random.default_rng(3)
    simulator.begin(0, 0, problem.span_ms)
    while not simulator.done[0]:
        assert ((simulator.observations >= 0.0) & (simulator.observations <= 1.0)).all()
        simulator.step(rng.integers(0, ACTION_SIZES)[None, :])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pool": (NodeConfig(memory_mib=100.0),)}, "function f0: its memory_mib is 512"),
        ({"overrides": {"f9": {"cpu_milli": 1}}}, "unknown function 'f9'; valid: f0"),
        ({"overrides": {"f0": {"cpu_mili": 1}}}, "unknown field 'cpu_mili'; did you mean 'cpu_milli'"),
        ({"overrides": {"f0": {"layers": 3.0}}}, r"overrides\.f0\.layers is 3\.0; it must be a list of names"),
        ({"overrides": {"f0": {"cpu_milli": ("a",)}}}, "it must be a number"),
        ({"part": "trian"}, "unknown part 'trian'; did you mean 'train'"),
        ({"part": "test"}, "leaves one part empty"),
        ({"most_per_hour": 0.1}, "every function is called more often"),
        ({"pool": ()}, "pool is empty"),
    ],
)
def test_settings_without_meaning_are_refused_in_one_line(settings, message):
    with pytest.raises(EnvironmentConfigError, match=message) as caught:
        problem_of(calls([0, 10]), **settings)
    assert "\n" not in str(caught.value)


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'admission'"):
        serverless_config({"admision": "now"})


def test_a_workload_that_is_none_is_refused():
    with pytest.raises(EnvironmentConfigError, match="workload is 3"):
        problem_from_arguments(3, None)


def test_images_are_made_of_layers_that_a_user_names_and_shared_ones_are_pulled_once():
    images = ImageConfig(layers={"cuda": 3000.0}, start_seconds=1.0, code_mib=1.0, runtime_mib=1.0)
    overrides = {name: {"layers": ("cuda",)} for name in ("f0", "f1")}
    invocations = calls([0, 600_000], [0, 1], memory_mib=np.full(2, 512.0))
    pool = (NodeConfig(memory_mib=4096.0, cpu_milli=8000, boot_seconds=10.0, sleep_seconds=3600.0),)
    given = played(problem_of(invocations, images=images, overrides=overrides, pool=pool), rule(FIXED, 0.0))
    made = played(problem_of(invocations, images=images, pool=pool), rule(FIXED, 0.0))
    assert given.total("pulled_bytes") == 3000 << 20
    assert made.total("pulled_bytes") == 4 << 20


def test_a_function_names_an_unknown_layer():
    from envs.containers.config import LayerConfig, PlaceConfig
    from envs.containers.problem import constant_tariff, make_problem, make_requests

    function = FunctionConfig("train", layers=("basse",))
    request = make_requests(np.array([0]), np.array([0]), np.array([1]))
    layers, places, tariff = [LayerConfig("base", 1.0)], [PlaceConfig("pool")], constant_tariff(0.1, 0.0, 1)
    with pytest.raises(EnvironmentConfigError, match="unknown layer 'basse'; did you mean 'base'"):
        make_problem([function], layers, places, request, tariff)
