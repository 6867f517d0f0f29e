"""What learning itself costs: processor time, energy, carbon, and when a policy has saved as much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from autoscaler.bench.errors import BenchError
from configs.checks import check_number

Columns = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""Scenario -> column -> [S, W] float64."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a processor that learns uses; not measured.

    Attributes:
        watts_per_core: of a busy core with its share of the machine. Source: Lannelongue, Grealey and Inouye, "Green
            Algorithms" (2021), takes 12 W for a core of a processor that is not known.
        grams_per_kwh: carbon intensity. Source: IEA, about 475 gCO2e/kWh were the world's mean in 2018.
    """

    watts_per_core: float = 12.0
    grams_per_kwh: float = 475.0

    def __post_init__(self) -> None:
        """Refuse negative numbers.

        Raises:
            BenchError: as above.
        """
        check_number("watts per core", self.watts_per_core, BenchError, low=0.0)
        check_number("grams per kWh", self.grams_per_kwh, BenchError, low=0.0)

    def to_dict(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LearningCost:
    """What it took to learn for all scenarios once, mean of the seeds.

    Attributes:
        cpu_hours: processor time.
        kwh: energy.
        grams: gCO2e.
        payback_days: days after which the policy has used that much less energy than the reference, in all scenarios
            together; infinite: it uses more; None: there is no reference.
    """

    cpu_hours: float
    kwh: float
    grams: float
    payback_days: float | None

    def to_dict(self) -> dict[str, float | None]:
        """By name."""
        return asdict(self)


def learning_cost(ours: Columns, reference: Columns | None, assumptions: Assumptions) -> LearningCost | None:
    """The cost of learning of a policy; None where it learns nothing.

    Args:
        ours: columns of the policy, among them `learning_cpu_seconds`, which repeats on each window.
        reference: those of the policy that it would replace.
        assumptions: about processor and grid.
    """
    cpu_hours = sum(float(columns["learning_cpu_seconds"][:, 0].mean()) for columns in ours.values()) / 3600.0
    if cpu_hours == 0.0:
        return None
    kwh = cpu_hours * assumptions.watts_per_core / 1000.0
    days = None
    if reference is not None and (common := ours.keys() & reference.keys()):
        saved = sum(_kwh_per_day(reference[name]) - _kwh_per_day(ours[name]) for name in common)
        days = kwh / saved if saved > 0.0 else float("inf")
    return LearningCost(cpu_hours, kwh, kwh * assumptions.grams_per_kwh, days)


def _kwh_per_day(columns: Mapping[str, NDArray[np.float64]]) -> float:
    """Mean energy of a day; a run lasts until its last job has ended."""
    return float(columns["energy_kwh_total"].mean(axis=0).sum() / columns["hours"].mean(axis=0).sum() * 24.0)
