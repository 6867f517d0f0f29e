"""Tuning by CMA-ES where a grid would be too large: several seeds, one budget of simulated jobs for all together.

Each generation is played on some of the training windows, drawn anew, so that the budget lasts for enough generations;
what the seeds end with and the start are then played on all of them, and the cheapest is kept. So a result is never
worse on the training window than the start.

Source: Hansen and Ostermeier, Evolutionary Computation 9(2), 2001; the package `cma`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.knobs import Knobs, decoded, start_units
from agents.baselines.rule import Constants, Facts, Rule
from agents.baselines.search import TunedConstants
from agents.baselines.training_window import TRIED_PACKERS, TrainingWindow

if TYPE_CHECKING:
    from agents.baselines.searched import SearchedRule

SEEDS = 5
SIGMA = 0.25
LEAST_GENERATIONS, MOST_GENERATIONS = 20, 60
PACKER = "packer"
"""A knob of this name is an index into `TRIED_PACKERS`, and no constant of the rule."""


def search_by_cma(
    rule: type[SearchedRule],
    window: TrainingWindow,
    progress: Callable[[int], None] | None = None,
    budget_jobs: int | None = None,
    seeds: int = SEEDS,
) -> TunedConstants:
    """Search the constants of a rule.

    Args:
        rule: the rule; its `knobs` say what is searched, and from where.
        window: the training window.
        progress: called with the jobs simulated since the last call.
        budget_jobs: most jobs that are simulated, None for what an agent may; the ends of the seeds are always played.
        seeds: of the search.

    Raises:
        ClusterError: trace, cluster and codec do not fit together, or the window has no job.
    """
    facts = rule.learn(window)
    knobs, used = rule.knobs(window, facts)
    budget = window.budget_jobs if budget_jobs is None else budget_jobs
    trial = _Trial(rule, facts, knobs, window, progress)
    left = budget - used - (2 * seeds + 1) * window.jobs
    ends = _evolve(trial, left, seeds)
    finals = [start_units(knobs), *ends]
    means = trial.costs(finals, None).mean(axis=1)
    best = int(means.argmin())
    packer, constants = trial.split(finals[best])
    per_seed = [float(min(means[0], means[1 + 2 * seed : 3 + 2 * seed].min())) for seed in range(seeds)]
    return TunedConstants(
        rule=rule,
        constants=constants,
        facts=facts,
        packer=packer,
        usd_per_window=float(means[best]),
        usd_per_hour=window.per_hour(float(means[best])),
        tried=trial.tried,
        simulated_jobs=used + trial.jobs,
        budget_jobs=budget,
        seeds_usd_per_window=tuple(per_seed),
    )


class _Trial:
    """Plays sets of knobs and counts the jobs that it takes."""

    def __init__(
        self,
        rule: type[Rule],
        facts: Facts,
        knobs: Knobs,
        window: TrainingWindow,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.rule, self.facts, self.knobs, self.window, self.progress = rule, facts, knobs, window, progress
        self.jobs = 0
        self.tried = 0

    def split(self, units: NDArray[np.float64]) -> tuple[str | None, Constants]:
        """Packer and constants of a point."""
        constants = decoded(self.knobs, units)
        index = constants.pop(PACKER, None)
        return (self.rule.tuned_packer if index is None else TRIED_PACKERS[int(index)]), constants

    def costs(self, points: Sequence[NDArray[np.float64]], which: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """[points, windows] float64, USD; points of one packer are played side by side."""
        split = [self.split(units) for units in points]
        number = len(self.window.episode_jobs) if which is None else len(which)
        costs = np.empty((len(points), number))
        for packer in dict.fromkeys(packer for packer, _ in split):
            mine = [index for index, (each, _) in enumerate(split) if each == packer]
            sets = [split[index][1] for index in mine]
            costs[mine] = self.window.costs(self.rule, self.facts, sets, packer, self.progress, which)
        counted = self.window.episode_jobs if which is None else self.window.episode_jobs[which]
        self.jobs += len(points) * int(counted.sum())
        self.tried += len(points)
        return costs


def _evolve(trial: _Trial, budget_jobs: int, seeds: int) -> list[NDArray[np.float64]]:
    """The mean and the best point of each seed, within a budget; the start where that is too small."""
    import cma

    start = start_units(trial.knobs)
    if len(start) < 2:  # CMA-ES has no covariance to learn there
        raise ValueError(f"{trial.rule.label} has {len(start)} knob(s); a grid is enough for less than two")
    settings: dict[str, Any] = {"bounds": [0.0, 1.0], "verbose": -9, "verb_log": 0}
    # Each seed has its own generator: `cma` would seed and draw from NumPy's global one.
    settings |= {"seed": np.nan}
    strategies = [cma.CMAEvolutionStrategy(start, SIGMA, {**settings, "randn": _randn(seed)}) for seed in range(seeds)]
    generator = np.random.default_rng(seeds)
    population = seeds * strategies[0].popsize
    best = [(np.inf, start)] * seeds
    for which in _windows(trial.window.episode_jobs, population, budget_jobs, generator):
        asked = [strategy.ask() for strategy in strategies]
        means = trial.costs([point for points in asked for point in points], which).mean(axis=1)
        for seed, (strategy, points) in enumerate(zip(strategies, asked, strict=True)):
            own = means[seed * len(points) : (seed + 1) * len(points)]
            strategy.tell(points, own.tolist())
            best[seed] = (float(own.min()), points[int(own.argmin())])  # of the last generation: windows differ
    ends = []
    for strategy, (_, point) in zip(strategies, best, strict=True):
        ends += [np.clip(np.asarray(strategy.result.xfavorite), 0.0, 1.0), np.asarray(point)]
    return ends


def _randn(seed: int) -> Callable[..., NDArray[np.float64]]:
    """Normal numbers in a shape, as `cma` asks for them."""
    generator = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[np.float64]:
        return generator.standard_normal(shape)

    return draw


def _windows(
    jobs: NDArray[np.int64], population: int, budget_jobs: int, generator: np.random.Generator
) -> list[NDArray[np.int64]]:
    """The windows that each generation is played on: as many as leave enough generations."""
    affordable = budget_jobs / (population * max(float(jobs.mean()), 1.0))  # windows in all generations together
    each = int(np.clip(affordable / LEAST_GENERATIONS, 1, len(jobs)))
    found: list[NDArray[np.int64]] = []
    spent = 0
    while len(found) < MOST_GENERATIONS:
        which = np.sort(generator.permutation(len(jobs))[:each])
        spent += population * int(jobs[which].sum())
        if spent > budget_jobs:
            break
        found.append(which)
    return found
