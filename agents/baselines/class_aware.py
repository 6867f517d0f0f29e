"""Class-aware placement: a job goes to the pool where its energy, its slower run and its place cost least together.

For each pool that a job may run in, with its run time T (hours, predicted or typical) and its speed there:

    T * (energy / speed + price * (1 / speed - 1) + shadow / speed) + miss * (it does not start there at once)

Energy is USD per GPU-hour of work in the pool, price that of a GPU-hour of waiting, times a constant. The shadow price
of a GPU-hour and what it costs not to start at once are constants of each pool.

Source: linear assignment by reduced costs, as in Gavel's cost policies (Narayanan et al., OSDI 2020) with shadow prices
in place of the linear program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from agents.baselines.baseline import LITERATURE, Baseline
from agents.baselines.knobs import Choice, Knobs, Range
from agents.baselines.placing import predicted_hours
from agents.baselines.rule import HEADROOM, TIMEOUT, Facts
from agents.baselines.searched import SearchedRule
from agents.baselines.view import Choices, Floats, Ints, View
from envs.gpu_cluster.codec import ALWAYS_ON, HEADROOM_FRACTIONS, IDLE_AGE_EDGES_SECONDS

if TYPE_CHECKING:
    from agents.baselines.training_window import TrainingWindow

ENERGY, TYPICAL, PRICE = "usd_per_gpu_hour_of_work", "typical_hours", "usd_per_waiting_gpu_hour"
PRICE_FACTOR = "price_factor"


def shadow_name(pool: int) -> str:
    """The constant with a pool's shadow price, USD per GPU-hour."""
    return f"shadow{pool}"


def miss_name(pool: int) -> str:
    """The constant with the cost of not starting at once in a pool, USD per GPU."""
    return f"miss{pool}"


def placement_facts(training: TrainingWindow) -> Facts:
    """Prices of work in each pool, and the run time that jobs typically have."""
    from agents.baselines.power import USED, mean_rates
    from envs.gpu_cluster.accounting import MILLI_MS_PER_GPU_HOUR

    problem = training.problem(None)
    energy = mean_rates(training)[:, USED] * MILLI_MS_PER_GPU_HOUR
    hours = problem.duration_ms[problem.submit_ms < training.end_seconds * 1000.0] / 3.6e6
    return Facts(
        {ENERGY: energy.tolist(), TYPICAL: float(hours.mean()), PRICE: float(problem.settings.usd_per_gpu_hour)}
    )


def placement_knobs(training: TrainingWindow, facts: Facts) -> dict[str, Range | Choice]:
    """The constants of a placement, and where their search begins: prices as they are, a miss costs a boot's wait."""
    price, energy = float(facts.values[PRICE]), facts.array(ENERGY)
    scale = max(price, float(energy.max()))
    knobs: dict[str, Range | Choice] = {PRICE_FACTOR: Range(0.0, 3.0, 1.0)}
    for index, pool in enumerate(training.cluster.pools):
        boot = min(pool.boot_seconds / 3600.0 * price, scale)
        knobs[shadow_name(index)] = Range(0.0, scale, 0.0)
        knobs[miss_name(index)] = Range(0.0, 4.0 * scale, boot)
    return knobs


def setpoint_knobs(timeout: float, headroom: float) -> dict[str, Range | Choice]:
    """The set-point, from a start."""
    return {
        TIMEOUT: Choice(IDLE_AGE_EDGES_SECONDS, timeout),
        HEADROOM: Choice((*HEADROOM_FRACTIONS, ALWAYS_ON), headroom),
    }


class ClassAware(SearchedRule):
    """The rule; its prices and the set-point are tuned."""

    label = "class-aware"

    @classmethod
    def defaults(cls) -> dict[str, float]:
        """Prices as they are; places cost nothing."""
        return {**super().defaults(), PRICE_FACTOR: 1.0}

    @classmethod
    def learn(cls, training: TrainingWindow) -> Facts:
        """Prices and the typical run time."""
        return placement_facts(training)

    @classmethod
    def knobs(cls, training: TrainingWindow, facts: Facts) -> tuple[Knobs, int]:
        """Prices of the placement and the set-point, from `reactive`'s."""
        return {**placement_knobs(training, facts), **setpoint_knobs(600.0, 0.0)}, 0

    def decide(self, view: View, choices: Choices) -> None:
        """Place each job of the window where it costs least."""
        choices.placement[:] = np.where(view.present, self.cheapest_pool(view), choices.placement)

    def cheapest_pool(self, view: View) -> Ints:
        """[B, W] int64, pool + 1 of least cost among those that may run each slot's job, 0 where none may."""
        energy = self.facts.array(ENERGY)
        pools = len(energy)
        speed = np.maximum(view.pair("speed")[..., :pools], 1e-9)  # [B, W, P]
        hours = predicted_hours(view, float(self.facts.values[TYPICAL]))[..., None]
        price = float(self.facts.values[PRICE]) * self.constant(PRICE_FACTOR)[:, None, None]
        shadow, miss = (self._per_pool(name, pools) for name in (shadow_name, miss_name))
        misses = view.pair("fits_now")[..., :pools] <= 0.0
        cost = hours * (energy / speed + price * (1.0 / speed - 1.0) + shadow / speed) + miss * misses
        cost = np.where(view.pair("allowed")[..., :pools] > 0.0, cost, np.inf)
        return np.where(np.isinf(cost).all(axis=2), 0, cost.argmin(axis=2) + 1)

    def _per_pool(self, name: Callable[[int], str], pools: int) -> Floats:
        """[B or 1, 1, P] float64, a constant of each pool; 0 where it was not given."""
        known = self.constants
        columns = [known.get(name(pool), np.zeros(1)) for pool in range(pools)]
        return np.stack(np.broadcast_arrays(*columns), axis=-1)[:, None, :]


BASELINE = Baseline(tune=ClassAware.tune, needs=("job_hints",), group=LITERATURE)
