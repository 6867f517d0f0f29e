"""Who calls what, when and from where: requests of moving users, and federated rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from envs.containers.config import FunctionConfig
from envs.containers.problem import Moves
from envs.edge.config import CallConfig, CityConfig
from envs.edge.tables import BATCH, LOOSE, TIGHT
from envs.errors import EnvironmentConfigError
from traces.mobility import ZoneChanges

DAY_SECONDS = 86_400.0
MOST_CALLS = 50_000_000

Integers = NDArray[np.int64]


class Calls(NamedTuple):
    """I requests by the time at which they are sent.

    Attributes:
        sent_ms: [I] int64.
        function: [I] int64, number of the function.
        run_ms: [I] int64.
        user: [I] int64, who sends it.
        round: [I] int64, number of its federated round; -1: it is of none.
        round_share: [rounds] float64, share of the answers with which each round is over.
    """

    sent_ms: Integers
    function: Integers
    run_ms: Integers
    user: Integers
    round: Integers
    round_share: NDArray[np.float64]


def make_calls(config: CityConfig, users: int, span_days: float, generator: np.random.Generator) -> Calls:
    """Calls of all users on the days, and in the hours, that the scenario names.

    Args:
        config: the scenario.
        users: how many.
        span_days: what positions cover.
        generator: of all random numbers.

    Raises:
        EnvironmentConfigError: calls name a function that there is not, nobody calls, or there are too many calls.
    """
    names = [function.name for function in config.functions]
    parts: list[tuple[Integers, ...]] = []
    shares: list[float] = []
    for call in config.calls:
        number = _number(call.function, names)
        expected = call.per_user_hour * users * 24 * span_days
        if expected > MOST_CALLS:
            raise EnvironmentConfigError(
                f"calls of {call.function}: {users:,} users would make {expected:,.0f} calls, more than "
                f"{MOST_CALLS:,}; lower per_user_hour, users or days"
            )
        for sent, user, turn in _sent(config, call, users, span_days, generator, shares):
            run = np.exp(np.log(call.run_seconds) + call.run_sigma * generator.standard_normal(len(sent)))
            taken = np.maximum(np.round(1000 * run), 1).astype(np.int64)
            parts.append((np.round(1000 * sent).astype(np.int64), np.full(len(sent), number), taken, user, turn))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else []
    if not columns or not len(columns[0]):
        raise EnvironmentConfigError("nobody calls a function: set per_user_hour or round_minutes of one of the calls")
    order = np.argsort(columns[0], kind="stable")
    sent_ms, function, run_ms, caller, turns = (np.asarray(column[order], np.int64) for column in columns)
    return Calls(sent_ms, function, run_ms, caller, turns, np.array(shares, np.float64))


def _number(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise EnvironmentConfigError(f"calls: unknown function {name!r}{did_you_mean(name, names)}")
    return names.index(name)


def _sent(
    config: CityConfig,
    call: CallConfig,
    users: int,
    span_days: float,
    generator: np.random.Generator,
    shares: list[float],
) -> list[tuple[NDArray[np.float64], Integers, Integers]]:
    """Seconds, user and round of calls, in parts: those of users by the hour, then the rounds."""
    found = []
    start, end = config.day_hours
    for day in _days(config, span_days):
        for hour in range(int(start), int(np.ceil(end))):
            low, high = max(hour, start), min(hour + 1, end, 24 * (span_days - day))
            rate = call.per_user_hour * call.hourly[hour] * users * max(high - low, 0.0)
            count = int(generator.poisson(rate))
            sent = (day * 24 + low + (high - low) * generator.random(count)) * 3600
            found.append((sent, generator.integers(0, users, count), np.full(count, -1)))
        if call.round_minutes is None:
            continue
        for moment in np.arange(start * 60, min(end * 60, 1440 * (span_days - day)), call.round_minutes):
            chosen = generator.choice(users, min(call.round_users, users), replace=False)
            sent = np.full(len(chosen), day * DAY_SECONDS + moment * 60)
            found.append((sent, chosen, np.full(len(chosen), len(shares))))
            shares.append(call.round_share)
    return found


def _days(config: CityConfig, span_days: float) -> range:
    first, end = config.days or (0, int(np.ceil(span_days)))
    if not 0 <= first < end or first >= span_days:
        raise EnvironmentConfigError(
            f"days is {first} to {end}; positions cover {span_days:g} days, choose some of them, the first being 0"
        )
    return range(first, min(end, int(np.ceil(span_days))))


def zones_at(changes: ZoneChanges, user: Integers, sent_ms: Integers) -> Integers:
    """[I] int64, the zone that each user is in at a moment.

    Args:
        changes: zones of the users over time.
        user: [I].
        sent_ms: [I].
    """
    first, moments, zones = timelines(changes)
    # One search over all users: a user's number in front of each moment keeps them apart.
    scale = np.int64(max(int(moments.max(initial=0)), int(sent_ms.max(initial=0))) + 1)
    owner = np.repeat(np.arange(len(first) - 1), np.diff(first))
    at = np.searchsorted(owner * scale + moments, user * scale + sent_ms, side="right") - 1
    found: Integers = zones[at]
    return found


def moves_of(changes: ZoneChanges) -> Moves:
    """Zones of the users over time, as the containers' problem has them."""
    moment = np.round(1000 * changes.time_seconds).astype(np.int64)
    order = np.argsort(moment, kind="stable")
    rows = np.stack([moment, changes.user, changes.zone], axis=1)[order]
    return Moves(changes.initial.astype(np.int64), np.ascontiguousarray(rows, np.int64))


def timelines(changes: ZoneChanges) -> tuple[Integers, Integers, Integers]:
    """Where the zones of each user begin, [users + 1]; and from which ms which zone holds, users one after another."""
    users = len(changes.initial)
    user = np.concatenate([np.arange(users), changes.user])
    moment = np.concatenate([np.zeros(users, np.int64), np.round(1000 * changes.time_seconds).astype(np.int64)])
    zone = np.concatenate([changes.initial, changes.zone])
    order = np.lexsort((np.arange(len(user)), moment, user))
    first = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=users))]).astype(np.int64)
    return first, moment[order], zone[order]


def request_classes(functions: Sequence[FunctionConfig], loose_seconds: float) -> NDArray[np.int64]:
    """[F] int64, the class of each function's requests: `BATCH` where it has no deadline, `LOOSE` from a length on."""
    deadlines = [function.deadline_seconds for function in functions]
    classes = [BATCH if limit is None else LOOSE if limit >= loose_seconds else TIGHT for limit in deadlines]
    return np.array(classes, np.int64)
