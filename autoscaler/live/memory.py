"""What of the guardrails' memory outlives a process: cooldowns and backoffs, as text beside the status."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import GuardrailState, PoolBackoff

_LOG = logging.getLogger(__name__)


def to_text(state: GuardrailState, clock: Clock) -> str:
    """Cooldowns and backoffs with their times in unix seconds; a later process may have another clock.

    Orders, releases and claims are not in it: a restart finds those in the cluster.
    """

    def wall(seconds: float) -> float:
        return round(clock.to_wall(seconds), 3)

    failed = state.removal_failed_seconds
    record = {
        "scaled_up": {pool: wall(at) for pool, at in sorted(state.scaled_up.items())},
        "removal_failed": None if failed is None else wall(failed),
        "backoffs": {
            pool: {"failed": wall(each.failed_seconds), "duration_seconds": each.duration_seconds}
            for pool, each in sorted(state.backoffs.items())
        },
    }
    return json.dumps(record)


def from_text(text: str, clock: Clock, config: LiveConfig) -> GuardrailState:
    """The memory that a text holds; what is damaged, or of no pool of the config, is left out.

    Nothing is later than now and no backoff longer than the longest: an odd text costs one waiting time at most.
    """
    try:
        record = json.loads(text)
        scaled_up, backoffs = _mapping(record, "scaled_up"), _mapping(record, "backoffs")
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
    ups = {pool: _past(scaled_up[pool], clock) for pool in sorted(pools & scaled_up.keys())}
    return GuardrailState(
        scaled_up={pool: at for pool, at in ups.items() if at is not None},
        removal_failed_seconds=_past(record.get("removal_failed"), clock),
        backoffs=found,
    )


def _mapping(record: Any, key: str) -> Mapping[str, Any]:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, dict):
        raise ValueError(f"{key} is no mapping")
    return value


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _past(value: Any, clock: Clock) -> float | None:
    """A unix time in clock seconds, at most now."""
    number = _number(value)
    return None if number is None else min(clock.from_wall(number), clock.now())
