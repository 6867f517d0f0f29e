"""Moments at which a policy decided: what it saw and which setpoints it chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from autoscaler.evaluation.rollouts import Scenario, advance_of, prepare
from autoscaler.evaluation.windows import Window
from envs.gpu_cluster.codec import HEADROOM_FRACTIONS, IDLE_AGE_EDGES_SECONDS

MOST_MOMENTS = 2048
"""Of each window; beyond it every second one is dropped, again and again."""

TIMEOUTS, RESERVES = len(IDLE_AGE_EDGES_SECONDS), len(HEADROOM_FRACTIONS)


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """M moments of all windows, evenly chosen from all decisions.

    Attributes:
        time_ms: [M] int64, in ms of the trace's time.
        observations: [M, observation size] float32.
        masks: [M, mask size] bool.
        actions: [M, action components] int64, what the policy chooses then.
        pools: how many pools the cluster has.
    """

    time_ms: NDArray[np.int64]
    observations: NDArray[np.float32]
    masks: NDArray[np.bool_]
    actions: NDArray[np.int64]
    pools: int

    @property
    def setpoints(self) -> NDArray[np.int64]:
        """[M, pools] int64, the setpoint of each pool."""
        return self.actions[:, : self.pools]


def timeouts_of(setpoints: NDArray[np.int64]) -> NDArray[np.int64]:
    """The time-out of setpoints, as an index into `IDLE_AGE_EDGES_SECONDS`; that of always on is the longest one."""
    return np.where(setpoints == TIMEOUTS * RESERVES, TIMEOUTS - 1, setpoints % TIMEOUTS)


def reserves_of(setpoints: NDArray[np.int64]) -> NDArray[np.int64]:
    """The reserve of setpoints, as an index into `HEADROOM_FRACTIONS`; one more means always on."""
    return np.asarray(setpoints // TIMEOUTS)


def moments_of(policy: Policy, scenario: Scenario, windows: Sequence[Window], most: int = MOST_MOMENTS) -> Moments:
    """Run a policy over windows and keep some of the moments at which it decides.

    Args:
        policy: who decides.
        scenario: trace, cluster and settings.
        windows: at least one.
        most: moments that are kept of each window.
    """
    simulator = prepare(policy, scenario, windows)
    policy.reset(len(windows))
    advance, stride = advance_of(policy, simulator), 1
    seen: list[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]] = []
    running: list[NDArray[np.bool_]] = []
    done = bool(simulator.done.all())
    while not done:
        if len(seen) == most:
            seen, running, stride = seen[::2], running[::2], 2 * stride
        running.append(~simulator.done)
        seen.append((simulator.time_ms.copy(), simulator.observations.copy(), simulator.action_masks.copy()))
        done = advance(stride)
    keep = np.concatenate(running)
    times, observations, masks = (np.concatenate(parts)[keep] for parts in zip(*seen, strict=True))
    policy.reset(len(times))  # a policy with memory is asked as if each moment were its first
    actions = policy.act(observations, masks)
    return Moments(times, observations, masks, actions, len(scenario.cluster.pools))
