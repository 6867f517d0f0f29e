"""Tuning of the rules of the literature: the same budget of simulated jobs for each, on the same training window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.baselines.rule import Facts, Rule
from agents.baselines.training_window import TrainingWindow
from envs.gpu_cluster.config import EnvironmentConfig

SAMPLE_SEED = 0
"""Of the sets that are tried where the budget is too small for all."""


@dataclass(frozen=True, slots=True)
class TunedConstants:
    """What the search of a rule found.

    Attributes:
        rule: the rule.
        constants: the cheapest set.
        facts: what the rule learned from the training window.
        packer: in-pool packer, None for the environment's own.
        usd_per_window: what it cost on a window of the training part, without the energy of GPUs that work.
        usd_per_hour: the same per hour of the windows.
        tried: sets of constants that were tried.
        simulated_jobs: jobs that were simulated for that.
        budget_jobs: jobs that might have been.
        seeds_usd_per_window: of a stochastic search, what each of its seeds found; empty for a grid.
    """

    rule: type[Rule]
    constants: Mapping[str, float]
    facts: Facts
    packer: str | None
    usd_per_window: float
    usd_per_hour: float
    tried: int
    simulated_jobs: int
    budget_jobs: int
    seeds_usd_per_window: tuple[float, ...] = field(default=())

    def policy(self, config: EnvironmentConfig) -> Rule:
        """The policy, for the codec layout of `config`."""
        return self.rule(config.codec, self.constants, self.facts, self.packer)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = {name: getattr(self, name) for name in self.__slots__ if name not in ("rule", "facts", "constants")}
        seeds = list(self.seeds_usd_per_window)
        return {**values, "seeds_usd_per_window": seeds, "constants": dict(self.constants), **self.facts.values}

    def describe(self) -> str:
        """The choice, and the budget, in words."""
        chosen = ", ".join(f"{name} {value:g}" for name, value in self.constants.items())
        packer = f"{self.packer}, " if self.packer else ""
        budget = f"{self.tried} sets, {self.simulated_jobs:,} of {self.budget_jobs:,} jobs"
        spread = ""
        if self.seeds_usd_per_window:
            low, high = min(self.seeds_usd_per_window), max(self.seeds_usd_per_window)
            spread = f"; {len(self.seeds_usd_per_window)} seeds from {low:.4g} to {high:.4g} USD per window"
        return f"{packer}{chosen} ({budget}{spread})"


def grid_sets(grid: Mapping[str, Sequence[float]], most: int) -> list[dict[str, float]]:
    """All sets of constants of a grid, or a random sample of them with the default, the first, in it.

    Args:
        grid: constant -> values.
        most: sets that there may be; at least the default is there.
    """
    sets = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if len(sets) <= most:
        return sets
    drawn = 1 + np.random.default_rng(SAMPLE_SEED).permutation(len(sets) - 1)[: max(most - 1, 0)]
    return [sets[0], *(sets[index] for index in sorted(drawn.tolist()))]


def search(
    rule: type[Rule],
    window: TrainingWindow,
    progress: Callable[[int], None] | None = None,
    budget_jobs: int | None = None,
) -> TunedConstants:
    """Play every set of constants of a rule's grid that the budget allows, and choose the cheapest on average.

    Args:
        rule: the rule.
        window: what it is tuned on.
        progress: called with the jobs simulated since the last call.
        budget_jobs: most jobs that are simulated, None for what an agent may; one set is always tried.

    Raises:
        ClusterError: trace, cluster and codec do not fit together, or the window has no job.
    """
    budget = window.budget_jobs if budget_jobs is None else budget_jobs
    facts = rule.learn(window)
    sets = grid_sets(rule.grid, budget // window.jobs)
    means = window.costs(rule, facts, sets, rule.tuned_packer, progress).mean(axis=1)
    best, usd = int(means.argmin()), float(means.min())
    return TunedConstants(
        rule=rule,
        constants=sets[best],
        facts=facts,
        packer=rule.tuned_packer,
        usd_per_window=usd,
        usd_per_hour=window.per_hour(usd),
        tried=len(sets),
        simulated_jobs=len(sets) * window.jobs,
        budget_jobs=budget,
    )
