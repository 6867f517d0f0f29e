"""Attributes that are drawn for each job from its id."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import traces
from traces import Enrichment, Trace, TraceURIError, TraceValueError, enrich
from traces.enrich import USUAL_SECONDS

EVERYTHING = Enrichment(
    checkpointable=0.8,
    deferrable=0.5,
    with_deadline=0.3,
    elastic=0.4,
    estimated=0.9,
    estimate_sigma=0.7,
    priorities={0: 0.7, 5: 0.3},
    flexibility={0: 1, 3: 3},
    workloads={"resnet50": 2, "bert": 1},
    images=20,
    median_data_gb=100,
    data_regions={"ciso": 3, "pjm": 1},
)
COLUMNS = (
    *("priority", "predicted_duration_seconds", "latest_start_seconds", "deadline_seconds"),
    *("min_gpus", "max_gpus", "workload", "checkpoint_interval_seconds", "image", "flexibility"),
    *("data_gb", "data_region"),
)


def many(count: int = 4000) -> Trace:
    rng = np.random.default_rng(7)
    return Trace.from_columns(
        {
            "submit_time_seconds": np.sort(rng.random(count) * 1e6),
            "duration_seconds": rng.lognormal(7, 2, count),
            "gpu_milli": rng.choice([250, 1000, 2000, 8000, 64_000], count),
        }
    )


def share(trace: Trace, column: str) -> float:
    return 1 - trace.table[column].null_count / trace.num_jobs


def test_a_window_gives_a_job_the_attributes_that_the_whole_trace_gives_it() -> None:
    trace = many()
    whole = enrich(trace, EVERYTHING)
    part = enrich(trace.window(2e5, 7e5).head(1500), EVERYTHING)
    assert 0 < part.num_jobs < whole.num_jobs
    assert part.table.equals(whole.window(2e5, 7e5).head(1500).table)


def test_the_real_window_gives_the_same_too(data_dir: Path) -> None:
    uri = f"itp:{data_dir}/traces/itp/cluster02.csv.gz?checkpointable=0.8&deferrable=0.5&elastic=0.3&images=50"
    whole = traces.load(uri)
    part = traces.load(f"{uri}&start_seconds=864000&end_seconds=1728000")
    assert 0 < part.num_jobs < whole.num_jobs
    assert part.table.equals(whole.window(864_000, 1_728_000).table)


def test_jobs_get_the_attributes_in_the_shares_of_the_options() -> None:
    trace = enrich(many(), EVERYTHING)
    for column, expected in (
        *(("checkpoint_interval_seconds", 0.8), ("latest_start_seconds", 0.5), ("deadline_seconds", 0.3)),
        *(("predicted_duration_seconds", 0.9), ("priority", 1.0), ("workload", 1.0), ("image", 1.0)),
    ):
        assert share(trace, column) == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 4000)), column
    assert np.mean(trace.priority == 5) == pytest.approx(0.3, abs=0.03)
    assert np.mean(trace.flexibility == 3) == pytest.approx(0.75, abs=0.03)
    assert set(trace.flexibility.tolist()) == {0, 3}
    names, codes = trace.codes("data_region")
    assert names == ("ciso", "pjm")
    assert np.mean(codes) == pytest.approx(1 / 4, abs=0.03)
    names, codes = trace.codes("workload")
    assert names == ("bert", "resnet50")
    assert np.mean(codes) == pytest.approx(2 / 3, abs=0.03)
    slack = (trace.latest_start_milliseconds - trace.submit_milliseconds) / 1000
    assert slack[slack > 0].min() >= 21_600
    assert slack.max() <= 86_400.001
    assert slack[slack > 0].mean() == pytest.approx(54_000, rel=0.05)
    due = trace.table["deadline_seconds"].to_numpy(zero_copy_only=False) - trace.submit_time_seconds
    factor = (due / trace.duration_seconds)[~np.isnan(due)]
    assert factor.min() > 1.49
    assert factor.max() < 3.01


def test_only_whole_gpus_stretch_and_within_the_factors() -> None:
    trace = enrich(many(), Enrichment(elastic=1, min_width_factor=0.3, max_width_factor=1.5))
    gpus = trace.gpu_milli // 1000
    assert np.array_equal(trace.table["min_gpus"].is_null().to_numpy(), gpus == 0)
    whole = gpus > 0
    assert np.array_equal(trace.min_gpu_milli[whole], 1000 * np.maximum(np.ceil(gpus[whole] * 0.3), 1))
    assert np.array_equal(trace.max_gpu_milli[whole], 1000 * np.floor(gpus[whole] * 1.5))


def test_estimates_are_log_normal_around_the_run_time() -> None:
    trace = many().window()
    estimated = enrich(trace, Enrichment(estimated=1, estimate_sigma=0.5, estimate_bias=3))
    long = trace.duration_seconds > 1000
    ratio = np.log(estimated.predicted_duration_milliseconds[long] / 1000 / trace.duration_seconds[long])
    assert np.median(ratio) == pytest.approx(math.log(3), abs=0.05)
    assert ratio.std() == pytest.approx(0.5, rel=0.1)
    exact = enrich(trace, Enrichment(estimated=1))
    assert np.abs(exact.predicted_duration_milliseconds / 1000 - trace.duration_seconds).max() <= 0.501 + 0.5


def test_usual_estimates_are_round_values_above_the_run_time() -> None:
    trace = many()
    estimated = enrich(trace, Enrichment(estimated=1, estimate_rounding="usual"))
    seconds = estimated.predicted_duration_milliseconds / 1000
    assert np.all(seconds >= trace.duration_seconds)
    assert all(value in USUAL_SECONDS or value % 86_400 == 0 for value in seconds.tolist())


def test_sizes_of_data_are_lognormal_about_their_median_and_end_at_the_limit() -> None:
    logarithms = np.log(enrich(many(), Enrichment(median_data_gb=10, data_sigma=2)).data_mb / 1e4)
    assert np.median(logarithms) == pytest.approx(0.0, abs=0.15)
    assert logarithms.std() == pytest.approx(2.0, rel=0.05)
    equal = enrich(many(100), Enrichment(median_data_gb=2.5, data_sigma=0))
    assert equal.data_mb.tolist() == [2500] * 100
    assert equal.table["data_region"].null_count == 100
    assert enrich(many(100), Enrichment(median_data_gb=1e6, data_sigma=0)).data_mb.max() == 10**9


def test_images_follow_zipf() -> None:
    names, codes = enrich(many(), Enrichment(images=100)).codes("image")
    counts = np.bincount(codes)
    harmonic = sum(1 / rank for rank in range(1, 101))
    assert counts[names.index("image-0")] / 4000 == pytest.approx(1 / harmonic, abs=0.03)
    assert counts[names.index("image-0")] > 1.5 * counts[names.index("image-1")]


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_a_larger_share_keeps_the_jobs_of_a_smaller_one(one: float, other: float, seed: int) -> None:
    trace = many(200)
    low, high = (
        enrich(trace, Enrichment(checkpointable=value, enrich_seed=seed)).checkpoint_interval_seconds > 0
        for value in sorted((one, other))
    )
    assert not np.any(low & ~high)


def test_the_seed_matters_and_the_same_seed_repeats() -> None:
    trace = many()
    first, again, other = (enrich(trace, Enrichment(deferrable=0.5, enrich_seed=seed)) for seed in (1, 1, 2))
    assert first.table.equals(again.table)
    both = np.mean(
        (first.latest_start_milliseconds > first.submit_milliseconds)
        & (other.latest_start_milliseconds > other.submit_milliseconds)
    )
    assert both == pytest.approx(0.25, abs=0.04)


def test_facts_of_the_data_stay_and_drawn_columns_are_named() -> None:
    trace = Trace.from_columns(
        {
            "submit_time_seconds": [0, 1, 2],
            "duration_seconds": [5] * 3,
            "gpu_milli": [4000] * 3,
            "priority": [7, None, None],
            "min_gpus": [None, 2, None],
            "image": ["a", "b", "c"],
        }
    )
    full = enrich(trace, Enrichment(priorities={1: 1}, elastic=1, images=5))
    assert full.priority.tolist() == [7, 1, 1]
    assert full.table["min_gpus"].to_pylist() == [2, 2, 2]
    assert full.table["max_gpus"].to_pylist() == [8, None, 8]
    assert full.table["image"].to_pylist() == ["a", "b", "c"]
    assert full.metadata.synthetic_columns == ("priority", "min_gpus", "max_gpus")
    assert enrich(full, Enrichment(checkpointable=1)).metadata.synthetic_columns[-1] == "checkpoint_interval_seconds"
    assert enrich(trace, Enrichment()) is trace


def test_an_empty_trace_can_be_enriched() -> None:
    assert enrich(many(0), EVERYTHING).num_jobs == 0


def test_a_uri_enriches_and_gives_the_same_again(tmp_path: Path) -> None:
    mix = "workloads=resnet50:0.7,org/bert:v2:0.3"
    trace = traces.load(f"synthetic:quickstart?days=2&seed=3&limit=50&checkpointable=0.5&{mix}&enrich_seed=9")
    names, codes = trace.codes("workload")
    assert names == ("org/bert:v2", "resnet50")
    assert (codes >= 0).all()
    assert traces.load(trace.uri).table.equals(trace.table)
    plain = traces.load("synthetic:quickstart?days=2&seed=3&limit=50")
    assert plain.metadata.synthetic_columns == ()
    assert plain.table.drop_columns(list(COLUMNS)).equals(trace.table.drop_columns(list(COLUMNS)))
    trace.to_parquet(str(tmp_path / "x.parquet"))
    again = traces.load(str(tmp_path / "x.parquet"))
    assert again.table.equals(trace.table)
    assert again.metadata.synthetic_columns == ("workload", "checkpoint_interval_seconds")


def test_no_format_has_an_option_of_the_name_of_a_shared_one() -> None:
    for item in traces.formats():
        names = [option.name for option in item.options]
        assert len(names) == len(set(names)), item.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checkpointable": 1.5}, "checkpointable is 1.5; it must be 0 to 1"),
        ({"elastic": float("nan")}, "elastic is nan"),
        ({"enrich_seed": -1}, "enrich_seed is -1"),
        ({"checkpoint_interval_seconds": 0}, "checkpoint_interval_seconds is 0; it must be above 0"),
        ({"min_slack_seconds": 10, "max_slack_seconds": 5}, "max_slack_seconds is 5; it must be 10 to"),
        ({"min_width_factor": 2}, "min_width_factor is 2; it must be above 0 and at most 1"),
        ({"max_width_factor": 0.5}, "max_width_factor is 0.5"),
        ({"priorities": {0: -1}}, "priorities: the weight of 0 is -1"),
        ({"workloads": {"a": 0}}, "workloads: all weights are 0"),
    ],
)
def test_a_value_out_of_range_is_one_clear_line(change: dict, message: str) -> None:
    with pytest.raises(TraceValueError, match=message):
        Enrichment(**change)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("checkpointable=2", r"quickstart\?checkpointable=2: checkpointable is 2.0"),
        ("chekpointable=1", "no option 'chekpointable'; did you mean 'checkpointable'"),
        ("workloads=resnet50", "workloads takes names and weights such as a:0.7,b:0.3, not 'resnet50'"),
        ("workloads=a:1,a:2", "workloads takes names and weights"),
        ("priorities=high:1", "priorities takes names and weights"),
        ("estimate_rounding=day", "estimate_rounding takes second or usual"),
        ("deferrable=1&min_slack_seconds=4e9&max_slack_seconds=4e9", "is the column in milliseconds"),
    ],
)
def test_a_mistake_in_a_uri_is_named(query: str, message: str) -> None:
    with pytest.raises(TraceURIError, match=message):
        traces.load(f"synthetic:quickstart?{query}")
