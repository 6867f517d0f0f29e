"""Play policies on episodes of a city and tell what they cost and how long users wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from envs.containers import state as st
from envs.edge.batch import CityBatch, CityTotals
from envs.edge.city import City
from envs.edge.episodes import steps_of, warm_up_steps
from envs.edge.tables import BATCH
from envs.scores import Actor


@dataclass(frozen=True, slots=True)
class CityResult:
    """An episode under a policy.

    Attributes:
        start_seconds: when it began.
        hours: its length.
        totals: energy, carbon, cost, shares of cold starts and late answers.
        interactive_p50_ms: median response time of functions with a deadline, from the user and back.
        interactive_p95_ms: the 95th percentile.
        followed: share of the answers that went to another zone than their request came from.
        handed_over: requests that waited for a container and went on to another place as their user moved.
        rounds: federated rounds that began and were over in the episode.
        round_seconds: mean time until a round is over, NaN where there was none.
        straggler_seconds: mean time from then until its last answer, of rounds of which all answers came.
    """

    start_seconds: float
    hours: float
    totals: CityTotals
    interactive_p50_ms: float
    interactive_p95_ms: float
    followed: float
    handed_over: int
    rounds: int
    round_seconds: float
    straggler_seconds: float


def play(
    city: City,
    actor: Actor,
    starts_ms: Sequence[int],
    observe: Callable[[CityBatch], None] | None = None,
    log_rows: int = 0,
) -> list[CityResult]:
    """Play a policy of one site on episodes side by side.

    Args:
        city: the loaded scenario.
        actor: acts on the rows of all sites.
        starts_ms: when each episode begins.
        observe: called as the warm-up ends and after each step from there.
        log_rows: of the event log of each episode, which `observe` takes.
    """
    count, sites = len(starts_ms), city.num_sites
    batch = CityBatch(city, count, answers=True, log_rows=log_rows)
    batch.begin(np.arange(count), np.array(starts_ms, np.int64))
    actor.reset(count * sites)
    warm_up = warm_up_steps(city)
    for step in range(steps_of(city)):
        if observe is not None and step == warm_up:
            observe(batch)
        rows = batch.observations.reshape(count * sites, -1)
        actions = np.asarray(actor.act(rows, None), np.int64).reshape(count, sites, -1)
        batch.step(np.ascontiguousarray(actions))
        if observe is not None and step >= warm_up:
            observe(batch)
    return [_result(city, batch, world, int(start)) for world, start in enumerate(starts_ms)]


def _result(city: City, batch: CityBatch, world: int, start_ms: int) -> CityResult:
    request, end_ms = city.problem.request, int(batch.world.clock[world, st.NOW])
    answer = batch.world.answer[world]
    begins = (request[:, st.SENT_MS] >= start_ms) & (request[:, st.SENT_MS] < end_ms)
    # An answer that is on its way at the end was counted, its time is known.
    finished = begins & ((answer[:, st.ANSWER_FLAGS] & st.WAS_FINISHED) != 0)
    response = answer[:, st.ANSWER_END_MS] - request[:, st.SENT_MS]
    quick = finished & (city.tables.request_class[request[:, st.FUNCTION]] != BATCH)
    p50, p95 = np.percentile(response[quick], (50, 95)).tolist() if quick.any() else (0.0, 0.0)
    followed = (answer[:, st.ANSWER_FLAGS] & st.WAS_FOLLOWED) != 0
    over, late = _rounds(city, begins, finished, response)
    return CityResult(
        start_seconds=start_ms / 1000,
        hours=(end_ms - start_ms) / 3.6e6,
        totals=batch.totals(world),
        interactive_p50_ms=p50,
        interactive_p95_ms=p95,
        followed=float(followed[finished].mean()) if finished.any() else 0.0,
        handed_over=batch.handed_over(world),
        rounds=len(over),
        round_seconds=float(np.mean(over)) / 1000 if over else float("nan"),
        straggler_seconds=float(np.mean(late)) / 1000 if late else float("nan"),
    )


def _rounds(
    city: City, begins: np.ndarray, finished: np.ndarray, response: np.ndarray
) -> tuple[list[float], list[float]]:
    """Of each round: ms until the share of answers that ends it, and from then to its last answer."""
    calls, over, late = city.calls, list[float](), list[float]()
    members = np.flatnonzero(begins & (calls.round >= 0))
    for number in np.unique(calls.round[members]).tolist():
        mine = members[calls.round[members] == number]
        answered = np.sort(response[mine[finished[mine]]])
        wanted = int(np.ceil(calls.round_share[number] * len(mine)))
        if len(answered) < wanted:
            continue
        over.append(float(answered[wanted - 1]))
        if len(answered) == len(mine):
            late.append(float(answered[-1] - answered[wanted - 1]))
    return over, late
