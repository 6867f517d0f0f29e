"""Quantities of Kubernetes such as 500m, 2Gi or 1e3."""

import re
from collections.abc import Mapping
from typing import Any, Final

_QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d{1,2})|([numkKMGTPE]?i?))")
_UNITS: Final[Mapping[str, float]] = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    **{f"{letter}i": 2.0 ** (10 * power) for power, letter in enumerate("KMGTPE", 1)},
}


def quantity(value: Any) -> float:
    """A quantity as a number.

    Raises:
        ValueError: it is none.
    """
    match = _QUANTITY.fullmatch(str(value))
    if match is None or (match[3] or "") not in _UNITS:
        raise ValueError(f"{value!r} is no quantity such as 500m or 2Gi")
    return float(match[1] + (match[2] or "")) * _UNITS[match[3] or ""]
