"""What cooling adds to the energy of a site by the temperature outdoors: its PUE, piecewise linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from configs.checks import check_number
from envs.errors import EnvironmentConfigError


@dataclass(frozen=True, slots=True)
class PuePoint:
    """A point of a curve.

    Attributes:
        degc: outdoor temperature, degC.
        pue: power usage effectiveness there.
    """

    degc: float
    pue: float

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            EnvironmentConfigError: a number is not finite or out of range.
        """
        check_number("regions: pue: degc", self.degc, EnvironmentConfigError, low=-90.0, high=60.0)
        check_number("regions: pue: pue", self.pue, EnvironmentConfigError, low=1.0, high=10.0)


PUE_CURVE = tuple(
    PuePoint(degc, round(7.1705e-5 * degc**2 + 0.0041 * degc + 1.0743, 4)) for degc in (0.0, 10.0, 20.0, 30.0, 40.0)
)
"""The default: outside air cools as far as it can, and compressors do the rest.

Source: the quadratic fit of the partial PUE of an Emerson Liebert DSE system that Xu, Feng and Li use in "Temperature
    Aware Workload Management in Geo-distributed Datacenters" (ICAC 2013); its values at every tenth degree are ours. It
    has cooling alone, not the losses of power distribution.
"""


def check_cooling(where: str, curve: Sequence[PuePoint], has_temperature: bool) -> None:
    """Refuse a curve without points, whose points do not ascend, or that has no temperature to be read by.

    Args:
        where: the region, for messages.
        curve: its PUE by temperature.
        has_temperature: whether the region has a signal of its temperature.

    Raises:
        EnvironmentConfigError: as above.
    """
    if not curve:
        raise EnvironmentConfigError(f"{where}: pue is empty; give at least one point, or leave it out")
    for before, after in pairwise(curve):
        if after.degc <= before.degc:
            raise EnvironmentConfigError(
                f"{where}: pue: the point at {after.degc:g} degC follows that at {before.degc:g}; sort them"
            )
    if not has_temperature and tuple(curve) != PUE_CURVE:
        raise EnvironmentConfigError(f"{where}: pue needs a temperature, and there is none; give a signal of it")


def pue_at(curve: Sequence[PuePoint], degc: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The PUE at temperatures, in their shape: linear between points, constant before the first and after the last."""
    return np.asarray(np.interp(degc, [point.degc for point in curve], [point.pue for point in curve]), np.float64)
