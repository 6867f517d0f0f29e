"""Grid events: times in which a cluster may draw no more than a budget of power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from configs.checks import check_number
from envs.errors import EnvironmentConfigError

MAX_SECONDS = 4e9
"""Latest time of an event, as of a job."""


@dataclass(frozen=True, slots=True)
class GridEventConfig:
    """A time in which the cluster may draw no more than a budget of power, PUE included.

    Attributes:
        start_seconds: when it starts, in the trace's time.
        duration_seconds: for how long.
        power_kw: the budget, kW; None: `fraction` gives it.
        fraction: the budget as a fraction of the peak, which is all nodes on with all their GPUs at work.
        notice_seconds: so long before its start it is known.
        ramp_seconds: so long after its start the budget binds; at least `settle_seconds`.
    """

    start_seconds: float
    duration_seconds: float
    power_kw: float | None = None
    fraction: float | None = None
    notice_seconds: float = 3600.0
    ramp_seconds: float = 300.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is out of range, or there is not exactly one budget.
        """
        check_number("grid_events: start_seconds", self.start_seconds, EnvironmentConfigError, low=0, high=MAX_SECONDS)
        for name in ("notice_seconds", "ramp_seconds"):
            check_number(f"grid_events: {name}", getattr(self, name), EnvironmentConfigError, low=0, high=MAX_SECONDS)
        length, ramp = self.duration_seconds, self.ramp_seconds
        check_number("grid_events: duration_seconds", length, EnvironmentConfigError, above=ramp, high=MAX_SECONDS)
        check_number("grid_events: power_kw", self.power_kw, EnvironmentConfigError, low=0.0, high=1e6)
        check_number("grid_events: fraction", self.fraction, EnvironmentConfigError, low=0.0, high=1.0)
        if (self.power_kw is None) == (self.fraction is None):
            raise EnvironmentConfigError(
                f"grid_events: power_kw is {self.power_kw} and fraction is {self.fraction}; give one of them"
            )

    @property
    def end_seconds(self) -> float:
        """When it ends."""
        return self.start_seconds + self.duration_seconds


def check_grid_events(events: Sequence[GridEventConfig], settle_seconds: float) -> None:
    """Refuse events that do not follow each other, or that bind before a decision can meet them.

    Raises:
        EnvironmentConfigError: as above.
    """
    for before, event in pairwise(events):
        if event.start_seconds < before.end_seconds:
            raise EnvironmentConfigError(
                f"grid_events: one starts at {event.start_seconds:g} s, before the one in front of it ends at "
                f"{before.end_seconds:g} s; list them in order of time, and merge those that overlap"
            )
    for event in events:
        if event.ramp_seconds < settle_seconds:
            raise EnvironmentConfigError(
                f"grid_events: ramp_seconds is {event.ramp_seconds:g}, and decisions are up to settle_seconds "
                f"({settle_seconds:g}) apart; raise it to that, or lower settle_seconds"
            )
