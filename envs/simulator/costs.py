"""Money: what an episode cost, and the part of it that decisions change. One definition, which rewards add up to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.config import ObjectiveConfig
from envs.simulator import state as st
from envs.simulator.energy import MILLI_MS_PER_GPU_HOUR
from envs.simulator.simulator import Simulator


def delayed_gpu_hours(pools: NDArray[np.int64], waited_milli_ms: int) -> float:
    """GPU-hours by which jobs end later: waiting before they start, and overhead while they hold their GPUs.

    Args:
        pools: [P, POOL_COLUMNS] int64, rows of `Batch.pool`.
        waited_milli_ms: integral of the GPUs that waiting jobs ask.
    """
    return (waited_milli_ms + int(pools[:, st.OVERHEAD_MILLI_MS].sum())) / MILLI_MS_PER_GPU_HOUR


def objective_usd(kwh: float, delayed: float, objective: ObjectiveConfig) -> float:
    """What a run cost: its energy, and the hours by which jobs were delayed, for each GPU that they ask."""
    return kwh * objective.usd_per_kwh + delayed * objective.usd_per_gpu_hour


def decided_usd(simulator: Simulator) -> NDArray[np.float64]:
    """What decisions changed of each cluster's cost so far: minus the sum of its rewards.

    That is the whole cost less the energy of the work itself, as if all of it were done where energy is cheapest.

    Args:
        simulator: the batch.

    Returns:
        [N] float64, USD.
    """
    problem, batch = simulator.problem, simulator.world.clusters
    costs = []
    for index in range(simulator.num_clusters):
        pools = batch.pool[index]
        useful = int(pools[:, st.USED_MILLI_MS].sum() - pools[:, st.OVERHEAD_MILLI_MS].sum())
        delayed = delayed_gpu_hours(pools, int(batch.clock[index, st.WAITED_MILLI_MS]))
        whole = objective_usd(simulator.energy(index).total, delayed, problem.config.objective)
        costs.append(whole - useful * problem.settings.usd_per_milli_ms)
    return np.asarray(costs)
