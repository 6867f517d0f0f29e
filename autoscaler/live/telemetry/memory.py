"""What of the guardrails' memory outlives a process: cooldowns, backoffs, for whom nodes come; beside the status."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Set
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import GuardrailState, PoolBackoff

_LOG = logging.getLogger(__name__)

MAX_WANTED = 1000
"""Gangs for which nodes come and that are remembered; a ConfigMap holds 1 MiB."""


def to_text(state: GuardrailState, clock: Clock) -> str:
    """Cooldowns and backoffs with their times in unix seconds, and for whom nodes come.

    A later process may have another clock. Orders, releases and machines are not in it: a restart finds those in the
    cluster.
    """

    def wall(seconds: float) -> float:
        return round(clock.to_wall(seconds), 3)

    failed = state.removal_failed_seconds
    record = {
        "scaled_up": {pool: wall(at) for pool, at in sorted(state.scaled_up.items())},
        "consolidated": {pool: wall(at) for pool, at in sorted(state.consolidated.items())},
        "removal_failed": None if failed is None else wall(failed),
        "backoffs": {
            pool: {"failed": wall(each.failed_seconds), "duration_seconds": each.duration_seconds}
            for pool, each in sorted(state.backoffs.items())
        },
        "wanted": {key: list(state.wanted[key]) for key in sorted(state.wanted)[:MAX_WANTED]},
    }
    return json.dumps(record)


def from_text(text: str, clock: Clock, config: LiveConfig) -> GuardrailState:
    """The memory that a text holds; what is damaged, or of no pool of the config, is left out.

    Nothing is later than now and no backoff longer than the longest: an odd text costs one waiting time at most.
    """
    try:
        record = json.loads(text)
        scaled_up, backoffs = _mapping(record, "scaled_up"), _mapping(record, "backoffs")
        # Texts of older versions know nothing of it.
        consolidated = _mapping({"consolidated": {}, **record}, "consolidated")
    except ValueError as error:
        _LOG.warning("cooldowns and backoffs begin anew", extra={"problem": str(error)})
        return GuardrailState()
    pools = {pool.name for pool in config.pools}
    longest = config.guardrails.backoff.max_seconds
    found: dict[str, PoolBackoff] = {}
    for pool in sorted(pools & backoffs.keys()):
        each = backoffs[pool] if isinstance(backoffs[pool], dict) else {}
        failed, duration = _past(each.get("failed"), clock), _number(each.get("duration_seconds"))
        if failed is not None and duration is not None:
            duration = min(max(0.0, duration), longest)
            found[pool] = PoolBackoff(failed + duration, duration, failed)
    return GuardrailState(
        scaled_up=_times(scaled_up, pools, clock),
        consolidated=_times(consolidated, pools, clock),
        removal_failed_seconds=_past(record.get("removal_failed"), clock),
        backoffs=found,
        wanted=_wanted(record.get("wanted"), pools),
    )


def _wanted(value: Any, pools: Set[str]) -> dict[str, tuple[str, int]]:
    """For whom nodes come, of the entries that can be read."""
    found: dict[str, tuple[str, int]] = {}
    for key, entry in (value if isinstance(value, dict) else {}).items():
        pool, nodes = entry if isinstance(entry, list) and len(entry) == 2 else (None, None)
        if isinstance(pool, str) and pool in pools and isinstance(nodes, int) and nodes > 0:
            found[key] = pool, int(nodes)
    return found


def _mapping(record: Any, key: str) -> Mapping[str, Any]:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, dict):
        raise ValueError(f"{key} is no mapping")
    return value


def _times(moments: Mapping[str, Any], pools: Set[str], clock: Clock) -> dict[str, float]:
    """Clock seconds by pool, of those that can be read."""
    read = {pool: _past(moments[pool], clock) for pool in sorted(pools & moments.keys())}
    return {pool: at for pool, at in read.items() if at is not None}


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _past(value: Any, clock: Clock) -> float | None:
    """A unix time in clock seconds, at most now."""
    number = _number(value)
    return None if number is None else min(clock.from_wall(number), clock.now())
