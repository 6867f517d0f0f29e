"""A city: what it is made of, what its actions do, what it costs, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from configs.errors import UserError
from envs.containers import log
from envs.containers import state as st
from envs.containers.config import FunctionConfig, NodeConfig
from envs.edge.arguments import city_config, city_of
from envs.edge.batch import CityBatch
from envs.edge.calls import zones_at
from envs.edge.codec import FEATURES, feature_names
from envs.edge.config import CallConfig, LinkConfig
from envs.edge.episodes import warm_up_steps
from envs.edge.tables import CENTER, CLOUD, HUB, LEAST_LOADED, OWN, SLEEP_MS
from envs.errors import InvalidActionError
from envs.registry import register_envs
from tests.envs.edge.scenes import scenario

CALLS = (CallConfig("see", per_user_hour=1.0),)
HUGE, BAD_LAYER = FunctionConfig("see", memory_mib=9000), FunctionConfig("see", layers=("basee",))
MORNING = 8 * 3_600_000
KEPT = (OWN, OWN, OWN, 2, 0, 2)
"""Own sites, containers for 10 minutes, nodes for 5."""


def play(batch: CityBatch, action: Any, steps: int = 30, start_ms: int = MORNING) -> CityBatch:
    batch.begin(np.arange(batch.num_worlds), np.full(batch.num_worlds, start_ms))
    for _ in range(warm_up_steps(batch.city) + steps):
        batch.step(np.tile(np.array(action, np.int64), (batch.num_worlds, batch.city.num_sites, 1)))
    return batch


def test_calls_come_from_the_zone_that_their_user_is_in() -> None:
    city = city_of(scenario())
    meters = city.projection.to_meters(city.sites.latitude, city.sites.longitude)
    for index in range(0, len(city.calls.user), 500):
        user, moment = city.calls.user[index], city.calls.sent_ms[index] / 1000
        latitude, longitude = city.users.at(moment)
        place = city.projection.to_meters(latitude[[user]], longitude[[user]])
        distances = np.hypot(*(meters - place).T)
        assert distances[city.problem.request[index, st.ORIGIN]] <= distances.min() + 1.0


def test_an_answer_follows_its_user_also_where_its_request_had_to_wait() -> None:
    city = city_of(scenario(calls=(CallConfig("see", per_user_hour=20.0, run_seconds=60.0),)))
    batch = play(CityBatch(city, answers=True), [HUB, HUB, HUB, 0, 0, 1])
    answer, request = batch.world.answer[0], city.problem.request
    ended = np.flatnonzero(answer[:, st.ANSWER_FLAGS] & st.WAS_FINISHED)
    assert (answer[ended, st.ANSWER_START_MS] > request[ended, st.SENT_MS] + 5_000).mean() > 0.5
    ends = zones_at(city.changes, city.calls.user[ended], answer[ended, st.ANSWER_START_MS] + request[ended, st.RUN_MS])
    followed = (answer[ended, st.ANSWER_FLAGS] & st.WAS_FOLLOWED) != 0
    assert np.array_equal(followed, ends != request[ended, st.ORIGIN])
    assert 0 < followed.sum() < len(ended) / 5


def test_requests_that_wait_are_handed_over_where_the_scenario_says_so() -> None:
    slow = replace(scenario().functions[0], start_seconds=120.0)
    found = []
    for hand_over in ("stay", "follow"):
        config = scenario(functions=(slow,), calls=scenario().calls[:1], hand_over=hand_over)
        found.append(play(CityBatch(city_of(config)), [OWN, OWN, OWN, 0, 0, 3], 40).handed_over())
    assert found[0] == 0 < found[1]


def test_a_far_user_takes_the_link_of_its_zone_for_longer() -> None:
    links = LinkConfig(access_mib_per_second=1.0, half_rate_meters=100.0)
    function = replace(scenario().functions[0], request_kib=100.0, answer_kib=10.0)
    city = city_of(scenario(functions=(function,), calls=CALLS, links=links))
    request = city.problem.request
    meters = city.projection.to_meters(city.sites.latitude, city.sites.longitude)
    for index in range(0, len(request), 20):
        latitude, longitude = city.users.at(city.calls.sent_ms[index] / 1000)
        user = city.calls.user[index]
        place = city.projection.to_meters(latitude[[user]], longitude[[user]])
        distance = np.hypot(*(meters[request[index, st.ORIGIN]] - place).T)[0]
        taken_ms = 100.0 / 1.024 * (1 + (distance / 100.0) ** 2)
        assert request[index, st.UP_MS] == pytest.approx(taken_ms, rel=0.02, abs=1.1)
        assert request[index, st.DOWN_MS] == pytest.approx(taken_ms / 10, rel=0.02, abs=1.1)


def test_calls_at_once_wait_for_each_other_on_the_link_of_their_zone() -> None:
    learn = replace(scenario().functions[1], request_kib=2000.0)
    calls = (CallConfig("learn", round_minutes=20.0, round_users=40, run_seconds=20.0),)
    spread = []
    for rate in (None, 4.0):
        config = scenario(functions=(learn,), calls=calls, links=LinkConfig(access_mib_per_second=rate))
        batch = play(CityBatch(city_of(config), log_rows=4000), [OWN, OWN, OWN, 2, 0, 2], 5)
        event = batch.take_events()
        reached = event[(event[:, 1] == log.REQUEST) & (event[:, 0] >= MORNING), 0]
        assert len(reached) == 40
        spread.append(int(np.ptp(reached)))
    assert spread[0] < 1_000 < spread[1]


def test_the_hazard_rule_knows_what_a_late_answer_a_boot_and_a_node_cost() -> None:
    calls = (CallConfig("see", per_user_hour=1.0, run_seconds=0.1),)
    quick, slow = (
        city_of(scenario(functions=(replace(scenario().functions[0], deadline_seconds=deadline),), calls=calls)).tables
        for deadline in (0.5, 60.0)
    )
    late_usd = scenario().prices.usd_per_late
    assert quick.cold_usd[0] == pytest.approx(slow.cold_usd[0] + late_usd, rel=0.01)
    assert (np.diff(quick.cold_usd) > 0).all()
    assert quick.keep_mw[0].tolist() == [5383, 55_383]


def test_rounds_call_as_many_users_at_once() -> None:
    city = city_of(scenario())
    for number in range(len(city.calls.round_share)):
        members = city.calls.round == number
        assert members.sum() == 5
        assert len(set(city.calls.sent_ms[members])) == 1
        assert len(set(city.calls.user[members])) == 5


def test_latency_grows_with_distance_and_the_cloud_is_far() -> None:
    city = city_of(scenario())
    latency, sites = city.problem.latency_ms, city.num_sites
    assert (np.diag(latency) == 5).all()
    assert (latency[:, sites] == 45).all()
    assert latency[:, :sites].max() < 45
    assert (latency[~np.eye(sites, sites + 1, dtype=bool)] > 5).all()


@pytest.mark.parametrize("route", [OWN, HUB, CENTER, CLOUD])
def test_requests_go_where_their_zone_is_routed(route: int) -> None:
    batch = play(CityBatch(city_of(scenario())), [route, route, route, 2, 0, 2])
    counts = batch.world.counts[0, :, st.REQUESTS] - batch._counts[0, :, st.REQUESTS]
    center = set(batch.city.tables.routes[:, CENTER].tolist())
    assert len(center) == 1
    places = {OWN: range(6), HUB: batch.city.hubs.tolist(), CENTER: center, CLOUD: [6]}[route]
    # A request that was sent before the episode may come to its old place in its first moment.
    assert counts[list(places)].sum() >= counts.sum() - 10
    assert counts.sum() > 100


def test_each_class_of_requests_has_its_own_route() -> None:
    functions = (*scenario().functions, replace(scenario().functions[0], name="talk", deadline_seconds=10.0))
    calls = (*scenario().calls, CallConfig("talk", per_user_hour=10.0, run_seconds=2.0))
    city = city_of(scenario(functions=functions, calls=calls))
    batch = play(CityBatch(city), [HUB, CLOUD, OWN, 2, 0, 2], 3)
    tight, batch_function, loose = batch.world.route[0].T
    assert np.array_equal(tight, city.tables.routes[:, HUB])
    assert np.array_equal(batch_function, np.arange(6))
    assert (loose == 6).all()
    later = city_of(scenario(functions=functions, calls=calls, loose_deadline_seconds=20.0))
    assert (play(CityBatch(later), [HUB, CLOUD, OWN, 2, 0, 2], 3).world.route[0, :, 2] == tight).all()


def test_a_site_sees_what_all_zones_of_its_hub_send_and_those_that_send_less() -> None:
    functions = (*scenario().functions, replace(scenario().functions[0], name="talk", deadline_seconds=10.0))
    calls = (*scenario().calls, CallConfig("talk", per_user_hour=30.0, run_seconds=2.0))
    city = city_of(scenario(functions=functions, calls=calls, sites=12, sites_per_hub=6))
    assert sorted(city.tables.member.tolist()) == list(range(12))
    batch = play(CityBatch(city), KEPT, 40)
    seen = {name: batch.observations[0, :, number].astype(float) for number, name in enumerate(feature_names())}
    scale = {feature.name: feature.scale for feature in FEATURES}
    rate = {name: scale[name] * value / (1 - value) for name, value in seen.items() if scale[name] > 0}
    hub, sent, loose = city.tables.routes[:, HUB], rate["zone_requests_10min"], rate["zone_loose_10min"]
    assert 0 < loose.sum() < sent.sum()
    for zone in range(12):
        area = hub == hub[zone]
        quieter = area & (sent <= sent[zone])
        assert rate["area_requests_10min"][zone] == pytest.approx(sent[area].sum(), rel=1e-3)
        assert rate["area_loose_10min"][zone] == pytest.approx(loose[area].sum(), rel=1e-3)
        assert rate["quieter_requests_10min"][zone] == pytest.approx(sent[quieter].sum(), rel=1e-3)
        assert rate["quieter_loose_10min"][zone] == pytest.approx(loose[quieter].sum(), rel=1e-3)
    assert rate["city_loose_10min"] == pytest.approx(loose.sum() / len(city.hubs), rel=1e-3)


def test_the_least_loaded_site_is_one_that_is_on() -> None:
    batch = play(CityBatch(city_of(scenario())), [LEAST_LOADED, LEAST_LOADED, LEAST_LOADED, 2, 0, 3])
    routed = batch.world.route[0]
    for zone in range(6):
        assert routed[zone, 0] in batch.city.tables.neighbours[zone]
        assert batch.world.node[0, batch.city.problem.place[routed[zone, 0], st.FIRST_NODE], st.NODE_STATE] == st.ON


def test_sites_sleep_when_their_zones_are_served_elsewhere_and_it_saves_energy() -> None:
    city = city_of(scenario())
    own, hub = (play(CityBatch(city), [route, route, route, 1, 0, 1]) for route in (OWN, HUB))
    others = np.setdiff1d(np.arange(6), city.hubs)
    state = hub.world.node[0, city.problem.place[others, st.FIRST_NODE], st.NODE_STATE]
    assert (state == st.OFF).all()
    assert hub.totals().energy_kwh < 0.7 * own.totals().energy_kwh
    assert (hub.world.node[0, :6, st.SLEEP_MS] == SLEEP_MS[1]).all()


def test_containers_that_are_held_spare_cold_starts() -> None:
    city = city_of(scenario())
    cold, held = (play(CityBatch(city), [OWN, OWN, OWN, 0, reserve, 3]).totals() for reserve in (0, 1))
    assert held.cold_share < cold.cold_share / 2
    assert held.late_share < cold.late_share


def test_nobody_awake_costs_nothing() -> None:
    city = city_of(scenario(calls=(CallConfig("see", per_user_hour=1.0, hourly=(0.0,) * 23 + (1.0,)),)))
    batch = play(CityBatch(city), [OWN, OWN, OWN, 2, 0, 1], start_ms=3 * 3_600_000)
    assert batch.totals().usd == 0.0
    assert batch.totals().energy_kwh == 0.0


def test_the_hazard_rule_learns_to_keep_what_is_called_often_and_to_drop_what_is_not() -> None:
    often = scenario(calls=(CallConfig("see", per_user_hour=30.0, run_seconds=0.1),), day_hours=(6.0, 12.0))
    seldom = replace(often, calls=(CallConfig("see", per_user_hour=0.2, run_seconds=0.1),))
    kept = []
    for config in (often, seldom):
        batch = play(CityBatch(city_of(config)), [OWN, OWN, OWN, 4, 0, 1], steps=180)
        kept.append(batch.world.control[0, :6, st.KEEP])
    assert np.median(kept[0]) >= 30_000
    assert np.median(kept[1][kept[1] != 600_000]) == 0  # of those that have seen gaps enough


def test_worlds_of_a_batch_are_independent_of_threads_and_of_each_other() -> None:
    city = city_of(scenario())
    alone, batch = CityBatch(city, 1, threads=1), CityBatch(city, 3, threads=2)
    play(alone, KEPT, 10)
    batch.begin(np.arange(3), np.array([MORNING, MORNING, MORNING + 3_600_000]))
    actions = np.tile(np.array(KEPT), (3, 6, 1))
    actions[1, :, 0] = HUB
    for _ in range(warm_up_steps(city) + 10):
        batch.step(actions)
    assert np.array_equal(alone.observations[0], batch.observations[0])
    assert alone.totals() == batch.totals(0)
    assert alone.totals() != batch.totals(1)


@pytest.mark.parametrize(
    "action", [KEPT, (HUB, HUB, CLOUD, 2, 0, 1), (CENTER, CLOUD, CLOUD, 2, 0, 1), (HUB, HUB, HUB, 0, 1, 3)]
)
def test_the_begin_of_an_episode_favours_no_action(action: tuple[int, ...]) -> None:
    # A city that has run for four hours under the same action costs as much as one whose episode begins now.
    hours = {begins: city_of(scenario(episode_seconds=(9 - begins) * 3600.0)) for begins in (4, 8)}
    usd = []
    for begins, city in hours.items():
        batch = play(CityBatch(city), action, (8 - begins) * 60, start_ms=begins * 3_600_000)
        before = batch.totals().usd
        for _ in range(60):
            batch.step(np.tile(np.array(action), (1, 6, 1)))
        usd.append(batch.totals().usd - before)
    assert usd[1] == pytest.approx(usd[0], rel=0.03)


def test_a_warm_up_is_decided_and_costs_nothing() -> None:
    register_envs()
    env = gymnasium.make("autoscaler/EdgeCity-v0", scenario=scenario())
    _, info = env.reset(options={"start_seconds": 28_800.0})
    city: Any = env.unwrapped
    moments, rewards, always_on = [info["time_seconds"]], [], np.tile((OWN, OWN, OWN, 3, 1, 3), 6)
    while info["warms_up"]:
        _, reward, _, _, info = env.step(always_on)
        moments.append(info["time_seconds"])
        rewards.append(reward)
        assert not info["site_rewards"].any()
    assert (moments[0], moments[-1], rewards) == (27_900.0, 28_800.0, [0.0] * 15)
    assert (city.totals().usd, city.totals().energy_kwh, city.totals().requests) == (0.0, 0.0, 0)
    assert (city._batch.world.node[0, :6, st.NODE_STATE] == st.ON).all()
    _, reward, *_ = env.step(always_on)
    assert reward == pytest.approx(-city.totals().usd)
    assert reward < 0.0


def test_terms_and_rewards_of_sites_sum_to_the_reward() -> None:
    register_envs()
    env = gymnasium.make("autoscaler/EdgeCity-v0", scenario=scenario())
    env.reset(seed=0)
    total, reward, truncated, info = 0.0, 0.0, False, dict[str, Any]()
    while not truncated:
        _, reward, _, truncated, info = env.step(env.action_space.sample())
        terms = sum(info[name] for name in ("energy_usd", "waiting_usd", "late_usd"))
        assert reward == pytest.approx(-terms, abs=1e-12)
        assert info["site_rewards"].sum() == pytest.approx(reward, abs=1e-12)
        total -= reward
    city: Any = env.unwrapped
    assert city.totals().usd == pytest.approx(total)
    with pytest.raises(UserError, match="call reset"):
        env.step(env.action_space.sample())


def test_the_preset_is_a_scenario() -> None:
    config = city_config("city/village")
    assert [function.name for function in config.functions] == ["vision", "learn"]
    assert config.calls[0].per_user_hour == 20.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"functions": (FunctionConfig("see", memory_mib=9000),), "calls": CALLS},
            "function see: its memory_mib is 9000",
        ),
        (
            {"functions": (FunctionConfig("see", layers=("basee",)),), "calls": CALLS},
            "function see: unknown layer 'basee'",
        ),
        ({"calls": (CallConfig("sea", per_user_hour=1.0),)}, "calls: unknown function 'sea'.*see"),
        ({"calls": ()}, "nobody calls a function"),
        ({"sites": 10**4}, "sites is 10000; grid-roads:village has 63 nodes"),
        ({"episode_seconds": 90_000.0}, "episode_seconds is 90000; calls are made for 24 hours"),
        ({"days": (3, 4)}, "days is 3 to 4; positions cover 1 days"),
        ({"roads": "grid-roads:vilage"}, "no preset 'vilage'"),
        ({"hand_over": "folow"}, "unknown hand_over 'folow'.*follow"),
    ],
)
def test_a_scenario_without_meaning_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as found:
        city_of(scenario(**changes))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("name", ["access_mib_per_second", "half_rate_meters"])
def test_a_link_without_a_rate_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=rf"links\.{name} is 0"):
        LinkConfig(**{name: 0.0})


def test_a_site_off_the_map_is_refused_or_left_out(tmp_path: Path) -> None:
    rows = "SITE_ID,LATITUDE,LONGITUDE\na,0.0,0.0\nb,0.001,0.001\nc,3,3\n"
    (tmp_path / "s.csv").write_text(rows)
    config = scenario(sites=f"csv-sites:{tmp_path}/s.csv")
    with pytest.raises(UserError, match=r"site c is .* m from the nearest road"):
        city_of(config)
    assert city_of(replace(config, off_map="leave_out")).sites.site_id == ("a", "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 1}, "unknown option 'start'.*start_seconds"),
        ({"start_seconds": "x"}, "must be a number"),
        ({"start_seconds": 1e9}, "episodes fit where it is 0 to 82800"),
    ],
)
def test_options_without_meaning_are_refused(options: dict[str, Any], message: str) -> None:
    register_envs()
    env = gymnasium.make("autoscaler/EdgeCity-v0", scenario=scenario())
    with pytest.raises(UserError, match=message):
        env.reset(options=options)


@pytest.mark.parametrize("action", [np.full(36, 9), np.zeros(7, np.int64), np.zeros(36)])
def test_an_action_outside_the_space_is_refused(action: Any) -> None:
    register_envs()
    env = gymnasium.make("autoscaler/EdgeCity-v0", scenario=scenario(), disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(InvalidActionError):
        env.step(action)


def test_a_cloudless_city_sends_to_its_hub_instead() -> None:
    city = city_of(scenario(cloud_nodes=()))
    assert (city.tables.routes[:, CLOUD] == city.tables.routes[:, HUB]).all()
    assert play(CityBatch(city), [CLOUD, CLOUD, CLOUD, 2, 0, 2], 5).totals().cloud_share == 0.0


def test_carbon_is_that_of_the_hour() -> None:
    city = city_of(scenario(carbon="synthetic-signal:solar?seed=0"))
    grams = []
    for hour in (3, 12):
        totals = play(CityBatch(city), KEPT, start_ms=hour * 3_600_000).totals()
        grams.append(totals.carbon_g / totals.energy_kwh)
    assert grams[1] < 0.97 * grams[0]
    with pytest.raises(UserError, match="a signal of price, not of carbon"):
        city_of(scenario(carbon="synthetic-signal:price?seed=0"))


def test_trips_are_on_the_roads_of_the_scenario_with_their_options() -> None:
    city = city_of(scenario(roads="grid-roads:village?columns=4&rows=4", sites=3))
    assert city.roads.num_nodes == 16
    _, distance = city.roads.nearest_nodes(city.users.latitude, city.users.longitude)
    assert distance.max() < 1e-3
    with pytest.raises(UserError, match=r"trips has no option 'user'.*users"):
        city_of(scenario(users="trips:*?user=3"))


def test_several_nodes_a_site_are_one_place() -> None:
    nodes = (NodeConfig(count=2, memory_mib=8000, gpus=1), NodeConfig(memory_mib=16_000, gpus=2))
    city = city_of(scenario(site_nodes=nodes))
    assert len(city.problem.node) == 6 * 3 + 2
    observations = play(CityBatch(city), KEPT, 5).observations
    assert observations.min() >= 0.0
    assert observations.max() <= 1.0
