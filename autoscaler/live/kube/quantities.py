"""Kubernetes quantities (`500m`, `1Ki`, `1e3`) as exact whole thousandths.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from fractions import Fraction

MAX_TEXT = 64
MAX_EXPONENT = 30

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([eE][+-]?[0-9]{1,3})|([numkMGTPE]|[KMGTPE]i))?")
_SUFFIXES: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    **{suffix: Fraction(10 ** (3 * (power + 1))) for power, suffix in enumerate("kMGTPE")},
    **{f"{suffix}i": Fraction(1024 ** (power + 1)) for power, suffix in enumerate("KMGTPE")},
}


class QuantityError(ValueError):
    """A value that is no quantity, or no quantity of what it should measure."""


def parse_milli(value: object) -> int:
    """A quantity in thousandths, rounded up as Kubernetes rounds.

    Args:
        value: text such as `500m`, or a number, which JSON allows as well.

    Raises:
        QuantityError: no quantity, negative, or beyond all reason.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QuantityError(f"{_short(value)} is no quantity")
    text = str(value)
    match = _QUANTITY.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise QuantityError(f"{_short(value)} is no quantity; write it as 4, 500m, 1Ki or 1e3")
    number, exponent, suffix = match.groups()
    amount = Fraction(number.rstrip("."))
    if exponent:
        power = int(exponent[1:])
        if abs(power) > MAX_EXPONENT:
            raise QuantityError(f"{_short(value)} is out of range")
        amount *= Fraction(10) ** power
    if suffix:
        amount *= _SUFFIXES[suffix]
    if amount < 0:
        raise QuantityError(f"{_short(value)} is negative")
    return -int(-amount * 1000 // 1)


def parse_gpu_milli(value: object) -> int:
    """A quantity of GPUs in thousandths; extended resources are whole numbers.

    Raises:
        QuantityError: as `parse_milli`, or not whole.
    """
    milli = parse_milli(value)
    if milli % 1000:
        raise QuantityError(f"{_short(value)} GPUs: an extended resource is a whole number")
    return milli


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
