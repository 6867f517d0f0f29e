"""When nodes may be disrupted, and how many at once: windows and budgets, by reason and pool.

Source: disruption budgets of Karpenter's NodePool (`spec.disruption.budgets`), whose rules these are: of all budgets
that apply, the smallest counts; percentages are rounded up; nodes that leave or are broken count as disrupted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from configs.checks import check_number
from configs.errors import UserError

if TYPE_CHECKING:
    from cronsim import CronSim

MAX_HITS = 10_000
"""So many begins of a schedule are looked at; one per minute of a week."""


class DisruptionConfigError(UserError, ValueError):
    """Windows or budgets that have no meaning."""


_check = partial(check_number, error=DisruptionConfigError)


class DisruptionReason(StrEnum):
    """Why a node is disrupted."""

    EMPTY = "empty"  # it is idle, nothing is evicted
    UNDERUTILIZED = "underutilized"  # pods are evicted or moved off it
    REPAIR = "repair"  # it is broken, or never became a useful node
    SUSPENDED = "suspended"  # the policy suspends a job on it


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times that come again and again.

    Attributes:
        cron: when each begins: minute, hour, day of month, month, day of week.
        duration_seconds: how long each lasts.
        time_zone: IANA name of the zone in which `cron` is read.
    """

    cron: str
    duration_seconds: float
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            DisruptionConfigError: no valid cron expression, no such zone, no duration.
        """
        _check("schedule.duration_seconds", self.duration_seconds, low=60.0, high=366 * 86400.0)
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise DisruptionConfigError(f"schedule.time_zone is {self.time_zone!r}; give an IANA name") from None
        from cronsim import CronSim, CronSimError  # of the extra `live`; the dashboard reads audits without it

        try:
            CronSim(self.cron, datetime.now(UTC))
        except CronSimError as error:
            raise DisruptionConfigError(
                f"schedule.cron is {self.cron!r}: {str(error).lower()}; write minute, hour, day of month, month and "
                "day of week, such as '0 22 * * mon-fri'"
            ) from None

    def ends(self, unix_seconds: float) -> float | None:
        """Until when it is on without a pause; None: it is off."""
        end: float | None = None
        for count, begin in enumerate(self._begins(unix_seconds - self.duration_seconds)):
            if begin > (unix_seconds if end is None else end) or count > MAX_HITS:
                break
            end = begin + self.duration_seconds
        return end

    def begins(self, unix_seconds: float) -> float:
        """When it begins the next time; infinite: never."""
        return next(iter(self._begins(unix_seconds)), math.inf)

    def _begins(self, after_seconds: float) -> _Begins:
        from cronsim import CronSim  # see above

        return _Begins(CronSim(self.cron, datetime.fromtimestamp(after_seconds, ZoneInfo(self.time_zone))))


class _Begins:
    """Begins of a schedule as unix seconds; `CronSim` ends where there are none in 50 years."""

    def __init__(self, moments: CronSim) -> None:
        self._moments = moments

    def __iter__(self) -> _Begins:
        return self

    def __next__(self) -> float:
        return next(self._moments).timestamp()


@dataclass(frozen=True, slots=True)
class DisruptionWindow:
    """Times at which nodes may be disrupted. Where windows apply to a node, one of them must be open.

    Attributes:
        schedule: when it is open.
        reasons: reasons that it applies to; empty: all.
        pools: pools that it applies to; empty: all.
    """

    schedule: Schedule
    reasons: tuple[DisruptionReason, ...] = ()
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DisruptionBudget:
    """How many nodes of a pool may be disrupted at the same time.

    Attributes:
        nodes: a number, or a percentage of the pool's nodes, such as `"10%"`; 0: none.
        schedule: when it applies; None: always.
        reasons: reasons that it applies to; empty: all.
        pools: pools that it applies to, each by itself; empty: all.
    """

    nodes: int | str
    schedule: Schedule | None = None
    reasons: tuple[DisruptionReason, ...] = ()
    pools: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a number of nodes that has no meaning.

        Raises:
            DisruptionConfigError: as above.
        """
        valid = self.nodes >= 0 if isinstance(self.nodes, int) else _percent(self.nodes) is not None
        if not valid:
            raise DisruptionConfigError(
                f"guardrails.disruption.budgets: nodes is {self.nodes!r}; write a number from 0 on, or a percentage "
                'from "0%" to "100%"'
            )

    def limit(self, pool_nodes: int) -> int:
        """Nodes that it allows of a pool with so many."""
        if isinstance(self.nodes, int):
            return self.nodes
        percent = _percent(self.nodes)
        return math.ceil(pool_nodes * (0 if percent is None else percent) / 100)


def _percent(text: str) -> int | None:
    """The number of a percentage; None: it is none."""
    match = re.fullmatch(r"(\d{1,3})%", text)
    return int(match.group(1)) if match is not None and int(match.group(1)) <= 100 else None


@dataclass(frozen=True, slots=True)
class DisruptionConfig:
    """When nodes may be removed or emptied, and how many at once.

    Attributes:
        windows: times at which they may; empty: always. Karpenter: none.
        budgets: how many; of those that apply the smallest counts. Karpenter: `spec.disruption.budgets`, 10 %.
    """

    windows: tuple[DisruptionWindow, ...] = field(default_factory=tuple)
    budgets: tuple[DisruptionBudget, ...] = field(default_factory=tuple)

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """All schedules in it."""
        of_budgets = [budget.schedule for budget in self.budgets if budget.schedule is not None]
        return (*(window.schedule for window in self.windows), *of_budgets)
