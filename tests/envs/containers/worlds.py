"""Small worlds of containers, made so that many things happen at the same ms."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as some

from envs.containers import state as st
from envs.containers.problem import make_requests
from envs.containers.state import FOREVER, Problem


def function_row(draw) -> list[int]:
    row = [0] * st.FUNCTION_COLUMNS
    row[st.MEMORY], row[st.CPU], row[st.GPU] = (
        draw(some.integers(1, 6)),
        draw(some.integers(0, 4)),
        draw(some.integers(0, 3)),
    )
    row[st.START_MS], row[st.CONCURRENCY] = draw(some.integers(0, 6)), draw(some.sampled_from([1, 1, 2]))
    row[st.REQUEST_BYTES] = draw(some.sampled_from([0, 0, 3]))
    row[st.START_MW], row[st.WARM_MW], row[st.BUSY_MW] = 3, 2, 7
    return row


def function_rows(draw, functions: int, admission: int) -> np.ndarray:
    """Rows of functions; where shares are chosen some are the larger share of one before them."""
    rows = np.array([function_row(draw) for _ in range(functions)], np.int64)
    if admission == st.ADMITS_SHARE:
        rows[:, st.CONCURRENCY] = 1
        for number in range(functions - 1):
            if draw(some.booleans()):
                rows[number, st.NEXT_SHARE] = number + 1
                rows[number + 1, st.RUN_PPM] = draw(some.sampled_from([250_000, 333_333, 700_000]))
    return rows


def node_row(draw, place: int) -> list[int]:
    row = [0] * st.NODE_COLUMNS
    row[st.PLACE], row[st.NODE_MEMORY] = place, draw(some.integers(6, 14))
    row[st.NODE_CPU], row[st.NODE_GPU] = draw(some.integers(4, 12)), draw(some.integers(3, 8))
    row[st.OFF_MW], row[st.IDLE_MW], row[st.BOOT_MW] = draw(some.sampled_from([0, 1])), 50, 60
    row[st.BOOT_MS], row[st.PULL_RATE] = draw(some.integers(0, 7)), draw(some.integers(1, 4))
    row[st.CACHE_BYTES] = draw(some.integers(2, 20))
    return row


@some.composite
def problems(draw) -> Problem:
    functions, layers = draw(some.integers(1, 4)), draw(some.integers(1, 4))
    places, origins = draw(some.integers(1, 2)), draw(some.integers(1, 2))
    nodes, place_rows = [], []
    for place in range(places):
        count = draw(some.integers(1, 3))
        place_rows.append([len(nodes), len(nodes) + count, draw(some.sampled_from([0, 0, 2]))])
        nodes += [node_row(draw, place) for _ in range(count)]
    images = [draw(some.lists(some.integers(0, layers - 1), unique=True, max_size=3)) for _ in range(functions)]
    times = sorted(draw(some.lists(some.integers(0, 60), max_size=25)))
    count = len(times)

    def column(low: int, high: int) -> np.ndarray:
        return np.array(draw(some.lists(some.integers(low, high), min_size=count, max_size=count)), np.int64)

    users = draw(some.integers(0, 2))
    moves = sorted(
        draw(some.lists(some.tuples(some.integers(0, 60), some.integers(0, users - 1)), max_size=12)) if users else []
    )
    pieces = draw(some.integers(1, 3))
    admission = draw(some.sampled_from([st.ADMITS_ALL, st.ADMITS_NOW, st.ADMITS_SHARE, st.ADMITS_SHARE]))
    hand_overs = [st.STAYS, st.FOLLOWS, st.FOLLOWS, st.FOLLOWS_IF_FREE] if admission != st.ADMITS_SHARE else [st.STAYS]
    return Problem(
        function=function_rows(draw, functions, admission),
        layer_first=np.cumsum([0, *map(len, images)]).astype(np.int64),
        layer_of=np.array([layer for image in images for layer in image] or [0], np.int64),
        layer_bytes=np.array([draw(some.integers(1, 8)) for _ in range(layers)], np.int64),
        node=np.array(nodes, np.int64),
        place=np.array(place_rows, np.int64),
        request=make_requests(
            np.array(times, np.int64),
            column(0, functions - 1),
            column(0, 9),
            column(0, origins - 1),
            column(-1, users - 1),
            5 * column(0, 6),
            column(0, 2),
            column(0, 2),
        ),
        first_origin=np.array([draw(some.integers(0, origins - 1)) for _ in range(users)], np.int64),
        move=np.array([[*move, draw(some.integers(0, origins - 1))] for move in moves], np.int64).reshape(-1, 3),
        hand_over=draw(some.sampled_from(hand_overs)),
        latency_ms=np.array([[draw(some.sampled_from([0, 0, 3])) for _ in range(places)] for _ in range(origins)]),
        edges_ms=np.array([-(1 << 62), 20, 40][:pieces], np.int64),
        usd_per_uj=np.array([[0.1, 0.3]] * 3)[:pieces, :places] * np.arange(1, pieces + 1)[:, None],
        g_per_uj=np.ones((pieces, places)),
        admission=admission,
    )


TIMES = some.sampled_from([0, 0, 1, 3, 8, 20, FOREVER])


@some.composite
def controls(draw, problem: Problem) -> np.ndarray:
    keys = len(problem.function) * len(problem.place)
    rows = [[draw(TIMES), draw(TIMES), draw(some.sampled_from([0, 0, 0, 1, 2]))] for _ in range(keys)]
    return np.array(rows, np.int64)


@some.composite
def routes(draw, problem: Problem) -> np.ndarray:
    shape = len(problem.latency_ms), len(problem.function)
    return np.array(
        [[draw(some.integers(0, len(problem.place) - 1)) for _ in range(shape[1])] for _ in range(shape[0])]
    )


@some.composite
def sleeps(draw, problem: Problem) -> np.ndarray:
    return np.array([draw(TIMES) for _ in problem.node], np.int64)
