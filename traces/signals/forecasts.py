"""What is known of a signal in advance: forecasts that use only what came before, their errors, and a perfect one.

At a moment t a causal forecast knows the value in force at t and all earlier ones, none later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from traces.errors import TraceValueError
from traces.signals.signal import Signal

HOUR_SECONDS, DAY_SECONDS, WEEK_SECONDS = 3600.0, 86400.0, 604800.0


class Forecaster(Protocol):
    """Forecasts one signal.

    Attributes:
        name: short name for tables.
        signal: what is forecast.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (above)

    @property
    def signal(self) -> Signal: ...  # noqa: D102 (above)

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is expected for later moments.

        Args:
            time_seconds: now, seconds since the Unix epoch; the signal must cover it.
            horizons_seconds: [H] float64 >= 0, how far ahead.

        Returns:
            [H] float64, in the signal's unit.

        Raises:
            TraceValueError: the signal does not cover `time_seconds`, or a perfect forecast would need what comes after
                its end.
        """
        ...


def _checked(horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    horizons = np.asarray(horizons_seconds, np.float64)
    if not np.isfinite(horizons).all() or (horizons < 0.0).any():
        raise TraceValueError(f"horizons must be finite and >= 0 seconds, not {horizons.tolist()}")
    return horizons


@dataclass(frozen=True, slots=True)
class Perfect:
    """The truth: a reference, never available live."""

    signal: Signal
    name: str = "perfect"

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Forecaster`."""
        return self.signal.forecast(time_seconds, _checked(horizons_seconds))


@dataclass(frozen=True, slots=True)
class Persistence:
    """The newest known value of the same time of day (or of the week), the present value where there is none yet.

    Attributes:
        period_seconds: one day or one week.
    """

    signal: Signal
    name: str = "persistence"
    period_seconds: float = DAY_SECONDS

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Forecaster`."""
        horizons = _checked(horizons_seconds)
        periods = np.ceil(horizons / self.period_seconds)
        known = time_seconds + horizons - periods * self.period_seconds
        return self.signal.sample(np.where(known < self.signal.first_seconds, time_seconds, known))


@dataclass(frozen=True, slots=True)
class Noisy:
    """The truth with an error of a stated size, to ask how good a forecast must be.

    The error of a value is normal, relative to the signal's mean, and grows with the square root of the horizon. It
    depends on the seed, the hour of the forecast and the hour that is forecast, and on nothing else. Carbon is not let
    below 0.

    Attributes:
        error: standard deviation of the error 24 hours ahead, as a fraction of the signal's mean.
        seed: of the errors.
    """

    signal: Signal
    error: float = 0.1
    seed: int = 0
    name: str = "noisy"

    def __post_init__(self) -> None:
        """Refuse an error that has no meaning.

        Raises:
            TraceValueError: as above.
        """
        if not 0.0 <= self.error < np.inf or self.seed < 0:
            raise TraceValueError(f"a noisy forecast needs error >= 0 and seed >= 0, not {self.error} and {self.seed}")

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Forecaster`."""
        horizons = _checked(horizons_seconds)
        truth = self.signal.forecast(time_seconds, horizons)
        issued = int(time_seconds // HOUR_SECONDS)
        targets = ((time_seconds + horizons) // HOUR_SECONDS).astype(np.int64)
        draws = [np.random.default_rng((self.seed, issued, int(target))).standard_normal() for target in targets]
        scale = self.error * float(np.abs(self.signal.values).mean())
        noisy = truth + scale * np.sqrt(horizons / DAY_SECONDS) * np.array(draws)
        floor = 0.0 if self.signal.quantity == "carbon" else -np.inf
        return np.asarray(np.maximum(noisy, floor), np.float64)


class Ridge:
    """Linear regression on lags and the hour, one model per hour ahead, fitted anew every week on the past alone.

    Features: the last 24 hours, the same hour of the last two days and of the last week as the hour that is forecast,
    the hour of the day as two harmonics, and a constant. Where there are fewer than `least_days` of history, and beyond
    `hours_ahead`, it is persistence.

    Source: lags and harmonics with L2 shrinkage, the usual baseline of load forecasting; T. Hong and S. Fan,
        Probabilistic electric load forecasting, International Journal of Forecasting, 2016.

    Args:
        signal: what is forecast.
        strength: of the shrinkage, in units of standardised features.
        history_days: days that a fit looks back.
        least_days: fewer days of history are not enough for a fit.
        hours_ahead: models.
    """

    name: str = "ridge"

    def __init__(
        self,
        signal: Signal,
        strength: float = 10.0,
        history_days: int = 60,
        least_days: int = 21,
        hours_ahead: int = 48,
    ) -> None:
        if not (strength > 0 and history_days >= least_days >= 15 and hours_ahead >= 1):
            raise TraceValueError(
                f"ridge needs strength > 0, history_days >= least_days >= 15 and hours_ahead >= 1, not {strength}, "
                f"{history_days}, {least_days} and {hours_ahead}"
            )
        self.signal: Signal = signal
        self._strength = strength
        self._history, self._least, self._ahead = history_days * 24, least_days * 24, hours_ahead
        self._first_hour = int(np.ceil(signal.first_seconds / HOUR_SECONDS))
        hours = int(signal.end_seconds // HOUR_SECONDS) - self._first_hour
        # The value in force at the beginning of each hour: known then, unlike the hour's mean.
        at = (self._first_hour + np.arange(max(hours, 0), dtype=np.float64)) * HOUR_SECONDS
        self._values = signal.sample(at)
        self._models: dict[tuple[int, int], NDArray[np.float64]] = {}
        self._persistence = Persistence(signal)

    def forecast(self, time_seconds: float, horizons_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Forecaster`."""
        horizons = _checked(horizons_seconds)
        expected = self._persistence.forecast(time_seconds, horizons)
        now = int(time_seconds // HOUR_SECONDS) - self._first_hour
        if now < self._least:
            return expected
        ahead = ((time_seconds + horizons) // HOUR_SECONDS).astype(np.int64) - self._first_hour - now
        for index, hour in enumerate(ahead.tolist()):
            if 0 < hour <= self._ahead:
                weights = self._fitted(now // (7 * 24) * 7 * 24, hour)
                if weights is not None:
                    expected[index] = self._features(np.array([now]), hour)[0] @ weights
        return np.maximum(expected, 0.0) if self.signal.quantity == "carbon" else expected

    def _features(self, origins: NDArray[np.int64], ahead: int) -> NDArray[np.float64]:
        """[K, features] float64 of forecasts issued in hours `origins` for `ahead` hours later."""
        lags = self._values[origins[:, None] - np.arange(24)[None, :]]
        days = -(-ahead // 24)
        weeks = -(-ahead // 168)
        same = [origins + ahead - 24 * days, origins + ahead - 24 * (days + 1), origins + ahead - 168 * weeks]
        angle = 2.0 * np.pi * ((origins + ahead + self._first_hour) % 24) / 24.0
        waves = [wave(turn * angle) for turn in (1, 2) for wave in (np.sin, np.cos)]
        scale = self._scale
        parts = [lags / scale, *(self._values[index][:, None] / scale for index in same)]
        return np.hstack([*parts, *(wave[:, None] for wave in waves), np.ones((len(origins), 1))])

    @property
    def _scale(self) -> float:
        # Of the first days only, so that it knows nothing of the future.
        return float(np.abs(self._values[: self._least]).mean()) or 1.0

    def _fitted(self, until: int, ahead: int) -> NDArray[np.float64] | None:
        """Weights fitted on forecasts whose truth was known in hour `until`; None: too few."""
        key = (until, ahead)
        if key not in self._models:
            first = max(until - self._history, 7 * 24 + 48)
            origins = np.arange(first, until - ahead + 1)
            if len(origins) < self._least // 2:
                return None
            features, truth = self._features(origins, ahead), self._values[origins + ahead]
            penalty = np.full(features.shape[1], self._strength)
            penalty[-1] = 0.0  # the constant is free
            gram = features.T @ features + np.diag(penalty * 1e-2)
            self._models[key] = np.asarray(np.linalg.solve(gram, features.T @ truth), np.float64)
        return self._models[key]


FORECASTERS: dict[str, Callable[[Signal], Forecaster]] = {
    "perfect": Perfect,
    "persistence": Persistence,
    "last-week": lambda signal: Persistence(signal, "last-week", WEEK_SECONDS),
    "ridge": Ridge,
    "noisy": Noisy,
}
"""Forecasters by name, with their defaults."""


def make_forecaster(name: str, signal: Signal) -> Forecaster:
    """Build a forecaster with its defaults; `noisy:0.2` states the error.

    Raises:
        TraceValueError: there is no such forecaster, or its error is no number.
    """
    kind, _, argument = name.partition(":")
    if kind not in FORECASTERS:
        raise TraceValueError(f"there is no forecast {kind!r}{did_you_mean(kind, FORECASTERS)}")
    if not argument:
        return FORECASTERS[kind](signal)
    try:
        error = float(argument)
    except ValueError:
        error = np.nan
    if kind != "noisy" or not np.isfinite(error):
        raise TraceValueError(f"forecast {name!r} has no meaning; only noisy takes an error, such as noisy:0.2")
    return Noisy(signal, error)


@dataclass(frozen=True, slots=True)
class ForecastError:
    """How far a forecast is from the truth at one horizon.

    Attributes:
        horizon_seconds: how far ahead.
        mean_absolute: mean absolute error, in the signal's unit.
        root_mean_square: likewise.
        relative: the mean absolute error as a fraction of the mean absolute value (MAPE divides by values near 0).
        forecasts: how many were compared.
    """

    horizon_seconds: float
    mean_absolute: float
    root_mean_square: float
    relative: float
    forecasts: int


def forecast_errors(
    forecaster: Forecaster, times_seconds: NDArray[np.float64], horizons_seconds: NDArray[np.float64]
) -> list[ForecastError]:
    """Measure a forecaster.

    Args:
        forecaster: which.
        times_seconds: [T] float64, when forecasts are issued.
        horizons_seconds: [H] float64.

    Returns:
        One error for each horizon, over the forecasts whose truth the signal has.

    Raises:
        TraceValueError: the signal does not cover a time, or no forecast of a horizon can be compared.
    """
    signal, results = forecaster.signal, []
    for horizon in _checked(horizons_seconds).tolist():
        issued = times_seconds[times_seconds + horizon < signal.end_seconds]
        if not len(issued):
            raise TraceValueError(f"{signal.name}: it ends before any forecast {horizon:g} s ahead can be compared")
        truth = signal.sample(issued + horizon)
        expected = np.array([forecaster.forecast(float(at), np.array([horizon]))[0] for at in issued])
        error = expected - truth
        absolute = float(np.abs(error).mean())
        scale = float(np.abs(truth).mean()) or 1.0
        rms = float(np.sqrt((error**2).mean()))
        results.append(ForecastError(horizon, absolute, rms, absolute / scale, len(issued)))
    return results
