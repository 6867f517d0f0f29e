"""Constants as knobs between 0 and 1, for a search that knows nothing of their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Range:
    """A number between two ends.

    Attributes:
        low: least value.
        high: largest value.
        start: where the search begins.
    """

    low: float
    high: float
    start: float

    def value(self, unit: float) -> float:
        """The value at a position between 0 and 1."""
        return self.low + (self.high - self.low) * unit

    @property
    def start_unit(self) -> float:
        """The position of the start."""
        return (self.start - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values in an order in which neighbours are alike.

    Attributes:
        values: the values.
        start: the one where the search begins.
    """

    values: tuple[float, ...]
    start: float

    def value(self, unit: float) -> float:
        """The value at a position between 0 and 1; each has an equal part of it."""
        return self.values[min(int(unit * len(self.values)), len(self.values) - 1)]

    @property
    def start_unit(self) -> float:
        """The middle of the part of the start."""
        return (self.values.index(self.start) + 0.5) / len(self.values)


Knobs = Mapping[str, Range | Choice]


def decoded(knobs: Knobs, units: NDArray[np.float64]) -> dict[str, float]:
    """The constants at positions between 0 and 1."""
    return {name: knob.value(float(unit)) for (name, knob), unit in zip(knobs.items(), units, strict=True)}


def start_units(knobs: Knobs) -> NDArray[np.float64]:
    """[K] float64, the positions of the start."""
    return np.array([knob.start_unit for knob in knobs.values()])
