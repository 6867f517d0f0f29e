"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from autoscaler.evaluation.formats import UNKNOWN, duration, number, percent


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.5, "0.5 s"), (59.0, "59.0 s"), (90.0, "1.50 min"), (7200.0, "2.00 h"), (864_000.0, "10.0 d")],
)
def test_durations_take_the_largest_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_numbers_have_about_four_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0213, "+2.1 %"),
        (-0.0021, "−0.21 %"),
        (0.00004, "+0.004 %"),
        (-0.000001, "0 %"),
        (1.444, "+144 %"),
        (81.2, "+8,120 %"),
    ],
)
def test_shares_are_per_cent(share: float, text: str) -> None:
    assert percent(share, signed=True) == text
    assert percent(abs(share)) == text.removeprefix("+").removeprefix("−")


def test_what_is_not_known_is_a_dash() -> None:
    assert duration(math.nan) == number(math.inf) == percent(math.nan) == UNKNOWN
