"""`reactive-tuned` with a price for a place in each pool, where later jobs may need it more: found by CMA-ES.

The default placement compares what a job costs in each pool, as if it were alone. A shadow price of a pool's nodes lets
it count that another job may come to which the pool is worth more. It changes where jobs go, and no cost.

Source: shadow prices of a linear assignment; the search as in `agents.baselines.cma_search`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.constant import ConstantSetpoint
from configs.serialize import to_dict

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow
    from agents.baselines.tuned import Tuned
    from envs.gpu_cluster.config import EnvironmentConfig

SEEDS, GENERATIONS, SIGMA = 5, 12, 0.25


@dataclass(frozen=True, slots=True)
class TunedPlacement:
    """The result of a search over prices of the pools.

    Attributes:
        tuned: set-point, levers and packer, tuned first.
        prices: USD per node-hour of each pool, on top of what a node costs; empty: there is one pool.
        usd_per_window: what it cost on a window of the training part, without the energy of GPUs that work.
        seeds_usd_per_window: what each seed of the search found.
        simulated_jobs: jobs that were simulated, those of `tuned` included.
    """

    tuned: Tuned
    prices: tuple[float, ...]
    usd_per_window: float
    seeds_usd_per_window: tuple[float, ...]
    simulated_jobs: int

    def policy(self, config: EnvironmentConfig) -> ConstantSetpoint:
        """The policy, for the codec layout of `config`."""
        policy = self.tuned.policy(config)
        policy.name, policy.placement_prices = "tuned-placement", self.prices
        return policy

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        own = {name: value for name, value in to_dict(self).items() if name != "tuned"}
        return {**self.tuned.to_dict(), **own}

    def describe(self) -> str:
        """The choice in words."""
        prices = " / ".join(f"{price:.3g}" for price in self.prices)
        extra = f", {prices} USD per node-hour on top for placement" if self.prices else ""
        return f"{self.tuned.describe()}{extra}"


def tune(training: TrainingWindow, progress: Callable[[int], None] | None = None) -> TunedPlacement:
    """Search; see `agents.baselines.tuned.tune`, whose simulator is imported only here."""
    from agents.baselines import tuned

    return search_prices(training, tuned.tune(training, progress))


def search_prices(training: TrainingWindow, tuned: Tuned, seeds: Sequence[int] = range(SEEDS)) -> TunedPlacement:
    """Search the prices of the pools, from none.

    Args:
        training: the training window.
        tuned: the heuristic that decides when nodes are on.
        seeds: of the searches; the cheapest of what they find is kept, none if that is no worse.
    """
    play = PricedReplays(training, tuned)
    pools = len(training.cluster.pools)
    none = np.zeros(pools)
    start = play.usd(none)
    if pools < 2:
        return TunedPlacement(tuned, (), start, (), tuned.simulated_jobs + training.jobs)
    ends = [_evolve(play.usd, pools, seed) for seed in seeds]
    found = [(start, none), *((min(usd, start), point if usd < start else none) for usd, point in ends)]
    usd, point = min(found, key=lambda pair: pair[0])
    return TunedPlacement(
        tuned=tuned,
        prices=tuple((point * play.scale).tolist()),
        usd_per_window=usd,
        seeds_usd_per_window=tuple(each for each, _ in found[1:]),
        simulated_jobs=tuned.simulated_jobs + play.count * training.jobs,
    )


class PricedReplays:
    """Replays the windows under prices, in units of what waiting for a node's GPUs and their energy cost an hour.

    Args:
        training: the windows.
        tuned: the heuristic that decides when nodes are on.

    Attributes:
        scale: the unit, USD per node-hour.
        count: replays of all windows so far.
    """

    def __init__(self, training: TrainingWindow, tuned: Tuned) -> None:
        from envs.gpu_cluster.codec import Pool

        self._problem = training.problem(tuned.packer)
        self._episodes = training.episodes(self._problem)
        self._rule = tuned.policy(training.config).rule
        self._column = int(Pool.USD_PER_NODE_HOUR)
        template = self._problem.template
        watts = template[:, Pool.IDLE_NODE_WATTS] + template[:, Pool.BUSY_GPU_WATTS] * template[:, Pool.GPUS_PER_NODE]
        waiting = template[:, Pool.GPUS_PER_NODE].max() * training.config.objective.usd_per_gpu_hour
        self.scale = max(float((watts / 1000.0 * template[:, Pool.USD_PER_KWH]).max()), float(waiting))
        self.count = 0

    def usd(self, units: NDArray[np.float64]) -> float:
        """Mean cost of a window: units [pools] float64 times `scale` are USD per node-hour."""
        return float(self.by_window(units).mean())

    def by_window(self, units: NDArray[np.float64], slopes: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """[windows] float64, what each costs.

        Args:
            units: [pools] float64, as in `usd`.
            slopes: [pools, len(SLOPES)] float64, in the same unit: how the prices change with the state; None: they do
                not.
        """
        from envs.gpu_cluster.simulator import Simulator

        template, problem = self._problem.template.copy(), self._problem
        template[:, self._column] += units * self.scale
        if slopes is not None:
            moving = problem.settings._replace(moves_prices=True)
            problem = replace(problem, slopes=slopes * self.scale, settings=moving)
        simulator = Simulator.from_problem(replace(problem, template=template), len(self._episodes))
        simulator.reset(np.arange(len(self._episodes)), self._episodes)
        simulator.replay(np.tile(self._rule, (len(self._episodes), 1)))
        self.count += 1
        return simulator.decided_usd()


def _evolve(usd: Callable[[NDArray[np.float64]], float], pools: int, seed: int) -> tuple[float, NDArray[np.float64]]:
    """The best that a seed finds: its cost, and the prices as shares of the scale."""
    import cma

    generator = np.random.default_rng(seed)
    settings: dict[str, Any] = {
        "bounds": [0.0, 1.0],
        "verbose": -9,
        "verb_log": 0,
        "seed": np.nan,  # leaves NumPy's global generator alone
        "randn": lambda *shape: generator.standard_normal(shape),
    }
    strategy = cma.CMAEvolutionStrategy(np.full(pools, 0.1), SIGMA, settings)
    best = (np.inf, np.zeros(pools))
    for _ in range(GENERATIONS):
        points = strategy.ask()
        costs = [usd(np.asarray(point)) for point in points]
        strategy.tell(points, costs)
        lowest = int(np.argmin(costs))
        if costs[lowest] < best[0]:
            best = (costs[lowest], np.asarray(points[lowest]))
    return best


BASELINE = Baseline(tune=tune, group=LITERATURE)
