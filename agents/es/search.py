"""One search by CMA-ES, which can be told again what it was told before: that is all that a checkpoint needs."""

from __future__ import annotations

from typing import Any

import cma
import numpy as np
from numpy.typing import NDArray

MOST_FULL = 400
"""Weights up to which the whole covariance matrix is adapted, beyond it only its diagonal."""


class Search:
    """Candidates around a mean that moves towards the better ones.

    Args:
        mean: [number of weights] float64, where it begins.
        sigma: standard deviation of the first candidates.
        population: candidates of a generation; None: the library's choice by the number of weights.
        generator: its own, of all random numbers.

    Attributes:
        told: the costs that it was told, a row [population] float64 for each generation.
    """

    def __init__(
        self, mean: NDArray[np.float64], sigma: float, population: int | None, generator: np.random.Generator
    ) -> None:
        options: dict[str, Any] = {
            "verbose": -9,
            "seed": np.nan,  # leaves NumPy's global generator alone
            "randn": lambda *shape: generator.standard_normal(shape),
            "CMA_diagonal": len(mean) > MOST_FULL,
            **({} if population is None else {"popsize": population}),
        }
        self._strategy = cma.CMAEvolutionStrategy(mean, sigma, options)
        self._asked: list[NDArray[np.float64]] = []
        self.told: list[NDArray[np.float64]] = []

    @property
    def mean(self) -> NDArray[np.float64]:
        """[number of weights] float64, the best guess so far."""
        return np.array(self._strategy.mean, np.float64)

    @property
    def sigma(self) -> float:
        """The overall step size."""
        return float(self._strategy.sigma)

    def ask(self) -> NDArray[np.float64]:
        """[population, number of weights] float64, the next candidates."""
        self._asked = self._strategy.ask()
        return np.array(self._asked, np.float64)

    def tell(self, costs: NDArray[np.float64]) -> None:
        """Learn what the candidates of the last `ask` cost, the less the better: [population] float64."""
        self._strategy.tell(self._asked, costs.tolist())
        self.told.append(costs)

    def repeat(self, told: NDArray[np.float64]) -> None:
        """Come to the state of a search that was told these costs: [generations, population] float64."""
        for costs in told:
            self.ask()
            self.tell(costs)
