"""Fitted generators keep what was published, and what a trace shows."""

import csv
from pathlib import Path

import numpy as np
import pytest

import traces
from autoscaler.cli import main
from traces.comparison import compare, dispersion, ks_distance
from traces.fitting import fit
from traces.model import Model, clock_time, operational
from traces.model_generator import generate_model
from traces.models import MODELS

PUBLISHED = {
    "philly": ("gpu_job_duration", "Philly", "job_gpu_count_by_jobs"),
    "pai": ("gpu_job_duration", "PAI", "job_gpu_count_by_jobs"),
    "acme-seren": ("gpu_job_duration", "Seren", "job_gpu_count_by_jobs"),
    "acme-kalos": ("gpu_job_duration", "Kalos", "job_gpu_count_by_jobs"),
    **{
        f"helios-{name.lower()}": ("helios_gpu_job_duration", name, "helios_job_gpu_count_by_jobs")
        for name in ("Earth", "Saturn", "Uranus", "Venus")
    },
}
REAL = {
    "philly": "philly:{}/traces/philly/philly_until_2017-11-01.csv.gz",
    "itp": "itp:{}/traces/itp",
    "openb": "openb:{}/traces/openb/openb_pod_list_default.csv.gz",
}


def make(name: str, days: float | None = None, seed: int = 0) -> traces.Trace:
    model = MODELS[name]
    return generate_model(model, days=days or 40_000 / model.jobs_per_day, rng=np.random.default_rng(seed), name=name)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_a_preset(name: str) -> None:
    trace = traces.load(f"synthetic:{name}?days=2&seed=0&jobs_per_day=500")
    assert traces.load(trace.uri).table.equals(trace.table)
    assert trace.last_submit_seconds < 2 * 86_400
    assert trace.table["user"].null_count in (0 if MODELS[name].users else trace.num_jobs,)


@pytest.mark.parametrize("name", PUBLISHED)
def test_run_times_and_gpus_follow_the_published_curves(name: str, data_dir: Path) -> None:
    figure, series, gpu_figure = PUBLISHED[name]
    trace = make(name)
    with (data_dir / "calibration" / "published_curves_digitised.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for wanted, values in ((figure, trace.duration_seconds), (gpu_figure, trace.gpu_milli / 1000)):
        points = [
            (float(row["x"]), float(row["y"])) for row in rows if (row["figure"], row["series"]) == (wanted, series)
        ]
        assert points
        # GPUs beyond 64 are drawn as 65 there; at their own numbers the steps are read off with an error in x.
        limit = 64.5 if wanted.startswith("helios_job") else np.inf
        distances = [abs(np.mean(values <= x * 1.01) - y / 100) for x, y in points if x < limit]
        assert max(distances) <= 0.1


@pytest.mark.parametrize("name", REAL)
def test_arrivals_are_as_bursty_as_those_of_the_trace(name: str, data_dir: Path) -> None:
    """The middle of several seeds, because an index of dispersion over days has few days to go by."""
    real = traces.load(REAL[name].format(data_dir))
    expected = dispersion(real)
    made = [dispersion(make(name, real.span_seconds / 86_400, seed)) for seed in range(5)]
    for scale, value in expected.items():
        ratio = np.median([each[scale] for each in made]) / value
        assert 1 / 1.5 <= ratio <= 1.5, f"{scale} s"


@pytest.mark.parametrize("name", ["itp", "openb"])
def test_models_of_traces_have_their_run_times_and_gpus(name: str, data_dir: Path) -> None:
    real = traces.load(REAL[name].format(data_dir))
    found = compare(real, make(name, real.span_seconds / 86_400))
    assert found.ks["duration"] <= 0.1
    assert found.ks["gpus"] <= 0.1


def test_a_fit_of_what_a_model_made_is_that_model() -> None:
    model = MODELS["helios-venus"]
    trace = generate_model(model, days=120, rng=np.random.default_rng(1))
    found = fit(trace)
    assert found.jobs_per_day == pytest.approx(model.jobs_per_day, rel=0.25)
    assert found.gpu_shares[0] == pytest.approx(model.gpu_shares[0], abs=0.03)
    assert found.user_exponent == pytest.approx(model.user_exponent, abs=0.3)
    again = generate_model(found, days=120, rng=np.random.default_rng(2))
    result = compare(trace, again)
    assert result.ks["duration"] < 0.1
    assert result.ks["gpus"] < 0.1
    for scale, (first, second) in result.dispersion.items():
        assert 0.4 < first / second < 2.5, scale


def test_fit_writes_a_preset_that_generate_reads(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    assert main(["traces", "fit", "synthetic:quickstart?days=20&seed=0", "-o", str(path), "-q"]) == 0
    assert Model.from_json(path.read_text(), "x").source.startswith("synthetic:quickstart")
    trace = traces.load(f"synthetic:{path}?days=20&seed=1")
    assert (
        ks_distance(trace.duration_seconds, traces.load("synthetic:quickstart?days=20&seed=0").duration_seconds) < 0.1
    )


def test_a_broken_model_is_named(tmp_path: Path) -> None:
    text = MODELS["pai"].to_json()
    for old, new, message in (
        ('"days"', '"dais"', "unknown key dais"),
        ("model/1", "model/2", "its schema is not"),
        ('"similarity": 0.3', '"similarity": 2', "similarity"),
        ("{", "", "is no model of"),
    ):
        (tmp_path / "x.json").write_text(text.replace(old, new, 1))
        with pytest.raises(traces.TraceValueError, match=message):
            traces.load(f"synthetic:{tmp_path}/x.json")


def test_too_few_jobs_cannot_be_fitted_or_compared() -> None:
    trace = traces.load("synthetic:quickstart?days=5&seed=0&limit=99")
    with pytest.raises(traces.TraceValueError, match="has 99 jobs; a model needs 100"):
        fit(trace)
    with pytest.raises(traces.TraceValueError, match="has 1 jobs; a comparison needs two"):
        compare(trace, traces.load("synthetic:quickstart?days=5&seed=0&limit=1"))


def test_operational_time_goes_on_and_back() -> None:
    rhythm, seconds = MODELS["helios-earth"].rhythm(), np.linspace(0, 2e6, 997)
    moments = operational(seconds, rhythm, 0.0)
    assert np.all(np.diff(moments) > 0)
    assert clock_time(moments, rhythm) == pytest.approx(seconds)
    assert operational(np.array([0.0, 604_800.0]), rhythm, 5e4) == pytest.approx([0, 604_800])


def test_equal_traces_are_no_distance_apart(capsys: pytest.CaptureFixture[str]) -> None:
    uri = "synthetic:bursty?days=3&seed=0"
    assert main(["traces", "compare", uri, uri]) == 0
    out = capsys.readouterr().out
    assert out.count("0.000") == 4
    assert ks_distance(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1
