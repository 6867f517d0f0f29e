"""The generator keeps what its presets promise."""

import numpy as np
import pytest

from traces import Trace, TraceValueError
from traces.generators import generate
from traces.presets import PRESETS

LONG = 12 * 7


def make(name: str, seed: int = 0, days: float = LONG) -> Trace:
    return generate(PRESETS[name], days=days, rng=np.random.default_rng(seed), name=name)


def demand_gpus(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Hour since second 0 and GPUs in use if nobody waited, each minute."""
    times, milli = trace.demand()
    minutes = np.arange(0, trace.last_submit_seconds * 1000, 60_000)
    return minutes / 3.6e6, milli[np.searchsorted(times, minutes, side="right") - 1] / 1000


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_its_rate_and_its_mix(name: str) -> None:
    preset, trace = PRESETS[name], make(name)
    assert trace.num_jobs / LONG == pytest.approx(preset.jobs_per_day, rel=0.15)
    assert trace.week_offset_seconds == 0
    assert trace.metadata.start_time is not None
    assert trace.last_submit_seconds < LONG * 86_400
    assert trace.duration_seconds.min() >= 1
    assert trace.duration_seconds.max() <= preset.max_duration_hours * 3600
    assert set(trace.gpu_milli) == {item.gpu_milli for item in preset.classes}
    for column in ("user", "group", "status"):
        assert trace.table[column].null_count == 0


@pytest.mark.parametrize("seed", range(5))
def test_quickstart_has_busy_days_and_quiet_nights(seed: int) -> None:
    trace = make("quickstart", seed, days=30)
    assert 150 <= trace.num_jobs / 30 <= 400
    assert 64 <= trace.peak_gpu_milli / 1000 <= 160
    hour, gpus = demand_gpus(trace)
    night = gpus[(hour % 24 >= 3) & (hour % 24 < 8)]
    assert np.median(night) < 0.2 * trace.peak_gpu_milli / 1000


def test_diurnal_follows_hours_and_weekdays_and_steady_does_not() -> None:
    shares = {}
    for name in ("diurnal", "steady"):
        seconds = make(name).submit_time_seconds
        by_hour = np.bincount((seconds // 3600).astype(int) % 24, minlength=24)
        by_day = np.bincount((seconds // 86_400).astype(int) % 7, minlength=7)
        shares[name] = by_hour.max() / by_hour.min(), by_day[5:].mean() / by_day[:5].mean()
    assert shares["diurnal"][0] > 6
    assert shares["diurnal"][1] == pytest.approx(0.63, abs=0.05)
    assert shares["steady"] == pytest.approx((1, 1), abs=0.15)


def test_bursty_varies_more_than_a_poisson_process() -> None:
    dispersion = {}
    for name in ("bursty", "steady"):
        counts = np.bincount((make(name).submit_time_seconds // 3600).astype(int), minlength=LONG * 24)
        dispersion[name] = counts.var() / counts.mean()
    assert dispersion["steady"] == pytest.approx(1, abs=0.2)
    assert dispersion["bursty"] > 10


def test_fractional_shares_gpus() -> None:
    gpu_milli = make("fractional").gpu_milli
    assert 0.35 < np.mean(gpu_milli < 1000) < 0.55


def test_durations_have_a_heavy_tail() -> None:
    durations = make("steady").duration_seconds
    assert np.median(durations) == pytest.approx(np.exp(6.655), rel=0.1)
    assert durations.mean() > 10 * np.median(durations)


def test_few_users_submit_most_jobs() -> None:
    users = make("diurnal").table["user"].value_counts().field("counts").to_numpy()
    assert 0.4 < np.sort(users)[-5:].sum() / users.sum() < 0.7


def test_a_generator_that_goes_on_gives_another_trace() -> None:
    rng = np.random.default_rng(0)
    first, second = (generate(PRESETS["quickstart"], days=2, rng=rng) for _ in range(2))
    assert not first.table.equals(second.table)


def test_a_very_short_trace_may_be_empty() -> None:
    assert generate(PRESETS["steady"], days=1e-6, rng=np.random.default_rng(0)).num_jobs == 0


def test_too_many_jobs_are_refused() -> None:
    with pytest.raises(TraceValueError, match="more than 50000000 jobs"):
        generate(PRESETS["steady"], days=1e6, rng=np.random.default_rng(0))
