"""What power caps cost in a training window; needs the simulator's tables."""

from __future__ import annotations

import numpy as np

from agents.baselines.training_window import TrainingWindow
from agents.baselines.view import Floats
from envs.gpu_cluster.accounting import AMOUNTS, MILLI_MS_PER_GPU_HOUR
from envs.gpu_cluster.codec import POWER_CAP_FRACTIONS

PPM = 1e6
USED, SAVED = AMOUNTS.index("used_milli_ms"), AMOUNTS.index("saved_milli_ms")


def mean_rates(training: TrainingWindow) -> Floats:
    """[P, len(AMOUNTS)] float64, USD per unit of an amount, the mean over the training window."""
    tariff = training.problem(None).prices.tariff
    start, end = round(training.start_seconds * 1000), round(training.end_seconds * 1000)
    lengths = np.diff(np.clip(np.append(tariff.edges_ms, end), start, end)).astype(np.float64)
    return np.asarray(np.tensordot(lengths, tariff.rates, 1) / lengths.sum(), np.float64)


def cap_costs(training: TrainingWindow) -> tuple[Floats, Floats, float]:
    """Energy and time of a GPU-hour of work under each cap.

    Returns:
        [P, caps] float64, USD of its energy; [P, caps] float64, hours that it takes; and USD per waiting GPU-hour.
    """
    problem = training.problem(None)
    curves, rates = problem.curves, mean_rates(training)
    inside = problem.submit_ms < training.end_seconds * 1000.0
    work = (problem.gpu_milli * problem.duration_ms)[inside].astype(np.float64)
    share = np.bincount(problem.workload[inside], work, len(curves.speed)).astype(np.float64)
    share /= share.sum()
    speed, watts = curves.cap_speed / PPM, curves.cap_watts / PPM
    energy = np.zeros((len(rates), len(POWER_CAP_FRACTIONS)))
    for pool, rate in enumerate(rates * MILLI_MS_PER_GPU_HOUR):
        power = rate[USED] - rate[SAVED] * (1.0 - watts[:, pool])
        energy[pool] = share @ (power / speed[:, pool])
    return energy, np.einsum("c,cpl->pl", share, 1.0 / speed), problem.settings.usd_per_gpu_hour
