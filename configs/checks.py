"""Checks of settings, shared by every package. Each raises the caller's error: one line with name, value and fix."""

from __future__ import annotations

import math
from collections.abc import Iterable

from configs.errors import UserError, did_you_mean


def check_number(
    name: str,
    value: float | None,
    error: type[UserError],
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Refuse a number outside its range, infinity and NaN. None passes: it means that an optional setting is not given.

    Args:
        name: the setting as the user writes it.
        value: what it was set to.
        error: the class of the error to raise.
        low: least value that is valid.
        high: greatest value that is valid.
        above: valid values are greater than this.
        below: valid values are less than this. At least one limit is given.

    Raises:
        UserError: of class `error`; the value is not finite or out of range.
    """
    if value is None or (
        math.isfinite(value)
        and (low is None or low <= value)
        and (high is None or value <= high)
        and (above is None or above < value)
        and (below is None or value < below)
    ):
        return
    finite = "" if math.isfinite(value) or None not in (low, high) else "finite and "
    raise error(f"{name} is {value}; it must be {finite}{_rule(low, high, above, below)}")


def check_fields(
    settings: object,
    names: Iterable[str],
    error: type[UserError],
    where: str = "",
    *,
    low: float | None = None,
    above: float | None = None,
) -> None:
    """Refuse fields of settings outside one range, as `check_number` does.

    Args:
        settings: whose fields they are.
        names: of the fields.
        error: the class of the error to raise.
        where: what the user writes before each name, such as `nodes.`.
        low: least value that is valid.
        above: valid values are greater than this. One of the two is given.

    Raises:
        UserError: of class `error`; a value is not finite or out of range.
    """
    for name in names:
        check_number(f"{where}{name}", getattr(settings, name), error, low=low, above=above)


def check_choice(name: str, value: str, choices: Iterable[str], error: type[UserError]) -> None:
    """Refuse a word that is none of the choices, with the nearest one.

    Args:
        name: the setting as the user writes it.
        value: what it was set to.
        choices: the valid words.
        error: the class of the error to raise.

    Raises:
        UserError: of class `error`; there is no such choice.
    """
    known = list(choices)
    if value not in known:
        raise error(f"unknown {name} {value!r}{did_you_mean(value, known)}")


def _rule(low: float | None, high: float | None, above: float | None, below: float | None) -> str:
    if low is not None and high is not None:
        return f"{_text(low)} to {_text(high)}"
    limits = {"at least": low, "above": above, "at most": high, "below": below}
    return " and ".join(f"{word} {_text(limit)}" for word, limit in limits.items() if limit is not None)


def _text(limit: float) -> str:
    return str(limit) if isinstance(limit, int) else f"{limit:.10g}"
