"""Classes of jobs of a training window, and fair shares of the pools for them; needs the simulator's tables."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from agents.baselines.demand import DIGITS
from agents.baselines.training_window import TrainingWindow
from agents.baselines.view import Floats

PPM = 1e6
SUM_WEIGHT = 1e-3
"""Of the sum of throughputs beside the least of them."""


def job_classes(training: TrainingWindow) -> tuple[Floats, Floats, Floats]:
    """Classes of the jobs in the training window: equal speeds in all pools.

    Returns:
        [C, P] float64, speeds, 0 where no job of the class may run; [C] float64, GPUs that each class uses on average
        at reference speed; and [P] float64, GPUs of the pools.
    """
    problem = training.problem(None)
    start, end = training.start_seconds * 1000.0, training.end_seconds * 1000.0
    inside = (problem.submit_ms >= start) & (problem.submit_ms < end)
    may = (problem.allowed_bits[inside, None] >> np.arange(len(problem.pools)) & 1).astype(bool)
    rows = np.where(may, problem.speed_ppm[inside] / PPM, 0.0)
    speeds, index = np.unique(rows, axis=0, return_inverse=True)
    work = (problem.gpu_milli[inside] / 1000.0) * problem.duration_ms[inside]
    gpus = np.bincount(index.reshape(-1), work, len(speeds)) / (end - start)
    return np.round(speeds, DIGITS), gpus, problem.pool_gpus.astype(np.float64)


def fair_shares(speeds: Floats, gpus: Floats, capacity: Floats) -> Floats:
    """The shares of time in each pool that make the least normalised throughput of all classes as large as can be.

    Args:
        speeds: [C, P] float64, of each class in each pool.
        gpus: [C] float64, GPUs that each class wants at once.
        capacity: [P] float64, GPUs of each pool.

    Returns:
        [C, P] float64, each row sums to at most 1.
    """
    classes, pools = speeds.shape
    throughput = speeds / speeds.max(axis=1, keepdims=True)
    size = classes * pools
    # Variables: the shares, then the least throughput t. Maximise t + SUM_WEIGHT * mean throughput.
    objective = np.append(-SUM_WEIGHT * throughput.ravel() / classes, -1.0)
    whole = np.hstack([np.kron(np.eye(classes), np.ones(pools)), np.zeros((classes, 1))])
    held = np.hstack([np.kron(gpus[None, :], np.eye(pools)), np.zeros((pools, 1))])
    least = np.hstack([-np.kron(np.eye(classes), np.ones(pools)) * throughput.ravel(), np.ones((classes, 1))])
    limits = np.concatenate([np.ones(classes), capacity, np.zeros(classes)])
    bounds = [(0.0, 1.0 if speed > 0.0 else 0.0) for speed in speeds.ravel()] + [(0.0, 1.0)]
    found = linprog(objective, np.vstack([whole, held, least]), limits, bounds=bounds, method="highs")
    return np.asarray(np.round(found.x[:size].reshape(classes, pools), DIGITS), np.float64)
