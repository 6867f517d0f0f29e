"""How alike two traces are: marginal distributions, and how bursty arrivals are at each time scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceValueError
from traces.trace import Trace

SCALES_SECONDS: Final = (60.0, 600.0, 3600.0, 21_600.0, 86_400.0)
"""Time scales of the index of dispersion, seconds."""

LAGS_HOURS: Final = (1, 2, 6, 12, 24, 168)
"""Lags of the autocorrelation of hourly arrivals, hours."""

_LEAST_COUNTS = 10


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two traces have in common.

    Attributes:
        a: URI of the one.
        b: URI of the other.
        ks: marginal -> Kolmogorov-Smirnov distance, from 0 (equal) to 1.
        dispersion: time scale in seconds -> index of dispersion of counts (variance over mean) of both; 1 for a Poisson
            process. Scales with fewer than 10 intervals are left out.
        autocorrelation: lag in hours -> autocorrelation of hourly arrivals of both.
    """

    a: str
    b: str
    ks: Mapping[str, float]
    dispersion: Mapping[str, tuple[float, float]]
    autocorrelation: Mapping[str, tuple[float, float]]


def compare(a: Trace, b: Trace) -> Comparison:
    """Compare two traces of at least two jobs each.

    Raises:
        TraceValueError: a trace has fewer.
    """
    for trace in (a, b):
        if trace.num_jobs < 2:
            raise TraceValueError(f"{trace.uri}: has {trace.num_jobs} jobs; a comparison needs two at least")
    return Comparison(
        a=a.uri,
        b=b.uri,
        ks={name: ks_distance(marginal(a), marginal(b)) for name, marginal in MARGINALS.items()},
        dispersion=_both(dispersion(a), dispersion(b)),
        autocorrelation=_both(autocorrelation(a), autocorrelation(b)),
    )


def ks_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The largest difference of two empirical distributions, from 0 to 1."""
    first, second = np.sort(a), np.sort(b)
    points = np.concatenate([first, second])
    shares = [np.searchsorted(each, points, side="right") / len(each) for each in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())


def dispersion(trace: Trace, offset_free: NDArray[np.float64] | None = None) -> dict[str, float]:
    """Time scale in seconds -> index of dispersion of counts, where there are 10 intervals or more.

    Args:
        trace: the jobs.
        offset_free: other moments of their submission, [jobs] float64, such as those of operational time.
    """
    moments = trace.submit_time_seconds if offset_free is None else offset_free
    since = moments - moments.min()
    found = {}
    for scale in SCALES_SECONDS:
        intervals = int(since.max() // scale)
        if intervals >= _LEAST_COUNTS:
            counts = np.bincount((since[since < intervals * scale] // scale).astype(np.int64), minlength=intervals)
            found[f"{scale:g}"] = float(counts.var() / counts.mean())
    return found


def autocorrelation(trace: Trace) -> dict[str, float]:
    """Lag in hours -> autocorrelation of arrivals an hour, where the trace is twice as long."""
    hours = ((trace.submit_time_seconds - trace.first_submit_seconds) // 3600).astype(np.int64)
    counts = np.bincount(hours).astype(np.float64)
    counts -= counts.mean()
    variance = float(counts @ counts)
    return {
        str(lag): float(counts[lag:] @ counts[:-lag]) / variance
        for lag in LAGS_HOURS
        if variance > 0 and len(counts) >= 2 * lag
    }


def _gaps(trace: Trace) -> NDArray[np.float64]:
    return np.diff(trace.submit_time_seconds)


def _gpus(trace: Trace) -> NDArray[np.float64]:
    return trace.gpu_milli / 1000


def _hours(trace: Trace) -> NDArray[np.float64]:
    return (trace.submit_time_seconds + trace.week_offset_seconds) // 3600 % 24


MARGINALS: Final = {
    "duration": lambda trace: trace.duration_seconds,
    "gpus": _gpus,
    "gap between submissions": _gaps,
    "hour of the day": _hours,
}
"""Marginal -> values of a trace."""


def _both(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    return {name: (a[name], b[name]) for name in a if name in b}
