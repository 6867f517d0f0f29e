"""Tables of measured curves, and the integers that kernels get."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces import TraceURIError, TraceValueError
from traces.curves import (
    PPM,
    PowerCapTable,
    ScalingCurve,
    ScalingTable,
    SpeedTable,
    SpreadTable,
    load_power_caps,
    load_scaling,
    load_speeds,
    load_spread,
)
from traces.curves.presets import ZEUS

NAN = float("nan")


def test_speeds_are_over_the_reference_and_gaps_get_the_median() -> None:
    table = SpeedTable(("a", "b", "c"), ("K80", "V100"), np.array([[1.0, 4.0], [3.0, 4.0], [NAN, 9.0]]), "here")
    assert table.speed_ppm(["c", "a", "other"], ["V100", "K80"], "V100").tolist() == [
        [PPM, 500_000],  # c was not measured on the K80: the median of 0.25 and 0.75
        [PPM, 250_000],
        [PPM, 500_000],
        [PPM, 500_000],  # the code of a job without a workload is -1
    ]
    assert table.speed_ppm([], ["V100"], "K80").tolist() == [[2_666_667]]


def test_a_model_that_was_never_measured_is_an_error() -> None:
    table = SpeedTable(("a", "b"), ("K80", "V100"), np.array([[1.0, NAN], [NAN, 4.0]]), "here")
    with pytest.raises(TraceValueError, match="here: no GPU model 'V10'; did you mean 'V100'"):
        table.speed_ppm([], ["V10"], "V100")
    with pytest.raises(TraceValueError, match="here: no workload was measured on both K80 and V100"):
        table.speed_ppm([], ["K80"], "V100")


def test_scaling_is_linear_between_widths_and_level_above() -> None:
    table = ScalingTable(("a", "b"), (1, 2, 4), np.array([[1.0, 1.5, 2.5], [1.0, NAN, 4.0]]), "here")
    ppm = table.scaling_ppm(["b", "a", "x"], 6)
    assert ppm.dtype == np.int64
    assert (ppm[1] / PPM).tolist() == [0, 1, 1.5, 2, 2.5, 2.5, 2.5]
    assert (ppm[0] / PPM).tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert (ppm[2] / PPM).tolist() == [0, 1, 1.5, 2.375, 3.25, 3.25, 3.25]  # medians 1, 1.5, 3.25
    assert ppm[-1].tolist() == ppm[2].tolist()


def test_spread_is_level_above_the_most_nodes_measured() -> None:
    table = SpreadTable(("a",), (1, 2), np.array([[1.0, 0.6]]), "here")
    assert table.spread_ppm(["a"], 3).tolist() == [[0, PPM, 600_000, 600_000]] * 2
    with pytest.raises(TraceValueError, match="at least one GPU or node, not 0"):
        table.spread_ppm([], 0)


def test_power_caps_are_linear_between_limits_and_never_extrapolated() -> None:
    table = PowerCapTable("V100", ("a",), (100, 200), np.array([[0.8, 1.0]]), np.array([[0.5, 1.0]]), "here")
    speed, watts = table.cap_ppm(["a"], (1.0, 0.75, 0.5))
    assert speed.tolist() == [[PPM, 900_000, 800_000]] * 2
    assert watts.tolist() == [[PPM, 750_000, 500_000]] * 2
    for level in (0.4, 1.1, NAN):
        with pytest.raises(TraceValueError, match=r"here: there is no power cap .*; measured are 0\.5 to 1 of 200 W"):
            table.cap_ppm([], (level,))


@pytest.mark.parametrize(
    ("workloads", "gpus", "speedup", "message"),
    [
        ((), (1,), np.ones((0, 1)), "here: has no workload"),
        (("a", "a"), (1,), np.ones((2, 1)), "here: workload 'a' is there twice"),
        (("a",), (2, 4), np.ones((1, 2)), r"here: numbers of GPUs \[2, 4\] must ascend and begin with 1"),
        (("a",), (1, 1), np.ones((1, 2)), "must ascend"),
        (("a",), (1, 2), np.ones((1, 3)), r"\(1, 3\) numbers for 1 rows and 2 columns"),
        (("a",), (1, 2), np.array([[1.0, -2.0]]), "here: a at 2 is -2; it must be above 0"),
        (("a",), (1, 2), np.array([[1.0, np.inf]]), "here: a at 2 is inf"),
        (("a",), (1, 2), np.array([[NAN, 2.0]]), "here: a was not measured at 1 GPU"),
    ],
)
def test_a_broken_table_is_one_clear_line(workloads: tuple, gpus: tuple, speedup: np.ndarray, message: str) -> None:
    with pytest.raises(TraceValueError, match=message):
        ScalingTable(workloads, gpus, speedup, "here")


@given(st.floats(0, 1), st.floats(0, 0.1))
def test_a_fit_finds_the_curve_that_made_the_points(serial: float, communication: float) -> None:
    curve, gpus = ScalingCurve(serial, communication), (1, 2, 4, 8, 16, 64)
    fitted = ScalingCurve.fit(gpus, curve.speedup(gpus))
    assert fitted.serial == pytest.approx(serial, abs=1e-6)
    assert fitted.communication == pytest.approx(communication, abs=1e-6)


def test_a_fit_keeps_within_its_range() -> None:
    faster = ScalingCurve.fit((1, 2, 4), np.array([1.0, 2.2, 5.0]))
    assert (faster.serial, faster.communication) == (0.0, 0.0)
    assert ScalingCurve.fit((1, 2, 4), np.array([1.0, NAN, 2.0])).serial > 0
    with pytest.raises(TraceValueError, match="needs serial from 0 to 1"):
        ScalingCurve(-0.1, 0)


def test_presets_need_no_files() -> None:
    speed = load_speeds("preset:gavel").speed_ppm(["resnet50"], ["K80", "P100", "V100"], "V100")
    assert np.all(np.diff(speed, axis=1) > 0)
    scaling = load_scaling("preset:elasticflow").scaling_ppm(["vgg16", "bert"], 64)
    assert scaling[0, 64] > scaling[1, 64] > PPM
    assert np.all(scaling[:, 1] == PPM)
    spread = load_spread("preset:pollux").spread_ppm(["bert"], 8)
    assert np.all(spread[:, 2:] <= PPM)


@pytest.mark.parametrize("gpu_model", ZEUS)
def test_preset_power_caps_cost_less_speed_than_they_save_power(gpu_model: str) -> None:
    table = load_power_caps(f"preset:{gpu_model}")
    speed, watts = table.cap_ppm(["resnet50"], (0.6, 0.8, 1.0))
    assert np.all(speed[:, 2] == PPM)
    assert np.all(watts[:, 2] == PPM)
    # A P100 hardly reaches 80 % of its limit, so there the two are equal within noise.
    assert np.all(watts[:, 0] < speed[:, 0])
    assert np.all(watts[:, 1] < speed[:, 1] + 5000)
    assert np.all(np.diff(speed) >= 0)
    assert np.all(np.diff(watts) >= 0)


@pytest.mark.parametrize(
    ("load", "uri", "message"),
    [
        (load_speeds, "preset:gavle", "no preset 'gavle' of speeds; did you mean 'gavel'"),
        (load_power_caps, "preset:H100", "no preset 'H100' of power caps; did you mean"),
        (load_scaling, "elasticflo:x", "no such format of curves; did you mean 'elasticflow'"),
        (load_scaling, "elasticflow:x?batch=middle", "batch takes smallest or largest"),
        (load_spread, "pollux:x?batch=largest", "pollux has no option 'batch'"),
    ],
)
def test_a_mistake_in_a_uri_is_named(load: object, uri: str, message: str) -> None:
    with pytest.raises(TraceURIError, match=message):
        load(uri)
