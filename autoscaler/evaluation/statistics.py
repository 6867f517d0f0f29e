"""Intervals: how far a mean over seeds and windows may be off.

The values of a policy form a table, a row per seed and a column per window. Rows and columns are resampled
independently of each other (the pigeonhole bootstrap), because all seeds meet the same windows, and the means of 10,000
such tables give a percentile interval. A plain percentile interval is too narrow for few values, so its ends move
outward to where the t distribution wants them (the expanded percentile interval). A single seed is not resampled: the
interval then speaks about windows alone. Fewer than 5 windows carry no 95 % interval at all, because the range of so
few values covers the mean less often than that; the exception is one window with 5 seeds or more, where the interval
speaks about seeds on that window.

Source: Owen, "The pigeonhole bootstrap" (2007); Hesterberg, "What Teachers Should Know About the Bootstrap" (2015),
section 5.3.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

CONFIDENCE = 0.95
DRAWS = 10_000
FEWEST = 5
METHOD = "pigeonhole bootstrap over seeds and windows, expanded percentile interval"


class Estimate(NamedTuple):
    """A mean and the ends of its 95 % interval; None where there are too few values for one.

    Attributes:
        mean: over seeds and windows.
        low: lower end.
        high: upper end.
    """

    mean: float
    low: float | None
    high: float | None

    def to_dict(self) -> dict[str, float | None]:
        """By name, as the JSON documents have it."""
        return self._asdict()

    def negated(self) -> Estimate:
        """Of the negative value."""
        ends = (None, None) if self.low is None or self.high is None else (-self.high, -self.low)
        return Estimate(-self.mean, *ends)

    @property
    def includes_zero(self) -> bool:
        """Whether 0 lies in the interval; also True where there is none, because then nothing is known."""
        return self.low is None or self.high is None or self.low <= 0.0 <= self.high


class Bootstrap:
    """Resampled tables of one shape; every value that it judges sees the same ones, so differences are paired.

    Args:
        num_seeds: rows of the tables.
        num_windows: columns.
        generator: source of randomness.
        draws: tables.
    """

    def __init__(self, num_seeds: int, num_windows: int, generator: np.random.Generator, draws: int = DRAWS) -> None:
        self._windows = _weights(num_windows, generator, draws)
        self._seeds = _weights(num_seeds, generator, draws)
        values = num_windows if num_windows > 1 else num_seeds
        self._tail = expanded_tail(values) if values >= FEWEST else None

    def mean(self, values: NDArray[np.float64]) -> Estimate:
        """The mean of a table.

        Args:
            values: [S, W] float64; one that is not finite leaves no interval.
        """
        return self._estimate(float(values.mean()), self._means(values))

    def ratio(self, values: NDArray[np.float64], reference: NDArray[np.float64]) -> Estimate:
        """How much larger the mean of one table is than that of another, as a share of the other: 0.02 is 2 % more.

        Args:
            values: [S, W] float64.
            reference: [S, W] float64, of the same seeds and windows.
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # a reference of 0 has no share: NaN or infinity
            shares = self._means(values) / self._means(reference) - 1.0
            return self._estimate(float(np.divide(values.mean(), reference.mean())) - 1.0, shares)

    def _means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = np.einsum("ds,sw,dw->d", self._seeds, values, self._windows, optimize=True)
        return means

    def _estimate(self, mean: float, draws: NDArray[np.float64]) -> Estimate:
        if self._tail is None or not np.isfinite(draws).all():
            return Estimate(mean, None, None)
        low, high = np.quantile(draws, [self._tail, 1.0 - self._tail]).tolist()
        return Estimate(mean, low, high)


def _weights(count: int, generator: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """[draws, count] float64: how often each of `count` values is drawn, as a share."""
    return generator.multinomial(count, np.full(count, 1.0 / count), size=draws) / count


def expanded_tail(values: int) -> float:
    """The share of bootstrap means below a 95 % interval of the mean of some values: less than 2.5 %.

    The bootstrap's spread is too small by sqrt((n - 1) / n), and its tails are those of a normal distribution instead
    of a t distribution.

    Args:
        values: n, at least 2.
    """
    quantile = float(stdtrit(values - 1, 1.0 - (1.0 - CONFIDENCE) / 2.0))
    return float(ndtr(-quantile * math.sqrt(values / (values - 1))))
