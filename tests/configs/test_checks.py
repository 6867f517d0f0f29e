"""Checks of settings: what passes, and the one line that refuses the rest."""

from __future__ import annotations

import math
import types
from typing import Any

import pytest

from configs.checks import check_choice, check_fields, check_number
from configs.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        (0.0, {"low": 0.0}),
        (3, {"low": 0, "high": 3}),
        (0.5, {"above": 0.0, "below": 1.0}),
        (1.0, {"above": 0.0, "high": 1.0}),
        (None, {"low": 5.0}),
    ],
)
def test_a_number_in_its_range_or_one_that_is_not_given_passes(value: float | None, limits: dict[str, Any]) -> None:
    check_number("key", value, ConfigError, **limits)


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        (-1.0, {"low": 0.0}, "key is -1.0; it must be at least 0"),
        (math.inf, {"low": 0.0}, "key is inf; it must be finite and at least 0"),
        (math.nan, {"low": 0.0, "high": 3.0}, "key is nan; it must be 0 to 3"),
        (0.0, {"above": 0.0}, "key is 0.0; it must be above 0"),
        (1.0, {"low": 0.0, "below": 1.0}, "key is 1.0; it must be at least 0 and below 1"),
        (2.0, {"above": 0.0, "high": 1.0}, "key is 2.0; it must be above 0 and at most 1"),
        (2**63, {"low": 0, "high": 2**63 - 1}, f"key is {2**63}; it must be 0 to {2**63 - 1}"),
    ],
)
def test_any_other_number_is_refused_in_one_line_that_names_the_range(
    value: float, limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_number("key", value, ConfigError, **limits)
    assert str(caught.value) == message


def test_an_unknown_choice_is_refused_with_the_nearest_one() -> None:
    check_choice("order", "shortest", ("shortest", "fair-share"), ConfigError)
    with pytest.raises(ConfigError, match=r"^unknown order 'shortst'; did you mean 'shortest'\?$"):
        check_choice("order", "shortst", ("shortest", "fair-share"), ConfigError)


def test_fields_are_refused_by_the_name_that_a_user_writes() -> None:
    settings = types.SimpleNamespace(good=1.0, bad=-1.0, absent=None)
    check_fields(settings, ("good", "absent"), ConfigError, "nodes.", low=0.0)
    with pytest.raises(ConfigError, match=r"nodes\.bad is -1\.0; it must be at least 0"):
        check_fields(settings, ("good", "bad"), ConfigError, "nodes.", low=0.0)
