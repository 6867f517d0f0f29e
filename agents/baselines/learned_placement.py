"""`tuned-placement` with prices that change with the state: linear in what is on, waits, and was submitted lately.

A place in a fast pool is worth more when the pool is nearly full and jobs come. The constants of `tuned-placement` are
where the search begins. Half of the change that it finds is kept, because searches overfit where windows are few; and
none of it where that costs more on the training window.

Source: shadow prices of a linear assignment; Hansen and Ostermeier, Evolutionary Computation 9(2), 2001.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.constant import ConstantSetpoint
from agents.baselines.tuned_placement import PricedReplays, TunedPlacement, search_prices
from configs.serialize import to_dict
from envs.gpu_cluster.codec import SLOPES
from envs.gpu_cluster.placement import PriceSlopes

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow
    from envs.gpu_cluster.config import EnvironmentConfig

SEEDS, GENERATIONS, SIGMA = 1, 40, 0.1
FACTOR = 0.5
"""By which the change that a search finds is shrunk."""


@dataclass(frozen=True, slots=True)
class LearnedPlacement:
    """The result of a search over prices that change with the state.

    Attributes:
        start: the constants that it began at.
        prices: USD per node-hour of each pool where every quantity is 0.
        slopes: how they change, one for each pool; empty: they do not.
        usd_per_window: what it cost on a window of the training part, without the energy of GPUs that work.
        simulated_jobs: jobs that were simulated, those of the start included.
    """

    start: TunedPlacement
    prices: tuple[float, ...]
    slopes: tuple[PriceSlopes, ...]
    usd_per_window: float
    simulated_jobs: int

    def policy(self, config: EnvironmentConfig) -> ConstantSetpoint:
        """The policy, for the codec layout of `config`."""
        policy = self.start.policy(config)
        policy.name, policy.placement_prices, policy.placement_slopes = "learned-placement", self.prices, self.slopes
        return policy

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        own = {name: value for name, value in to_dict(self).items() if name != "start"}
        return {**self.start.to_dict(), **own}

    def describe(self) -> str:
        """The choice in words."""
        change = "prices that change with the state" if self.slopes else "prices that do not change with the state"
        return f"{self.start.describe()}; {change}"


def tune(training: TrainingWindow, progress: Callable[[int], None] | None = None) -> LearnedPlacement:
    """Search; see `agents.baselines.tuned.tune`, whose simulator is imported only here."""
    from agents.baselines import tuned

    return learn(training, search_prices(training, tuned.tune(training, progress)))


def learn(training: TrainingWindow, start: TunedPlacement, seeds: Sequence[int] = range(SEEDS)) -> LearnedPlacement:
    """Search how the prices should change with the state.

    Args:
        training: the training window.
        start: the constants to begin at.
        seeds: of the searches; the cheapest of what they find is kept, the constants if that is no cheaper.
    """
    pools = len(start.prices)
    if pools < 2:
        return LearnedPlacement(start, (), (), start.usd_per_window, start.simulated_jobs)
    play = PricedReplays(training, start.tuned)
    constants = np.array(start.prices) / play.scale

    def parts(change: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[pools] prices and [pools, len(SLOPES)] slopes, in units; a price that would be below 0 is 0."""
        table = change.reshape(pools, -1)
        return np.maximum(constants + table[:, 0], 0.0), table[:, 1:]

    def usd(change: NDArray[np.float64]) -> float:
        return float(play.by_window(*parts(change)).mean())

    none = np.zeros(pools * (1 + len(SLOPES)))
    changes = [none, *(FACTOR * _search(usd, len(none), seed) for seed in seeds)]
    costs = [usd(change) for change in changes]
    best = int(np.argmin(costs))
    prices, slopes = (each * play.scale for each in parts(changes[best]))
    return LearnedPlacement(
        start=start,
        prices=tuple(prices.tolist()),
        slopes=tuple(PriceSlopes(*row) for row in slopes.tolist()) if best > 0 else (),
        usd_per_window=costs[best],
        simulated_jobs=start.simulated_jobs + play.count * training.jobs,
    )


def _search(usd: Callable[[NDArray[np.float64]], float], size: int, seed: int) -> NDArray[np.float64]:
    """[size] float64, the mean of the last generation of a search."""
    from agents.es.search import Search

    search = Search(np.zeros(size), SIGMA, None, np.random.default_rng(seed))
    for _ in range(GENERATIONS):
        search.tell(np.array([usd(change) for change in search.ask()]))
    return search.mean


BASELINE = Baseline(tune=tune, group=LITERATURE)
