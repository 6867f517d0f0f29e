"""What is known of one live signal: the values of the last weeks, how old the newest is, and a forecast."""

from __future__ import annotations

import threading
from typing import cast

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.signal_config import MAX_HISTORY_DAYS, Quantity
from autoscaler.live.signals.base import Reading
from traces.errors import TraceValueError
from traces.signals import Forecaster, Signal, make_forecaster
from traces.signals.signal import Basis

HISTORY_SECONDS = MAX_HISTORY_DAYS * 86400.0
WARM_HORIZONS_SECONDS = 3600.0 * np.arange(1.0, 25.0)
"""For which a forecast is made as soon as values come, in the thread that reads: a fit must not wait for a decision."""


class LiveSeries:
    """A live signal; it has `at` and `forecast` as a recorded one (`traces.signals.signal.LiveSignal`). Thread-safe.

    Args:
        quantity: what it measures.
        zone: the region.
        max_age_seconds: the newest value counts for so long after its end.
        forecast: name of its forecaster.
    """

    def __init__(self, quantity: Quantity, zone: str, max_age_seconds: float, forecast: str) -> None:
        self._quantity, self._zone, self._max_age, self._forecast = quantity, zone, max_age_seconds, forecast
        self._lock = threading.Lock()
        self._times, self._values = np.zeros(0), np.zeros(0)
        self._end = -np.inf
        self._basis: Basis = "none"
        self._forecaster: Forecaster | None = None

    @property
    def newest_seconds(self) -> float | None:
        """Until when values are known; None: there is none."""
        with self._lock:
            return self._end if len(self._times) else None

    def merge(self, reading: Reading, now_seconds: float) -> None:
        """Take in what was read: a later reading of a moment replaces an earlier one.

        Args:
            reading: values and times.
            now_seconds: what is more than `MAX_HISTORY_DAYS` older is forgotten.
        """
        with self._lock:
            times = np.concatenate([self._times, reading.time_seconds])
            values = np.concatenate([self._values, reading.values])
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[order]
            keep = np.append(times[1:] != times[:-1], True)  # the last of equal stamps was read last
            times, values = times[keep], values[keep]
            # The value that is in force at the beginning of the history stays.
            first = max(int(np.searchsorted(times, now_seconds - HISTORY_SECONDS, side="right")) - 1, 0)
            times, values = times[first:], values[first:]
            if len(reading.values) == 1 and len(values) > 1 and values[-1] == values[-2]:
                times, values = times[:-1], values[:-1]  # a value that is read each minute need not be kept each minute
            self._times, self._values = times, values
            self._end = max(self._end, reading.end_seconds, float(np.nextafter(times[-1], np.inf)))
            self._basis = cast(Basis, reading.basis)
            signal = self._signal()
        forecaster = make_forecaster(self._forecast, signal)
        if signal.first_seconds <= now_seconds < signal.end_seconds:
            forecaster.forecast(now_seconds, WARM_HORIZONS_SECONDS)
        with self._lock:
            self._forecaster = forecaster

    def age_seconds(self, now_seconds: float) -> float:
        """Seconds since the end of the time for which the newest value was given; infinite where there is none yet."""
        with self._lock:
            if not len(self._times) or now_seconds < self._times[0]:
                return float("inf")
            return max(0.0, now_seconds - self._end)

    def is_known(self, now_seconds: float) -> bool:
        """Whether there is a value that is not too old."""
        return self.age_seconds(now_seconds) <= self._max_age

    def at(self, time_seconds: float) -> float:
        """The value in force at a moment.

        Raises:
            TraceValueError: there is none, or it is too old.
        """
        if not self.is_known(time_seconds):
            raise TraceValueError(f"{self._quantity} of {self._zone}: there is no value, or it is too old")
        with self._lock:
            return float(self._values[np.searchsorted(self._times, time_seconds, side="right") - 1])

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is expected for later moments: [H] float64; see `traces.signals.Forecaster`.

        A moment before the first value counts as that of the first value: the hour that is looked ahead from may have
        begun before this process.

        Raises:
            TraceValueError: there is no value, or it is too old.
        """
        forecaster = self.forecaster
        if forecaster is not None:
            time_seconds = max(time_seconds, forecaster.signal.first_seconds)
        if forecaster is None or not self.is_known(time_seconds):
            raise TraceValueError(f"{self._quantity} of {self._zone}: there is no value, or it is too old")
        return forecaster.forecast(time_seconds, horizons_seconds)

    @property
    def forecaster(self) -> Forecaster | None:
        """The forecaster over all that is known; None: nothing is."""
        with self._lock:
            return self._forecaster

    def pieces(self, start_seconds: float, end_seconds: float) -> list[tuple[float, float | None]]:
        """The signal over a span, piece by piece.

        Returns:
            When each piece begins, the first at `start_seconds`, and its value; None where there is none.
        """
        with self._lock:
            limit = self._end + self._max_age
            inside = (self._times > start_seconds) & (self._times < end_seconds)
            edges = [start_seconds, *self._times[inside].tolist()]
            if start_seconds < limit < end_seconds and len(self._times):
                edges = sorted({*edges, limit})
            found = []
            for edge in edges:
                index = int(np.searchsorted(self._times, edge, side="right")) - 1
                is_known = index >= 0 and edge < limit
                found.append((edge, float(self._values[index]) if is_known else None))
            return found

    def _signal(self) -> Signal:
        """All that is known as a recorded signal, which ends when the newest value becomes too old."""
        end = self._end + self._max_age
        return Signal(self._quantity, self._zone, self._times, self._values, end, self._basis)
