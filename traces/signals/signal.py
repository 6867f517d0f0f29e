"""One signal of one zone: piecewise constant, in seconds since the Unix epoch, with what is known of its quality."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from traces.errors import TraceValueError
from traces.words import counted

Quantity = Literal["carbon", "price", "temperature"]
"""What a signal measures: carbon intensity, electricity price or outdoor temperature."""

Basis = Literal["average", "marginal", "none"]
"""Of the whole mix, or of the plant that would supply one kWh more; `none` where that has no meaning."""

UNITS: dict[Quantity, str] = {"carbon": "gCO2e/kWh", "price": "USD/kWh", "temperature": "degC"}
"""The one unit of each quantity inside the package."""


class LiveSignal(Protocol):
    """What a policy may request of a signal, recorded or live; all times are seconds since the Unix epoch."""

    def at(self, time_seconds: float) -> float:
        """The value in force at a moment."""
        ...

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is expected at a moment for `time_seconds + horizons_seconds`: [H] float64."""
        ...


@dataclass(frozen=True, slots=True)
class Quality:
    """What was odd about the rows of a file; nothing of it is changed in silence.

    Attributes:
        rows: rows of the zone in the file.
        gaps_filled: steps without a row, filled with the value one day before, else with the last value.
        duplicates: rows whose stamp was there already with the same value; they are left out.
        conflicts: rows whose stamp was there already with another value; the last one counts.
        unsorted: rows that came before an earlier row's stamp; all rows are sorted.
        zeros: values that are exactly 0.
        outliers: values further from the median than 10 times the range between the 5th and 95th percentile.
        estimated: rows that the source calls estimated, and filled gaps.
    """

    rows: int = 0
    gaps_filled: int = 0
    duplicates: int = 0
    conflicts: int = 0
    unsorted: int = 0
    zeros: int = 0
    outliers: int = 0
    estimated: int = 0

    def remarks(self) -> list[str]:
        """One short text for each thing that is odd."""
        texts = {
            "gaps_filled": ("gap", " filled"),
            "duplicates": ("duplicate row", " left out"),
            "conflicts": ("row", " replaced by a later row of the same time"),
            "unsorted": ("row", " out of order"),
            "zeros": ("value", " of 0"),
            "outliers": ("outlier", ""),
            "estimated": ("estimated value", ""),
        }
        return [counted(getattr(self, name), *text) for name, text in texts.items() if getattr(self, name)]


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """A piecewise-constant signal: value `i` holds from `start_seconds[i]` until the next start.

    Attributes:
        quantity: what it measures.
        zone: where, such as `CISO` or `DE`.
        start_seconds: [N] float64, seconds since the Unix epoch, ascending.
        values: [N] float64, in the unit of `UNITS[quantity]`.
        end_seconds: until when the last value holds.
        basis: average or marginal.
        estimated: [N] bool, values that the source or this package estimated.
        quality: what was odd about the rows.
        source: the data set, for humans.
        licence: licence of the data.
        uri: where it came from.
    """

    quantity: Quantity
    zone: str
    start_seconds: NDArray[np.float64]
    values: NDArray[np.float64]
    end_seconds: float
    basis: Basis = "none"
    estimated: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    quality: Quality = field(default_factory=Quality)
    source: str = "unknown"
    licence: str = "unknown"
    uri: str = ""

    def __post_init__(self) -> None:
        """Refuse a series that has no meaning.

        Raises:
            TraceValueError: there is no value, the starts do not ascend, or a value cannot be.
        """
        if self.quantity not in UNITS:
            raise TraceValueError(f"there is no quantity {self.quantity!r}{did_you_mean(self.quantity, UNITS)}")
        if self.basis not in get_args(Basis):
            raise TraceValueError(f"basis is {self.basis!r}{did_you_mean(self.basis, get_args(Basis))}")
        if not len(self.values) or len(self.values) != len(self.start_seconds):
            raise TraceValueError(f"{self.name}: {len(self.values)} values for {len(self.start_seconds)} times")
        edges = np.append(self.start_seconds, self.end_seconds)
        if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise TraceValueError(f"{self.name}: the times do not ascend; sort the rows and remove duplicates")
        if not np.isfinite(self.values).all():
            raise TraceValueError(f"{self.name}: a value is not a finite number")
        if self.quantity == "carbon" and self.values.min() < 0.0:
            at = int(self.values.argmin())
            when = utc_text(float(self.start_seconds[at]))
            raise TraceValueError(f"{self.name}: {self.values[at]:g} {self.unit} at {when} is negative; carbon is >= 0")
        if not len(self.estimated):
            object.__setattr__(self, "estimated", np.zeros(len(self.values), np.bool_))

    @property
    def name(self) -> str:
        """Quantity and zone, for messages."""
        return f"{self.quantity} of {self.zone}"

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return UNITS[self.quantity]

    @property
    def first_seconds(self) -> float:
        """Where it begins, seconds since the Unix epoch."""
        return float(self.start_seconds[0])

    @property
    def edges_seconds(self) -> NDArray[np.float64]:
        """[N + 1] float64: every start, and the end."""
        return np.append(self.start_seconds, self.end_seconds)

    def check_covers(self, start_seconds: float, end_seconds: float) -> None:
        """Refuse a span that the signal does not have.

        Raises:
            TraceValueError: says which part is missing.
        """
        missing = []
        if start_seconds < self.first_seconds:
            missing.append((start_seconds, min(end_seconds, self.first_seconds)))
        if end_seconds > self.end_seconds:
            missing.append((max(start_seconds, self.end_seconds), end_seconds))
        if missing:
            parts = " and ".join(f"{utc_text(low)} to {utc_text(high)}" for low, high in missing)
            covered = f"{utc_text(self.first_seconds)} to {utc_text(self.end_seconds)}"
            raise TraceValueError(
                f"{self.name}: there are no values from {parts}; it covers {covered}: choose another alignment or file"
            )

    def at(self, time_seconds: float) -> float:
        """The value in force at a moment; a moment on an edge belongs to the later value.

        Raises:
            TraceValueError: the signal does not cover the moment.
        """
        return float(self.sample(np.array([time_seconds]))[0])

    def sample(self, times_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values in force at many moments.

        Args:
            times_seconds: [T] float64, seconds since the Unix epoch, in any order.

        Returns:
            [T] float64.

        Raises:
            TraceValueError: the signal does not cover a moment.
        """
        index = np.searchsorted(self.start_seconds, times_seconds, side="right") - 1
        outside = (index < 0) | (times_seconds >= self.end_seconds)
        if outside.any():
            at = float(times_seconds[outside][0])
            self.check_covers(at, np.nextafter(at, np.inf))
        values: NDArray[np.float64] = self.values[index]
        return values

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The true values ahead: a recorded signal is its own perfect forecast; see `forecasts` for causal ones.

        Args:
            time_seconds: now.
            horizons_seconds: [H] float64, how far ahead.

        Returns:
            [H] float64.

        Raises:
            TraceValueError: the signal ends before.
        """
        return self.sample(time_seconds + np.asarray(horizons_seconds, np.float64))

    def integral(self, start_seconds: float, end_seconds: float) -> float:
        """The exact integral over time, unit times seconds; 0 for an empty span.

        Raises:
            TraceValueError: the signal does not cover the span.
        """
        if end_seconds <= start_seconds:
            return 0.0
        self.check_covers(start_seconds, end_seconds)
        edges = np.clip(self.edges_seconds, start_seconds, end_seconds)
        return float(np.dot(np.diff(edges), self.values))

    def mean(self, start_seconds: float, end_seconds: float) -> float:
        """The mean over a span, weighted by time.

        Raises:
            TraceValueError: the signal does not cover the span, or it is empty.
        """
        if end_seconds <= start_seconds:
            raise TraceValueError(f"{self.name}: a mean needs a span, not {start_seconds} to {end_seconds}")
        return self.integral(start_seconds, end_seconds) / (end_seconds - start_seconds)


def utc_text(seconds: float) -> str:
    """A moment for messages, such as 2022-03-01 04:00 UTC; seconds where it is no date."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, OSError, ValueError):
        return f"{seconds:g} s"
