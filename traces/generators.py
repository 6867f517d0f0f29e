"""Synthetic traces: arrivals with a daily and weekly rhythm and bursts, heavy-tailed durations, skewed users."""

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from traces.arrow import from_numpy, labels, strings
from traces.errors import TraceValueError
from traces.presets import STATUS_SHARES, Preset
from traces.trace import Trace, TraceMetadata

START_TIME = datetime.fromisoformat("2024-01-01T00:00")  # a Monday
MAX_JOBS = 50_000_000
LICENCE = "Apache-2.0 (generated)"

_SLOT_SECONDS = 600
_SLOTS_PER_DAY = 86_400 // _SLOT_SECONDS
_SWEEP_GAP_SECONDS = 5.0
_SWEEP_DURATION_SIGMA = 0.3
_STATUSES = ("completed", "cancelled", "failed", "timeout")


def generate(
    preset: Preset, *, days: float, rng: np.random.Generator, jobs_per_day: float | None = None, name: str = "custom"
) -> Trace:
    """A synthetic trace that starts on a Monday at 00:00; times are whole seconds.

    Arrivals are doubly stochastic: a Poisson process of submissions whose rate follows the hour, the weekday and a
    random log-normal factor. A submission is one job, or a sweep of jobs that share user, GPUs and, roughly, duration.

    Args:
        preset: what the workload looks like.
        days: length, days.
        rng: source of randomness; the same state gives the same trace.
        jobs_per_day: replaces the preset's rate.
        name: name of the preset, for the metadata.

    Raises:
        TraceValueError: `days` or `jobs_per_day` is not above 0, or they make more than `MAX_JOBS` jobs.
    """
    rate = preset.jobs_per_day if jobs_per_day is None else jobs_per_day
    if not (days > 0 and rate > 0 and math.isfinite(days * rate)):
        raise TraceValueError(f"a synthetic trace needs days > 0 and jobs_per_day > 0, not {days} and {rate}")
    if days * rate > MAX_JOBS:
        raise TraceValueError(f"{days} days of {rate} jobs are more than {MAX_JOBS} jobs; choose fewer")
    starts = _submission_times(preset, days, rate, rng)
    batch = _submissions(preset, starts, rng)
    submit = np.floor(starts[batch.index] + batch.delay_seconds)
    duration = _durations(preset, batch, rng)
    # A sweep may run over the end: the trace ends at the same second for every seed.
    inside = submit < days * 86_400
    classes = batch.job_class[batch.index]
    gpu_milli = np.array([item.gpu_milli for item in preset.classes], dtype=np.int64)[classes]
    user = batch.user[batch.index]
    status = _statuses(gpu_milli, duration >= preset.max_duration_hours * 3600, rng)
    return Trace.from_columns(
        {
            "submit_time_seconds": submit[inside],
            "duration_seconds": duration[inside],
            "gpu_milli": gpu_milli[inside],
            "user": labels("user-", user[inside]),
            "group": labels("group-", user[inside] % preset.num_groups),
            "status": strings(_STATUSES).take(from_numpy(status[inside])),
        },
        metadata=TraceMetadata(f"synthetic, preset {name}", LICENCE, START_TIME),
    )


@dataclass(frozen=True, slots=True)
class _Submissions:
    """Submissions and their jobs.

    Attributes:
        job_class: index into the preset's classes, [submissions] int64.
        user: number of the user, [submissions] int64.
        index: the submission of each job, [jobs] int64, ascending.
        delay_seconds: from the submission's time to the job's, [jobs] float64, seconds.
    """

    job_class: NDArray[np.int64]
    user: NDArray[np.int64]
    index: NDArray[np.int64]
    delay_seconds: NDArray[np.float64]


def _submission_times(
    preset: Preset, days: float, jobs_per_day: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The times of submissions, [submissions] float64, seconds, not sorted within a slot."""
    slots = math.ceil(days * _SLOTS_PER_DAY)
    hours = (np.arange(slots) + 0.5) * _SLOT_SECONDS / 3600
    weights = np.array(preset.hour_weights)
    rhythm = np.interp(hours % 24, np.arange(24) + 0.5, weights / weights.mean(), period=24)
    weekdays = np.where(np.arange(7) < 5, 1.0, preset.weekend_weight)
    rhythm *= (weekdays / weekdays.mean())[(hours // 24).astype(np.int64) % 7]
    submissions_per_slot = jobs_per_day / _SLOTS_PER_DAY / _mean_jobs(preset)
    counts = rng.poisson(submissions_per_slot * rhythm * _modulation(preset, slots, rng))
    slot_starts = np.repeat(np.arange(slots) * float(_SLOT_SECONDS), counts)
    times: NDArray[np.float64] = slot_starts + rng.random(slot_starts.size) * _SLOT_SECONDS
    return times[times < days * 86_400]


def _modulation(preset: Preset, slots: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The random factor on the rate of each slot, [slots] float64, of expectation 1."""
    if preset.modulation_sigma == 0:
        return np.ones(slots)
    slots_of_memory = preset.modulation_hours * 3600 / _SLOT_SECONDS
    kernel = np.exp(-np.arange(math.ceil(6 * slots_of_memory)) / slots_of_memory)
    kernel /= np.sqrt((kernel**2).sum())
    noise = np.convolve(rng.standard_normal(slots + kernel.size - 1), kernel, mode="valid")
    sigma = preset.modulation_sigma
    factor: NDArray[np.float64] = np.exp(sigma * noise - sigma**2 / 2)
    return factor


def _weights(preset: Preset) -> NDArray[np.float64]:
    weights = np.array([item.weight for item in preset.classes])
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _caps(preset: Preset) -> NDArray[np.int64]:
    """The most jobs of a sweep by class, [classes] int64, at least 1."""
    gpu_milli = np.array([item.gpu_milli for item in preset.classes], dtype=np.int64)
    return np.maximum(preset.quota_gpus * 1000 // gpu_milli, 1)


def _mean_jobs(preset: Preset) -> float:
    """The expected jobs of a submission: E[min(1 + G, cap)] for sweeps, G geometric, over the classes."""
    success = 1 / (preset.sweep_mean_jobs - 1)
    sweep = 1 + (1 - (1 - success) ** (_caps(preset) - 1.0)) / success
    return float(1 + preset.sweep_share * np.dot(_weights(preset), sweep - 1))


def _submissions(preset: Preset, starts: NDArray[np.float64], rng: np.random.Generator) -> _Submissions:
    job_class = rng.choice(len(preset.classes), size=starts.size, p=_weights(preset))
    activity = np.arange(1, preset.num_users + 1.0) ** -preset.user_exponent
    user = rng.choice(preset.num_users, size=starts.size, p=activity / activity.sum())
    sweep = np.minimum(1 + rng.geometric(1 / (preset.sweep_mean_jobs - 1), starts.size), _caps(preset)[job_class])
    jobs = np.where(rng.random(starts.size) < preset.sweep_share, sweep, 1)
    index = np.repeat(np.arange(starts.size), jobs)
    gaps = np.cumsum(rng.exponential(_SWEEP_GAP_SECONDS, index.size))
    first_job = np.cumsum(jobs) - jobs
    return _Submissions(job_class, user, index, gaps - gaps[first_job][index])


def _durations(preset: Preset, batch: _Submissions, rng: np.random.Generator) -> NDArray[np.float64]:
    """The duration of each job, [jobs] float64, whole seconds from 1 to the time limit."""
    log_seconds = np.zeros(batch.job_class.size)
    for number, job_class in enumerate(preset.classes):
        members = np.flatnonzero(batch.job_class == number)
        shares = np.array([share for share, _ in job_class.durations])
        part = rng.choice(shares.size, size=members.size, p=shares / shares.sum())
        means = np.array([component.log_mean for _, component in job_class.durations])
        sigmas = np.array([component.log_sigma for _, component in job_class.durations])
        log_seconds[members] = means[part] + sigmas[part] * rng.standard_normal(members.size)
    jobs_of = np.bincount(batch.index, minlength=batch.job_class.size)[batch.index]
    spread = np.where(jobs_of > 1, _SWEEP_DURATION_SIGMA, 0.0) * rng.standard_normal(batch.index.size)
    limit = preset.max_duration_hours * 3600
    seconds: NDArray[np.float64] = np.ceil(np.exp(np.minimum(log_seconds[batch.index] + spread, math.log(limit))))
    return np.clip(seconds, 1.0, limit)


def _statuses(gpu_milli: NDArray[np.int64], killed: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """An index into `_STATUSES` for each job, [jobs] int64; `killed` jobs met their time limit."""
    bounds = np.array(sorted(STATUS_SHARES))
    shares = np.array([STATUS_SHARES[int(bound)] for bound in bounds])
    cumulative = np.cumsum(shares, axis=1) / shares.sum(axis=1, keepdims=True)
    row = np.maximum(np.searchsorted(bounds * 1000, gpu_milli, side="right") - 1, 0)
    draw = rng.random(gpu_milli.size)
    status = (draw >= cumulative[row, 0]).astype(np.int64) + (draw >= cumulative[row, 1])
    return np.where(killed, _STATUSES.index("timeout"), status)
