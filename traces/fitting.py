"""A model of a workload from a trace of it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import ndtri

from traces.comparison import dispersion
from traces.errors import TraceValueError
from traces.model import PROBABILITIES, Model, burst_dispersion, operational
from traces.trace import Trace

MIN_JOBS = 100
"""Fewest jobs that a model can be fitted to."""

_MAX_CLASSES = 16
_DAY = 86_400.0


def fit(trace: Trace, description: str = "") -> Model:
    """The model of a trace.

    The rhythm is the share of jobs by hour and weekday (the weekday where the trace has two weeks). Bursts are what
    explains the index of dispersion by time scale, in operational time, best (non-negative least squares of relative
    errors). GPUs beyond the 16 most frequent numbers are counted as the next of them.

    Raises:
        TraceValueError: it has fewer than 100 jobs, or all at one time.
    """
    if trace.num_jobs < MIN_JOBS or not trace.span_seconds > 0:
        raise TraceValueError(f"{trace.uri}: has {trace.num_jobs} jobs; a model needs {MIN_JOBS} over some time")
    hours, days = _rhythm(trace)
    durations = np.quantile(np.log(trace.duration_seconds), PROBABILITIES)
    users, exponent = _users(trace)
    model = Model(
        description=description or f"fitted to {trace.metadata.source}",
        source=trace.uri,
        jobs_per_day=trace.num_jobs / trace.span_seconds * _DAY,
        days=round(min(max(trace.span_seconds / _DAY, 1.0), 28.0)),
        duration_seconds=tuple(_rounded(np.maximum(np.exp(durations), 1e-3))),
        gpus=_gpus(trace),
        gpu_duration_correlation=_correlation(trace),
        hour_weights=tuple(_rounded(hours)),
        day_weights=tuple(_rounded(days)),
        users=users,
        user_exponent=exponent,
        groups=max(int(pc.count_distinct(trace.table["group"]).as_py()), 1),
        statuses=_statuses(trace),
    )
    return replace(model, bursts=_bursts(trace, model))


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.4g}") for value in values.tolist()]


def _rhythm(trace: Trace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    local = trace.submit_time_seconds + trace.week_offset_seconds
    hours = np.bincount((local // 3600).astype(np.int64) % 24, minlength=24).astype(np.float64)
    if trace.span_seconds < 2 * 7 * _DAY:
        return hours / hours.mean(), np.ones(7)
    # Over whole weeks, so that each weekday counts as often.
    whole = local < local[0] + trace.span_seconds // (7 * _DAY) * 7 * _DAY
    days = np.bincount((local[whole] // _DAY).astype(np.int64) % 7, minlength=7).astype(np.float64)
    return hours / hours.mean(), days / days.mean()


def _gpus(trace: Trace) -> dict[str, float]:
    values, counts = np.unique(trace.gpu_milli, return_counts=True)
    kept = np.sort(values[np.argsort(-counts, kind="stable")[:_MAX_CLASSES]])
    place = np.minimum(np.searchsorted(kept, values), len(kept) - 1)
    shares = np.bincount(place, weights=counts) / counts.sum()
    return {f"{milli / 1000:g}": float(f"{share:.4g}") for milli, share in zip(kept, shares, strict=True)}


def _correlation(trace: Trace) -> float:
    """The correlation of normal scores of GPUs and run times, as the generator draws them."""
    scores = [_scores(values) for values in (trace.gpu_milli.astype(np.float64), trace.duration_seconds)]
    if min(score.std() for score in scores) < 1e-9:
        return 0.0
    return float(np.clip(np.corrcoef(scores[0], scores[1])[0, 1], -0.95, 0.95).round(3))


def _scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(values)
    scores: NDArray[np.float64] = ndtri(middle[place])
    return scores


def _users(trace: Trace) -> tuple[int, float]:
    """Number of users, and the exponent whose Zipf law gives the most active tenth its share of the jobs."""
    names, user = trace.codes("user")
    if not names:
        return 0, 1.0
    counts = np.sort(np.bincount(user[user >= 0]))[::-1]
    top = max(len(counts) // 10, 1)
    wanted = counts[:top].sum() / counts.sum()
    ranks = np.arange(1, len(counts) + 1.0)
    exponents = np.linspace(0, 3, 301)
    shares = [(ranks[:top] ** -e).sum() / (ranks**-e).sum() for e in exponents]
    return len(counts), float(exponents[int(np.argmin(np.abs(np.array(shares) - wanted)))].round(2))


def _statuses(trace: Trace) -> dict[str, dict[str, float]]:
    if trace.table["status"].null_count == trace.num_jobs:
        return {}
    names = trace.table["status"].to_pylist()
    found = {}
    for bound, until in ((0, 2000), (2000, 9000), (9000, np.inf)):
        inside = (trace.gpu_milli >= bound) & (trace.gpu_milli < until)
        counts = Counter(names[index] or "unknown" for index in np.flatnonzero(inside))
        if counts:
            found[f"{bound / 1000:g}"] = {name: float(f"{n / inside.sum():.4g}") for name, n in counts.most_common(8)}
    return found


def _bursts(trace: Trace, model: Model) -> tuple[float, ...]:
    moments = operational(trace.submit_time_seconds, model.rhythm(), trace.week_offset_seconds)
    found = dispersion(trace, moments)
    scales = [float(scale) for scale in found]
    measured = np.array(list(found.values()))
    kinds = np.array([burst_dispersion(scale) for scale in scales])
    # Relative errors count at each scale; what is below a Poisson process cannot be explained by bursts.
    weights, _ = nnls(kinds / measured[:, None], np.maximum(measured - 1, 0) / measured)
    return tuple(_rounded(weights))
