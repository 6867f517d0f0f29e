"""Roll-outs inside the kernels: each window in several clusters, whose outputs are disturbed differently.

What is submitted is most of what makes one hour dearer than another, and no policy changes it. All replicas of a window
meet the same jobs, so their mean tells how dear the hours were, and what remains is what their disturbances did.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.config import DISCOUNT_SECONDS
from agents.es.arena import Ground
from envs.gpu_cluster.codec import SetpointPolicies, write_inputs
from envs.gpu_cluster.simulator import Simulator


class Rollout(NamedTuple):
    """Sequences of disturbances, one for each pool of each cluster: S = windows x replicas x pools of them.

    Attributes:
        inputs: [S, rows + 1, inputs] float64, what the policy read; the row after the last is that of the end.
        outputs: [S, rows, outputs] float64, what it put out with the disturbance, as indices not rounded.
        minutes: [S, rows + 1] float64, since the window began.
        costs: [S, rows + 1] float64, of the cluster since the window began.
        drawn: [S] int64, rows of each sequence; what comes after row `drawn` is not defined.
        replicas: clusters of each window.
        pools: of each cluster.
    """

    inputs: NDArray[np.float64]
    outputs: NDArray[np.float64]
    minutes: NDArray[np.float64]
    costs: NDArray[np.float64]
    drawn: NDArray[np.int64]
    replicas: int
    pools: int

    @property
    def is_row(self) -> NDArray[np.bool_]:
        """[S, rows], where there is a disturbance."""
        found: NDArray[np.bool_] = np.arange(self.outputs.shape[1]) < self.drawn[:, None]
        return found


def roll_out(
    ground: Ground,
    weights: NDArray[np.float64],
    episodes: NDArray[np.int64],
    replicas: int,
    sigma: NDArray[np.float64],
    hold_seconds: float,
    generator: np.random.Generator,
) -> Rollout:
    """Play windows under a disturbed policy.

    Args:
        ground: whose windows.
        weights: [number of weights] float64, of the policy.
        episodes: [W, 3] int64.
        replicas: clusters of each window.
        sigma: [outputs] float64, standard deviation of the disturbances.
        hold_seconds: for how long one stays at least.
        generator: of the disturbances.
    """
    simulator, policies = ground.begin(np.repeat(episodes, replicas, axis=0)), ground.policies(weights[None])
    clusters, pools = simulator.num_clusters, len(simulator.problem.pools)
    rows = int(np.ceil((episodes[:, 1] - episodes[:, 0]).max() / 1000.0 / hold_seconds)) + 1
    noise = generator.standard_normal((clusters, pools, rows, len(sigma))) * sigma
    numbers = np.zeros(clusters, np.int64)
    explored = simulator.explore_policies(policies, numbers, noise, hold_seconds, ground.rule)
    ground.steps += int(simulator.decisions.sum())
    begin, end = (np.repeat(episodes[:, column], replicas * pools) for column in (0, 1))
    sequences, drawn = clusters * pools, explored.drawn.reshape(-1)
    at_end = np.arange(sequences), drawn
    inputs, minutes, costs = (
        np.concatenate([array, np.zeros_like(array[:, :1])], axis=1)
        for array in (
            explored.inputs.reshape(sequences, rows, -1),
            explored.time_ms.reshape(sequences, rows).astype(np.float64),
            explored.usd.reshape(sequences, rows),
        )
    )
    inputs[at_end] = inputs_of(simulator, policies).reshape(sequences, -1)
    minutes[at_end] = end
    costs[at_end] = np.repeat(explored.spent_usd + simulator.take_costs().sum(axis=1), pools)
    minutes = (minutes - begin[:, None]) / (1000.0 * DISCOUNT_SECONDS)
    return Rollout(inputs, explored.outputs.reshape(sequences, rows, -1), minutes, costs, drawn, replicas, pools)


def inputs_of(simulator: Simulator, policies: SetpointPolicies) -> NDArray[np.float64]:
    """[N, pools, inputs] float64: what policies read of each pool of each cluster now."""
    pools, observations = len(simulator.problem.pools), simulator.observations.T
    found = np.zeros((pools, int(policies.sizes[0]), simulator.num_clusters))
    for pool in range(pools):
        write_inputs(policies, observations, pool, found[pool])
    return found.transpose(2, 0, 1)


def advantages(
    rollout: Rollout, values: NDArray[np.float64], scale: float, gamma: float, gae_lambda: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each disturbance brought, and the returns that a critic learns.

    Advantages are generalised as usual, but a step that takes `t` minutes discounts by `gamma ** t` and counts what
    comes later by `gae_lambda ** t`. From each the mean of the other replicas at the same time is taken away: it does
    not depend on the own disturbance, so the gradient stays right in expectation.

    Args:
        rollout: of one ground.
        values: [S, rows + 1] float64, what the critic expects from each row on.
        scale: a reward is minus the cost times this.
        gamma: discount of a minute.
        gae_lambda: of a minute.

    Returns:
        [S, rows] float64 each.

    Source: Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation", 2016.
    """
    rewards = -scale * np.diff(rollout.costs, axis=1)
    is_row, running = rollout.is_row, np.zeros(len(values))
    elapsed = np.where(is_row, np.diff(rollout.minutes, axis=1), 0.0)  # beyond the end of a sequence nothing counts
    found, discounts, weights = np.zeros(rewards.shape), gamma**elapsed, (gamma * gae_lambda) ** elapsed
    surprises = rewards + discounts * values[:, 1:] - values[:, :-1]
    for row in range(rewards.shape[1] - 1, -1, -1):
        running = np.where(is_row[:, row], surprises[:, row] + weights[:, row] * running, 0.0)
        found[:, row] = running
    returns = found + values[:, :-1]
    if rollout.replicas > 1:
        found = found - _of_others(rollout, found)
    return np.where(is_row, found, 0.0), returns


def _of_others(rollout: Rollout, found: NDArray[np.float64]) -> NDArray[np.float64]:
    """[S, rows] float64: the mean of `found` over the other replicas, at the time of each row."""
    replicas, pools, rows = rollout.replicas, rollout.pools, found.shape[1]
    grid = np.linspace(0.0, float(rollout.minutes[np.arange(len(found)), rollout.drawn].max()), rows + 1)
    times = [rollout.minutes[at, :rows][: max(count, 1)] for at, count in enumerate(rollout.drawn)]
    on_grid = np.array([np.interp(grid, own, found[at, : len(own)]) for at, own in enumerate(times)])
    groups = on_grid.reshape(-1, replicas, pools, len(grid))
    others = ((groups.sum(axis=1, keepdims=True) - groups) / (replicas - 1)).reshape(on_grid.shape)
    result = np.zeros(found.shape)
    for at, own in enumerate(times):
        result[at, : len(own)] = np.interp(own, grid, others[at])
    return result
