"""Play a policy on windows of a trace and tell what it cost: for validation during training, and for tuning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem
from envs.scores import Actor


def score(policy: Actor, problem: Problem, episodes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Play a policy on episodes side by side until all are done.

    Args:
        policy: any policy of the problem's codec layout.
        problem: trace, cluster and settings.
        episodes: [K, 3] int64, as `Simulator.reset` takes them.

    Returns:
        [K] float64, USD, see `Simulator.decided_usd`.
    """
    simulator = Simulator.from_problem(problem, len(episodes))
    simulator.reset(np.arange(len(episodes)), episodes)
    policy.reset(len(episodes))
    while not simulator.done.all():
        simulator.step(policy.act(simulator.observations, simulator.action_masks))
    return simulator.decided_usd()
