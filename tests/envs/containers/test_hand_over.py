"""Requests whose users move on while they wait, and the links that they are sent over."""

from __future__ import annotations

import numpy as np
import pytest

from configs.errors import UserError
from envs.containers import state as st
from envs.containers.config import FunctionConfig, NodeConfig, PlaceConfig
from envs.containers.problem import Moves, constant_tariff, make_problem, make_requests
from envs.containers.simulator import Simulator
from envs.containers.state import Problem

START_MS = 4_000
LATENCY_MS = np.array([[10, 30], [30, 10]])


def problem(hand_over: str = "stay", moves: tuple[tuple[int, int, int], ...] = (), **columns: list[int]) -> Problem:
    """Two places with an origin each; requests of user 0, who is at origin 0 first, at 0 ms or the times given."""
    sent = np.array(columns.pop("sent", [0]))
    count = len(sent)
    request = make_requests(
        sent,
        np.zeros(count, np.int64),
        np.full(count, 100),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        **{name: np.array(values) for name, values in columns.items()},
    )
    node = NodeConfig(memory_mib=1024, cpu_milli=1000, boot_seconds=0.0)
    return make_problem(
        [FunctionConfig("see", start_seconds=START_MS / 1000)],
        [],
        [PlaceConfig("west", [node]), PlaceConfig("east", [node])],
        request,
        constant_tariff(0.1, 0.0, 2),
        latency_ms=LATENCY_MS,
        moves=Moves(np.zeros(1, np.int64), np.array(moves, np.int64).reshape(-1, 3)),
        hand_over=hand_over,
    )


def played(problem: Problem, until: int = 60_000) -> Simulator:
    simulator = Simulator(problem, np.full(2, st.FOREVER), answers=True, log_rows=200)
    simulator.control[:, :, st.KEEP] = st.FOREVER
    simulator.route[0, :, 0] = [0, 1]
    simulator.reset()
    simulator.run_until(until)
    assert simulator.broken() == ""
    return simulator


def events(simulator: Simulator) -> list[tuple[int, str, int]]:
    table = simulator.events().select(["time_ms", "event", "place"]).to_pylist()
    return [(row["time_ms"], row["event"], row["place"]) for row in table]


def test_the_answer_to_a_request_that_waited_goes_to_where_its_user_has_moved_meanwhile():
    stayed, moved = played(problem()), played(problem(moves=((3_000, 0, 1),)))
    assert stayed.results().answers[0, st.ANSWER_END_MS] == 10 + START_MS + 100 + 10
    assert moved.results().answers[0, st.ANSWER_END_MS] == 10 + START_MS + 100 + 30
    assert moved.results().total("followed") == 1
    assert moved.results().total("handed_over") == 0


def test_a_request_that_waits_is_handed_over_and_the_container_in_flight_is_there_for_the_next():
    simulator = played(problem("follow", ((3_000, 0, 1), (20_000, 0, 0)), sent=[0, 30_000]))
    results = simulator.results()
    first, second = results.answers
    assert (first[st.ANSWER_PLACE], second[st.ANSWER_PLACE]) == (1, 0)
    assert first[st.ANSWER_END_MS] == 3_000 + 10 + START_MS + 100 + 10
    assert second[st.ANSWER_END_MS] == 30_000 + 10 + 100 + 10  # by the container that was pulled for the first
    assert results.total("handed_over") == 1
    assert results.total("starts") == 2
    assert results.total("cold") == 1
    assert [event for event in events(simulator) if event[1] in ("handed_over", "request")] == [
        (10, "request", 0),
        (3_000, "handed_over", 0),
        (3_010, "request", 1),
        (30_010, "request", 0),
    ]


@pytest.mark.parametrize(("is_warm", "place"), [(False, 0), (True, 1)])
def test_a_request_can_be_handed_over_only_to_a_container_that_is_free(is_warm, place):
    moves = ((15_000, 0, 0), (23_000, 0, 1))
    given = problem("if_free", moves, sent=[1_000, 20_000])
    given.first_origin[:] = 1 if is_warm else 0
    if not is_warm:
        given.request[0, st.SENT_MS] = 20_000  # nobody has warmed the east up
    answers = played(given).results().answers
    assert answers[1, st.ANSWER_PLACE] == place


def test_time_on_the_link_of_an_origin_makes_the_next_request_wait_for_it():
    simulator = played(problem(sent=[0, 0, 500], up_ms=[50, 50, 50], down_ms=[0, 0, 7]))
    reached = [time for time, event, _ in events(simulator) if event == "request"]
    assert reached == [60, 110, 560]
    last = simulator.results().answers[2]
    assert last[st.ANSWER_END_MS] == last[st.ANSWER_START_MS] + 100 + 10 + 7


def test_an_episode_begins_where_users_are_by_then():
    simulator = Simulator(problem(moves=((500, 0, 1),), sent=[0, 1_000]), np.full(2, st.FOREVER), answers=True)
    simulator.route[0, :, 0] = [0, 1]
    simulator.reset(start_ms=1_000)
    simulator.run_until(20_000)
    assert simulator.results().answers[1, st.ANSWER_PLACE] == 1


def test_a_request_of_a_user_that_there_is_not_is_refused():
    given = problem()
    given.request[0, st.USER] = 1
    with pytest.raises(UserError, match="request 0: there is no user 1; the last is 0"):
        make_problem(
            [FunctionConfig("see")],
            [],
            [PlaceConfig("west")],
            given.request,
            constant_tariff(0.1, 0.0, 1),
            moves=Moves(given.first_origin, given.move),
        )
