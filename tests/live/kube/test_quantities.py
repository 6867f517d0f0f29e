"""Kubernetes quantities."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.live.kube.quantities import QuantityError, parse_gpu_milli, parse_milli


@pytest.mark.parametrize(
    ("text", "milli"),
    [
        ("500m", 500),
        ("1Ki", 1_024_000),
        ("1e3", 1_000_000),
        ("12E2", 1_200_000),
        ("1E", 10**21),
        ("1.5Gi", 1_610_612_736_000),
        (".5", 500),
        ("5.", 5000),
        ("100n", 1),
        ("+2", 2000),
        (4, 4000),
        (1.5, 1500),
        ("0", 0),
    ],
)
def test_quantities_are_exact_thousandths_rounded_up(text: object, milli: int) -> None:
    assert parse_milli(text) == milli


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "1 Ki", "1KI", True, None, "1e999", "9" * 100, [1], {}, "NaN", "inf", float("nan"), "1\n", "٣"],
)
def test_what_is_no_quantity_is_a_typed_error(text: object) -> None:
    with pytest.raises(QuantityError):
        parse_milli(text)


@given(st.one_of(st.text(max_size=80), st.floats(), st.integers(), st.binary()))
def test_nothing_else_is_ever_raised(value: object) -> None:
    with contextlib.suppress(QuantityError):
        assert parse_milli(value) >= 0


def test_gpus_are_whole() -> None:
    assert parse_gpu_milli("8") == 8000
    with pytest.raises(QuantityError, match="whole"):
        parse_gpu_milli("500m")
