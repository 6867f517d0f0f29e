"""A fitted model of a workload: few numbers that give traces like a published or a private one.

Arrivals are bursts in *operational time*, in which the daily and weekly rhythm is even. A burst is a chain of
submissions, each of which excites the next with a fixed probability (a self-exciting process with one child), and there
are bursts of several lengths. Run times and GPUs have the fitted marginal distributions and a rank correlation.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from configs.checks import check_number
from traces.errors import TraceValueError
from traces.presets import STATUS_SHARES
from traces.validation import MAX_GPUS, MAX_SECONDS

PROBABILITIES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Where `Model.duration_seconds` are quantiles."""

BURST_SECONDS = (30.0, 600.0, 7200.0, 86_400.0, 604_800.0)
"""Time constants of the kinds of bursts, seconds of operational time."""


@dataclass(frozen=True, slots=True)
class Model:
    """A workload in few numbers.

    Attributes:
        description: one line for humans.
        source: where the numbers come from.
        jobs_per_day: expected jobs a day.
        days: length where nobody says another, days.
        duration_seconds: quantiles of the run times at `PROBABILITIES`, seconds, ascending; log-linear between them.
        gpus: GPUs requested -> share of the jobs, as text such as "0.5" or "8".
        gpu_duration_correlation: rank correlation of GPUs and run times, in (-1, 1).
        hour_weights: relative submissions in each hour of the day, [24].
        day_weights: relative submissions on each day of the week, Monday first, [7].
        bursts: for each of `BURST_SECONDS`: what this kind of burst adds to the index of dispersion of counts over long
            times; 0: there is none.
        similarity: share of the variance of run times that jobs of a short burst have in common, in [0, 1).
        users: number of users; 0: jobs have none.
        user_exponent: the n-th most active submits in proportion to n ** -`user_exponent`.
        groups: number of groups.
        statuses: GPUs, at least -> status -> share of the jobs; empty: jobs have none.
    """

    description: str
    source: str
    jobs_per_day: float
    duration_seconds: tuple[float, ...]
    gpus: Mapping[str, float]
    days: float = 28.0
    gpu_duration_correlation: float = 0.0
    hour_weights: tuple[float, ...] = (1.0,) * 24
    day_weights: tuple[float, ...] = (1.0,) * 7
    bursts: tuple[float, ...] = (0.0,) * len(BURST_SECONDS)
    similarity: float = 0.3
    users: int = 100
    user_exponent: float = 1.0
    groups: int = 10
    statuses: Mapping[str, Mapping[str, float]] = field(
        default_factory=lambda: {
            str(gpus): dict(zip(("completed", "cancelled", "failed"), shares, strict=True))
            for gpus, shares in STATUS_SHARES.items()
        }
    )

    def __post_init__(self) -> None:
        check_number("jobs_per_day", self.jobs_per_day, TraceValueError, above=0, high=1e9)
        check_number("days", self.days, TraceValueError, above=0, high=36_500)
        check_number("similarity", self.similarity, TraceValueError, low=0, below=1)
        check_number("gpu_duration_correlation", self.gpu_duration_correlation, TraceValueError, above=-1, below=1)
        check_number("users", self.users, TraceValueError, low=0, high=10_000_000)
        check_number("groups", self.groups, TraceValueError, low=1, high=10_000_000)
        check_number("user_exponent", self.user_exponent, TraceValueError, low=0, high=10)
        for name, length, low in (
            ("duration_seconds", len(PROBABILITIES), 1e-3),
            ("hour_weights", 24, 0.0),
            ("day_weights", 7, 0.0),
            ("bursts", len(BURST_SECONDS), 0.0),
        ):
            values = getattr(self, name)
            if len(values) != length or not all(low <= value <= MAX_SECONDS for value in values):
                raise TraceValueError(f"{name} holds {length} numbers of at least {low:g}, not {values}")
        if list(self.duration_seconds) != sorted(self.duration_seconds):
            raise TraceValueError(f"duration_seconds must ascend, not {self.duration_seconds}")
        if not sum(self.hour_weights) > 0 or not sum(self.day_weights) > 0:
            raise TraceValueError("hour_weights and day_weights must each have one above 0")
        if not self.gpus or not sum(self.gpus.values()) > 0 or min(self.gpus.values()) < 0:
            raise TraceValueError(f"gpus holds GPUs and their shares, one above 0, not {dict(self.gpus)}")
        for gpus in self.gpus:
            check_number("gpus", float(gpus), TraceValueError, above=0, high=MAX_GPUS)

    def to_json(self) -> str:
        """The model as JSON, one key a line."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """The model that `to_json` wrote.

        Raises:
            TraceValueError: it is none.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if values.pop("schema") != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
            known = {item.name for item in fields(cls)}
            made: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
            }
            unknown = sorted(set(made) - known)
            if unknown:
                raise ValueError(f"unknown key {unknown[0]}")
            return cls(**made)
        except TraceValueError as error:
            raise TraceValueError(f"{where}: {error}") from error
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise TraceValueError(f"{where}: is no model of `autoscaler traces fit` ({error})") from error

    @property
    def gpu_milli(self) -> NDArray[np.int64]:
        """GPUs of each class, [classes] int64, thousandths, ascending."""
        return np.array(sorted(round(float(gpus) * 1000) for gpus in self.gpus), np.int64)

    @property
    def gpu_shares(self) -> NDArray[np.float64]:
        """Share of the jobs in each class of `gpu_milli`, [classes] float64, sum 1."""
        ordered = sorted(self.gpus, key=float)
        shares = np.array([self.gpus[gpus] for gpus in ordered], np.float64)
        normal: NDArray[np.float64] = shares / shares.sum()
        return normal

    def rhythm(self) -> NDArray[np.float64]:
        """The rate of each hour of a week over the mean, [168] float64, from Monday 00:00."""
        hours, days = np.array(self.hour_weights), np.array(self.day_weights)
        weights = np.outer(days / days.mean(), hours / hours.mean()).ravel()
        # Not quite 0 anywhere: operational time must go on.
        floor: NDArray[np.float64] = np.maximum(weights, 1e-3)
        even: NDArray[np.float64] = floor / floor.mean()
        return even


SCHEMA = "autoscaler.traces.model/1"
"""The `schema` of a model on disk."""


def operational(seconds: NDArray[np.float64], rhythm: NDArray[np.float64], offset: float) -> NDArray[np.float64]:
    """Operational time of moments, same shape: seconds of a clock that runs as fast as jobs usually come.

    Args:
        seconds: seconds from second 0.
        rhythm: `Model.rhythm`.
        offset: seconds from Monday 00:00 to second 0.
    """
    weeks, since = np.divmod(seconds + offset, 604_800.0)
    edges = np.concatenate([[0.0], np.cumsum(rhythm)]) * 3600
    start = np.interp(offset % 604_800, np.arange(169) * 3600.0, edges)
    moments: NDArray[np.float64] = weeks * 604_800 + np.interp(since, np.arange(169) * 3600.0, edges) - start
    return moments


def clock_time(moments: NDArray[np.float64], rhythm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds from Monday 00:00 of moments in operational time: the inverse of `operational`."""
    weeks, since = np.divmod(moments, 604_800.0)
    edges = np.concatenate([[0.0], np.cumsum(rhythm)]) * 3600
    seconds: NDArray[np.float64] = weeks * 604_800 + np.interp(since, edges, np.arange(169) * 3600.0)
    return seconds


def burst_dispersion(scale_seconds: float) -> NDArray[np.float64]:
    """What a unit of each kind of burst adds to the index of dispersion of counts over a time, [kinds] float64.

    In a chain whose next submission follows with probability p after an exponential time, pairs of jobs are an
    exponential time apart that is 1 / (1 - p) as long; this is the mean share of pairs within one interval.
    """
    decay = scale_seconds / np.array(BURST_SECONDS)
    share: NDArray[np.float64] = 1 - (1 - np.exp(-decay)) / decay
    return share
