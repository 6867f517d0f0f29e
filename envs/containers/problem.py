"""From what users describe to the arrays that kernels read, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from envs.containers import state as st
from envs.containers.config import MEGABYTE, FunctionConfig, LayerConfig, NodeConfig, PlaceConfig
from envs.containers.state import Problem, Table
from envs.errors import EnvironmentConfigError

UJ_PER_KWH = 3.6e12
GRAMS_PER_TONNE = 1e6
FIRST_MS = -(1 << 62)


class Moves(NamedTuple):
    """Where users are: U users, M moves.

    Attributes:
        first_origin: [U] int64, before the first move of each.
        move: [M, MOVE_COLUMNS] int64, by time.
    """

    first_origin: NDArray[np.int64]
    move: Table


class Tariff(NamedTuple):
    """What energy costs and emits in each place, piecewise constant in time: B pieces, P places.

    Attributes:
        edges_ms: [B] int64, when each piece begins, ascending; the first is taken to begin before every time.
        usd_per_kwh: [B, P] float64.
        g_per_kwh: [B, P] float64.
    """

    edges_ms: NDArray[np.int64]
    usd_per_kwh: NDArray[np.float64]
    g_per_kwh: NDArray[np.float64]


def constant_tariff(usd_per_kwh: float, g_per_kwh: float, num_places: int) -> Tariff:
    """The same price and carbon intensity everywhere and always."""
    shape = (1, num_places)
    return Tariff(np.zeros(1, np.int64), np.full(shape, usd_per_kwh), np.full(shape, g_per_kwh))


def make_requests(
    sent_ms: NDArray[np.int64],
    function: NDArray[np.int64],
    run_ms: NDArray[np.int64],
    origin: NDArray[np.int64] | None = None,
    user: NDArray[np.int64] | None = None,
    deadline_ms: NDArray[np.int64] | None = None,
    up_ms: NDArray[np.int64] | None = None,
    down_ms: NDArray[np.int64] | None = None,
) -> Table:
    """Requests as `Problem.request` has them.

    Args:
        sent_ms: [I] int64, when each is sent.
        function: [I] int64, its function.
        run_ms: [I] int64, how long a container takes.
        origin: [I] int64, where it is sent from; None: 0 for all.
        user: [I] int64, whom the answer follows; None: it goes where the request was sent from.
        deadline_ms: [I] int64, in which it is to be answered, 0: that of its function; None: likewise for all.
        up_ms: [I] int64, how long it takes the link of its user's origin for itself; None: 0 for all.
        down_ms: [I] int64, likewise for its answer.

    Raises:
        EnvironmentConfigError: times go backwards or a run time is negative.
    """
    if (run_ms < 0).any():
        first = int(np.argmax(run_ms < 0))
        raise EnvironmentConfigError(f"request {first}: its run time is {run_ms[first]} ms; it must be at least 0")
    if (np.diff(sent_ms) < 0).any():
        first = int(np.argmax(np.diff(sent_ms) < 0)) + 1
        raise EnvironmentConfigError(
            f"request {first}: is sent at {sent_ms[first]} ms, before the one in front of it; sort requests by time"
        )
    rows = np.zeros((len(sent_ms), st.REQUEST_COLUMNS), np.int64)
    rows[:, st.SENT_MS], rows[:, st.FUNCTION], rows[:, st.RUN_MS] = sent_ms, function, run_ms
    rows[:, st.USER] = st.NOBODY
    columns = {st.ORIGIN: origin, st.USER: user, st.DEADLINE_MS: deadline_ms, st.UP_MS: up_ms, st.DOWN_MS: down_ms}
    for column, values in columns.items():
        if values is not None:
            rows[:, column] = values
    return rows


def make_problem(
    functions: Sequence[FunctionConfig],
    layers: Sequence[LayerConfig],
    places: Sequence[PlaceConfig],
    request: Table,
    tariff: Tariff,
    *,
    latency_ms: Table | None = None,
    moves: Moves | None = None,
    hand_over: str = "stay",
    usd_per_tonne: float = 0.0,
    admission: str = "all",
    shares: Mapping[int, tuple[int, int]] | None = None,
) -> Problem:
    """The arrays of a problem.

    Args:
        functions: by number.
        layers: of their images.
        places: by number.
        request: [I, REQUEST_COLUMNS] int64, see `make_requests`.
        tariff: of the places.
        latency_ms: [Z, P] int64, from an origin to a place, one way; None: one origin, 0.
        moves: of the users; None: there are none.
        hand_over: what becomes of a request that waits when its user moves to where another place serves it, one of
            `envs.containers.state.HAND_OVERS`: it stays, is sent on, or is sent on if a container is free there.
        usd_per_tonne: price of a tonne of CO2e.
        admission: which requests are taken, one of `envs.containers.state.ADMISSIONS`.
        shares: function -> number of its next larger share and run time there, in millionths of what requests say.

    Raises:
        EnvironmentConfigError: a function names a layer that there is not, fits no node, or a request names a function,
            an origin or a user that there is not; or `minimum-share` cannot be planned, see `_check_shares`.
    """
    latency = np.zeros((1, len(places)), np.int64) if latency_ms is None else np.ascontiguousarray(latency_ms, np.int64)
    moves = Moves(np.zeros(0, np.int64), np.zeros((0, st.MOVE_COLUMNS), np.int64)) if moves is None else moves
    first, of = _layers(functions, layers)
    node, place = _places(places)
    rows = _functions(functions)
    for number, (larger, run_ppm) in (shares or {}).items():
        rows[number, st.NEXT_SHARE], rows[larger, st.RUN_PPM] = larger, run_ppm
    problem = Problem(
        function=rows,
        layer_first=first,
        layer_of=of,
        layer_bytes=np.array([_bytes(layer.mib) for layer in layers] or [0], np.int64),
        node=node,
        place=place,
        request=np.array(request, np.int64),
        first_origin=moves.first_origin,
        move=moves.move,
        hand_over=st.HAND_OVERS.index(hand_over),
        latency_ms=latency,
        edges_ms=np.concatenate([[FIRST_MS], tariff.edges_ms[1:]]).astype(np.int64),
        usd_per_uj=(tariff.usd_per_kwh + tariff.g_per_kwh * (usd_per_tonne / GRAMS_PER_TONNE)) / UJ_PER_KWH,
        g_per_uj=tariff.g_per_kwh / UJ_PER_KWH,
        admission=st.ADMISSIONS.index(admission),
    )
    _check_fits(problem, functions, [place.name for place in places])
    _check_requests(problem)
    _check_shares(problem, functions)
    deadlines = np.array([round(1000 * (function.deadline_seconds or 0.0)) for function in functions], np.int64)
    column = problem.request[:, st.DEADLINE_MS]
    column[:] = np.where(column == 0, deadlines[problem.request[:, st.FUNCTION]], column)
    return problem


def _bytes(mib: float) -> int:
    return max(1, round(mib * MEGABYTE))


def _functions(functions: Sequence[FunctionConfig]) -> Table:
    rows = np.zeros((len(functions), st.FUNCTION_COLUMNS), np.int64)
    for row, function in zip(rows, functions, strict=True):
        row[st.MEMORY], row[st.CPU], row[st.GPU] = round(function.memory_mib), function.cpu_milli, function.gpu_milli
        row[st.START_MS] = round(1000 * function.start_seconds) + round(1000 * function.load_seconds)
        row[st.CONCURRENCY] = function.concurrency
        row[st.REQUEST_BYTES] = round(1024 * function.request_kib)
        row[st.START_MW] = round(1000 * function.start_power_watts)
        row[st.WARM_MW] = round(1000 * function.warm_power_watts)
        row[st.BUSY_MW] = round(1000 * function.busy_power_watts)
    return rows


def _layers(
    functions: Sequence[FunctionConfig], layers: Iterable[LayerConfig]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    numbers = {layer.name: number for number, layer in enumerate(layers)}
    first, of = [0], []
    for function in functions:
        for name in function.layers:
            if name not in numbers:
                raise EnvironmentConfigError(
                    f"function {function.name}: unknown layer {name!r}{did_you_mean(name, numbers)}"
                )
            of.append(numbers[name])
        if len(set(function.layers)) < len(function.layers):
            raise EnvironmentConfigError(f"function {function.name}: layers names one twice; leave one of them out")
        first.append(len(of))
    return np.array(first, np.int64), np.array(of or [0], np.int64)


def _node(place: int, node: NodeConfig) -> list[int]:
    row = [0] * st.NODE_COLUMNS
    row[st.PLACE], row[st.NODE_MEMORY], row[st.NODE_CPU] = place, round(node.memory_mib), node.cpu_milli
    row[st.NODE_GPU], row[st.OFF_MW], row[st.IDLE_MW] = (
        1000 * node.gpus,
        round(1000 * node.off_watts),
        round(1000 * node.idle_watts),
    )
    row[st.BOOT_MW] = round(1000 * (node.idle_watts if node.boot_watts is None else node.boot_watts))
    row[st.BOOT_MS], row[st.CACHE_BYTES] = round(1000 * node.boot_seconds), _bytes(node.cache_mib)
    row[st.PULL_RATE] = max(1, round(node.pull_mib_per_second * MEGABYTE / 1000))
    return row


def _places(places: Sequence[PlaceConfig]) -> tuple[Table, Table]:
    nodes: list[list[int]] = []
    rows = np.zeros((len(places), st.PLACE_COLUMNS), np.int64)
    for number, place in enumerate(places):
        rows[number, st.FIRST_NODE] = len(nodes)
        for kind in place.nodes:
            nodes += [_node(number, kind)] * kind.count
        rows[number, st.END_NODE] = len(nodes)
        if place.link_mib_per_second is not None:
            rows[number, st.LINK_RATE] = max(1, round(place.link_mib_per_second * MEGABYTE / 1000))
    return np.array(nodes, np.int64), rows


def sleep_ms(places: Sequence[PlaceConfig]) -> NDArray[np.int64]:
    """[N] int64, the idle time-out that each node is described with."""
    kinds = [kind for place in places for kind in place.nodes for _ in range(kind.count)]
    times = [st.FOREVER if kind.sleep_seconds is None else round(1000 * kind.sleep_seconds) for kind in kinds]
    return np.array(times, np.int64)


def _check_fits(problem: Problem, functions: Sequence[FunctionConfig], places: Sequence[str]) -> None:
    """Refuse functions that could never start."""
    names = {
        "memory_mib": (st.MEMORY, st.NODE_MEMORY),
        "cpu_milli": (st.CPU, st.NODE_CPU),
        "gpu_milli": (st.GPU, st.NODE_GPU),
    }
    for place in range(len(problem.place)):
        nodes = problem.node[problem.node[:, st.PLACE] == place]
        wanted = problem.function[:, None, [st.MEMORY, st.CPU, st.GPU]]
        fits = (wanted <= nodes[None, :, [st.NODE_MEMORY, st.NODE_CPU, st.NODE_GPU]]).all(axis=2).any(axis=1)
        if fits.all():
            continue
        number = int(np.argmin(fits))
        for name, (ours, theirs) in names.items():
            most = int(nodes[:, theirs].max())
            if problem.function[number, ours] > most:
                raise EnvironmentConfigError(
                    f"function {functions[number].name}: its {name} is {problem.function[number, ours]}, and the "
                    f"largest node of {places[place]} has {most}; give it less, or a larger node"
                )
        raise EnvironmentConfigError(
            f"function {functions[number].name}: no node of {places[place]} has its memory, CPUs and GPUs together"
        )


def _check_shares(problem: Problem, functions: Sequence[FunctionConfig]) -> None:
    """Refuse what cannot be planned: a container that takes several requests, and requests that change their place."""
    if problem.admission != st.ADMITS_SHARE:
        return
    for function, row in zip(functions, problem.function, strict=True):
        if row[st.CONCURRENCY] > 1:
            raise EnvironmentConfigError(
                f"function {function.name}: concurrency is {row[st.CONCURRENCY]}; admission by minimum-share plans "
                "containers of one request each, so it must be 1"
            )
    if problem.hand_over != st.STAYS:
        raise EnvironmentConfigError("admission by minimum-share needs hand_over: stay, as shares belong to a place")


def _check_requests(problem: Problem) -> None:
    for name, column, end in (
        ("function", st.FUNCTION, len(problem.function)),
        ("origin", st.ORIGIN, len(problem.latency_ms)),
        ("user", st.USER, len(problem.first_origin)),
    ):
        values = problem.request[:, column]
        wrong = (values < (st.NOBODY if column == st.USER else 0)) | (values >= end)
        if wrong.any():
            first = int(np.argmax(wrong))
            raise EnvironmentConfigError(f"request {first}: there is no {name} {values[first]}; the last is {end - 1}")
