"""Traces from a fitted model: self-exciting bursts in the rhythm of the week, with the fitted marginals."""

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import ndtr

from traces.arrow import from_numpy, labels, strings
from traces.errors import TraceValueError
from traces.generators import LICENCE, MAX_JOBS, START_TIME
from traces.model import BURST_SECONDS, PROBABILITIES, Model, clock_time
from traces.schema import Column
from traces.trace import Trace, TraceMetadata

_SHORT_SECONDS = 3600.0
"""Jobs of bursts up to this length resemble each other: they are sweeps and retries."""


def generate_model(
    model: Model, *, days: float, rng: np.random.Generator, jobs_per_day: float | None = None, name: str = "custom"
) -> Trace:
    """A synthetic trace that starts on a Monday at 00:00; times are whole seconds.

    Args:
        model: the workload.
        days: length, days.
        rng: source of randomness; the same state gives the same trace.
        jobs_per_day: replaces the model's rate; bursts stay as long, and are more.
        name: of the model, for the metadata.

    Raises:
        TraceValueError: `days` or `jobs_per_day` is not above 0, or they make more than `MAX_JOBS` jobs.
    """
    rate = model.jobs_per_day if jobs_per_day is None else jobs_per_day
    if not (days > 0 and rate > 0 and math.isfinite(days * rate)):
        raise TraceValueError(f"a synthetic trace needs days > 0 and jobs_per_day > 0, not {days} and {rate}")
    if days * rate > MAX_JOBS:
        raise TraceValueError(f"{days} days of {rate} jobs are more than {MAX_JOBS} jobs; choose fewer")
    submit, burst, is_short = _arrivals(model, days * 86_400.0, rate / 86_400.0, rng)
    jobs, bursts = len(submit), int(burst.max()) + 1 if len(burst) else 0
    common = np.where(is_short, model.similarity, 0.0)
    level = np.sqrt(common) * rng.standard_normal(bursts)[burst] + np.sqrt(1 - common) * rng.standard_normal(jobs)
    classes = np.searchsorted(np.cumsum(model.gpu_shares)[:-1], ndtr(level), side="right")
    gpu_milli = model.gpu_milli[classes]
    share = model.gpu_duration_correlation
    other = np.sqrt(common) * rng.standard_normal(bursts)[burst] + np.sqrt(1 - common) * rng.standard_normal(jobs)
    quantile = ndtr(share * level + math.sqrt(1 - share**2) * other)
    seconds = np.exp(np.interp(quantile, PROBABILITIES, np.log(model.duration_seconds)))
    columns: dict[str, Column | None] = {
        "submit_time_seconds": submit,
        "duration_seconds": np.maximum(np.ceil(seconds), 1.0),
        "gpu_milli": gpu_milli,
    }
    if model.statuses:
        columns["status"] = _statuses(model, gpu_milli, rng)
    if model.users:
        activity = np.cumsum(np.arange(1, model.users + 1.0) ** -model.user_exponent)
        user = np.searchsorted(activity, rng.random(bursts) * activity[-1])[burst]
        columns |= {"user": labels("user-", user), "group": labels("group-", user % model.groups)}
    return Trace.from_columns(columns, metadata=TraceMetadata(f"synthetic, model {name}", LICENCE, START_TIME))


def _arrivals(
    model: Model, span: float, rate: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
    """Submit times, ascending whole seconds; the burst of each job; and whether it is a short one: [jobs] each."""
    rhythm = model.rhythm()
    weights = np.array(model.bursts)
    active = np.flatnonzero(weights > 0)
    # Some jobs come one by one. A kind that explains more has more jobs, so that its bursts are not few and huge.
    alone = 0.5 if weights.sum() < 1 else 0.1
    shares = (1 - alone) * np.sqrt(weights) / max(float(np.sqrt(weights).sum()), 1e-9)
    times, numbers, short = [], [], []
    count = 0
    operational_span = _operational_span(span, rhythm)
    for kind in (-1, *active.tolist()):
        share = (alone if len(active) else 1.0) if kind < 0 else shares[kind]
        mean = 0.0 if kind < 0 else weights[kind] / (2 * share)
        length = 0.0 if kind < 0 else BURST_SECONDS[kind]
        found, burst = _chains(rate * span * share, mean, length, operational_span, rng)
        times.append(found)
        numbers.append(burst + count)
        short.append(np.full(len(found), 0 < length <= _SHORT_SECONDS))
        count += int(burst.max()) + 1 if len(burst) else 0
    submit = np.floor(clock_time(np.concatenate(times), rhythm))
    order = np.argsort(submit, kind="stable")
    order = order[submit[order] < span]
    return submit[order], np.concatenate(numbers)[order], np.concatenate(short)[order]


def _operational_span(span: float, rhythm: NDArray[np.float64]) -> float:
    weeks, since = divmod(span, 604_800.0)
    edges = np.concatenate([[0.0], np.cumsum(rhythm)]) * 3600
    return float(weeks * 604_800 + np.interp(since, np.arange(169) * 3600.0, edges))


def _chains(
    jobs: float, mean: float, length: float, span: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Moments of the jobs of one kind of bursts in [0, span), and the burst of each.

    Args:
        jobs: expected number.
        mean: mean number of jobs that follow the first of a burst.
        length: time constant of a burst, seconds.
        span: operational seconds.
        rng: source of randomness.
    """
    # Bursts that began before second 0 go on in the trace: the process is stationary from the start.
    before = min(length * 5, span)
    bursts = rng.poisson(jobs / (1 + mean) * (span + before) / span)
    start = rng.random(bursts) * (span + before) - before
    size = rng.geometric(1 / (1 + mean), bursts) if mean else np.ones(bursts, np.int64)
    burst = np.repeat(np.arange(bursts), size)
    first = np.cumsum(size) - size
    # Pairs of a chain are apart as `burst_dispersion` says if gaps last length / (1 + mean) on average.
    gaps = rng.exponential(length / (1 + mean), len(burst)) if mean else np.zeros(len(burst))
    gaps[first] = 0.0
    total = np.cumsum(gaps)
    moments = start[burst] + total - total[first][burst]
    inside = (moments >= 0) & (moments < span)
    kept: NDArray[np.int64] = burst[inside]  # ascending: numbered again without those that have no job left
    return moments[inside], np.cumsum(np.diff(kept, prepend=kept[:1]) > 0)


def _statuses(model: Model, gpu_milli: NDArray[np.int64], rng: np.random.Generator) -> pa.Array:
    """The status of each job, [jobs] string."""
    bounds = sorted(model.statuses, key=float)
    names = sorted({name for shares in model.statuses.values() for name in shares})
    shares = np.array([[model.statuses[bound].get(name, 0.0) for name in names] for bound in bounds])
    cumulative = np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True)
    row = np.searchsorted(np.array([float(bound) * 1000 for bound in bounds]), gpu_milli, side="right") - 1
    row = np.maximum(row, 0)
    draw = rng.random(len(gpu_milli))
    status = np.zeros(len(gpu_milli), np.int64)
    for column in range(len(names) - 1):
        status += draw >= cumulative[row, column]
    return strings(names).take(from_numpy(status))
