"""What a window must cost and emit at least: the bounds together, and which of them is the tightest that applies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autoscaler.evaluation.cost_bounds import cost_bound
from autoscaler.evaluation.fluid_bounds import CARBON, USED, fluid_carbon_g, fluid_jobs, fluid_usd
from autoscaler.evaluation.windows import Window
from envs.gpu_cluster.simulator.problem import Problem

NAN = float("nan")


class References(NamedTuple):
    """Bounds of a window; NaN where one does not apply.

    Attributes:
        work_usd: each job alone at its best moment; no job is stopped and goes on later.
        fragmentation_usd: GPUs that cannot be used even if jobs move for free, where jobs start at once.
        fluid_usd: divisible work on the GPUs that there are; for every run. Where these are enough for all jobs that
            could wish to run at once it is not above `work_usd`, and is not computed.
        carbon_kg: of energy, for runs in which every job ends by its latest end; NaN also where no carbon is known.
    """

    work_usd: float
    fragmentation_usd: float
    fluid_usd: float
    carbon_kg: float

    @property
    def bound_usd(self) -> float:
        """The larger of work with fragmentation, and the fluid."""
        return float(np.fmax(self.work_usd + self.fragmentation_usd, self.fluid_usd))

    def measures(self) -> dict[str, float]:
        """By their names in JSON."""
        return {f"references.{name}": value for name, value in self._asdict().items()}


def references(problem: Problem, window: Window) -> References:
    """The bounds of a window.

    Args:
        problem: jobs, pools, prices and signals.
        window: the window; jobs that run when it begins count from then on.
    """
    work = cost_bound(problem, window)
    is_whole = not (problem.is_stochastic or problem.config.physics.queue.preemption)
    applies = is_whole and not np.isnan(work.work_usd)
    return References(
        work_usd=work.work_usd if applies else NAN,
        fragmentation_usd=work.fragmentation_usd if applies else NAN,
        fluid_usd=NAN if applies and has_enough_gpus(problem, window) else fluid_usd(problem, window),
        carbon_kg=_carbon_kg(problem, window),
    )


def _carbon_kg(problem: Problem, window: Window) -> float:
    if not problem.prices.tariff.spending_rates[:, :, USED, CARBON].any():
        return NAN
    return fluid_carbon_g(problem, window) / 1000.0


def has_enough_gpus(problem: Problem, window: Window) -> bool:
    """Whether the smallest pool holds all jobs that could wish to run at once, so that capacity changes no bound.

    A job wishes to run from its submission until its run time after the last start that could pay.
    """
    jobs = fluid_jobs(problem, window)
    waiting = problem.settings.usd_per_waited_milli_ms
    rates = problem.prices.tariff.rates[:, :, USED]
    slowest = np.where(jobs.speed > 0.0, jobs.speed, np.inf).min(axis=1)
    length = jobs.duration_ms / np.where(np.isfinite(slowest), slowest, 1.0) + jobs.transfer_ms.max(axis=1)
    gain = length * float(rates.max() - rates.min())
    if waiting == 0.0 and gain.any():
        return False
    until = jobs.free_ms + length + (gain / waiting if waiting > 0.0 else 0.0)
    order = np.argsort(np.concatenate([jobs.submit_ms, until]), kind="stable")
    wished = np.cumsum(np.concatenate([jobs.gpu_milli, -jobs.gpu_milli])[order])
    return bool(wished.max(initial=0.0) <= 1000 * int(problem.pool_gpus.min()))
