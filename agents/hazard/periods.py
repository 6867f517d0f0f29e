"""Idle periods of functions, as policies see them when they begin, and how long they were."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from envs.containers import state as st
from envs.containers.state import Table
from envs.serverless import state as sv
from envs.serverless.codec import KEEP_MS, NEVER, SLEEP_MS
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import ServerlessSimulator

KEEP_FOR_EVER = (KEEP_MS.index(st.FOREVER), NEVER, SLEEP_MS.index(st.FOREVER), 0)
"""The action under which nobody waits, so that requests and run times alone make idle periods."""
TIME, DEMAND, FUNCTION, EPISODE = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class Periods:
    """N idle periods: of a container's function, at the demand that the container is for.

    Attributes:
        observations: [N, features] float32, when each began.
        idle_ms: [N] float64, how long each was.
        came: [N] bool, whether a request ended it; else the episode did.
        function: [N] int64, whose it is.
        keep_usd_per_ms: [N] float64, what keeping a container of the function costs.
        begun_ms: [N] float64, since its episode began.
        weight: [N] float64, for how many periods of the function it stands.
    """

    observations: NDArray[np.float32]
    idle_ms: NDArray[np.float64]
    came: NDArray[np.bool_]
    function: NDArray[np.int64]
    keep_usd_per_ms: NDArray[np.float64]
    begun_ms: NDArray[np.float64]
    weight: NDArray[np.float64]

    def __len__(self) -> int:
        """Periods."""
        return len(self.idle_ms)

    def joined(self, other: Periods) -> Periods:
        """These and others, of other functions, whose numbers go on after those of these."""
        first = int(self.function.max(initial=-1)) + 1
        after = replace(other, function=other.function + first)
        return Periods(*(np.concatenate([getattr(self, name), getattr(after, name)]) for name in Periods.__slots__))

    def chosen(self, which: NDArray[np.bool_]) -> Periods:
        """Those that are chosen, [N] bool."""
        return Periods(*(getattr(self, name)[which] for name in Periods.__slots__))


def idle_periods(problem: ServerlessProblem, most: int, rng: np.random.Generator) -> Periods:
    """The idle periods of a workload's functions, in equal episodes of it.

    Args:
        problem: the workload.
        most: periods of a function, on average; others are left out at random.
        rng: as above.
    """
    pool = tuple(replace(node, boot_seconds=0.0) for node in problem.config.pool)
    config = replace(problem.config, pool=pool, part="all", most_per_hour=None, warm_up_seconds=0.0, admission="all")
    problem = serverless_problem(problem.invocations, config)
    windows = problem.windows(max(1, problem.span_ms // problem.episode_ms))
    share = np.minimum(1.0, most / np.maximum(np.bincount(problem.containers.request[:, st.FUNCTION]), 1))
    observations, decided = _decisions(problem, windows, share, rng)
    idle_ms, came = _outcomes(problem, windows, decided)
    function = decided[:, FUNCTION]
    return Periods(
        observations=observations,
        idle_ms=idle_ms,
        came=came,
        function=function,
        keep_usd_per_ms=problem.serverless.about[function, sv.KEEP_USD_PER_MS],
        begun_ms=(decided[:, TIME] - windows[decided[:, EPISODE], 0]).astype(np.float64),
        weight=1.0 / share[function],
    )


def _decisions(
    problem: ServerlessProblem, windows: Table, share: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float32], Table]:
    """[N, features] what was seen at decisions, and [N, 4] when, at which demand, of which function and episode.

    Args:
        problem: the workload.
        windows: [episodes, 4] int64.
        share: [functions] of the decisions of each that are kept.
        rng: says which.
    """
    count = len(windows)
    simulator, episodes = ServerlessSimulator(problem, count), np.arange(count)
    simulator.begin_all(windows)
    world, actions = simulator.world, np.tile(np.array(KEEP_FOR_EVER, np.int64), (count, 1))
    seen, decided = [], []
    while not simulator.done.all():
        function = world.container[episodes, world.clock[:, st.PENDING], st.KEY]
        kept = np.flatnonzero(~simulator.done & (rng.random(count) < share[function]))
        if len(kept):
            function = function[kept]
            row = world.key[kept, function]
            demand = row[:, st.RUNNING] + row[:, st.QUEUED] + 1
            seen.append(simulator.observations[kept].copy())
            decided.append(np.stack([world.clock[kept, st.NOW], demand, function, kept], axis=1))
        simulator.step(actions)
    return np.concatenate(seen), np.concatenate(decided)


def _outcomes(
    problem: ServerlessProblem, windows: Table, decided: Table
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """[N] ms until the demand was again what it was before it fell, or until the episode ended; and which of these."""
    idle_ms, came = np.empty(len(decided)), np.zeros(len(decided), np.bool_)
    requests = problem.containers.request
    order = np.lexsort((decided[:, TIME], decided[:, FUNCTION], decided[:, EPISODE]))
    cuts = np.flatnonzero(np.diff(decided[order][:, [FUNCTION, EPISODE]], axis=0).any(axis=1)) + 1
    for rows in np.split(order, cuts):
        function, (_, end, first, last) = decided[rows[0], FUNCTION], windows[decided[rows[0], EPISODE]]
        own = requests[first:last][requests[first:last, st.FUNCTION] == function]
        begins, ends = own[:, st.SENT_MS], np.sort(own[:, st.SENT_MS] + own[:, st.RUN_MS])
        demands = np.arange(1, len(own) + 1) - np.searchsorted(ends, begins, side="right")
        for demand in np.unique(decided[rows, DEMAND]):
            these = rows[decided[rows, DEMAND] == demand]
            times = np.append(begins[demands >= demand], st.FOREVER)
            following = times[np.searchsorted(times, decided[these, TIME])]
            came[these] = following < end
            idle_ms[these] = np.minimum(following, end) - decided[these, TIME]
    return idle_ms, came
