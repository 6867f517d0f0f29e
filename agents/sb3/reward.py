"""A reward of the user, made from what each step cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from agents.errors import AgentConfigError
from configs.registry import import_object


@dataclass(frozen=True, slots=True)
class StepTerms:
    """What a step cost in each cluster, [num_envs] float64 each; the environment's own reward is minus their sum.

    Attributes:
        idle_usd: energy of nodes that run nothing.
        fragmentation_usd: energy of idle GPUs on nodes that run something.
        boot_usd: energy of booting nodes.
        off_usd: energy of nodes that are off.
        overhead_usd: GPU time beyond the work of jobs (moves, restarts): its energy, and its delay.
        busy_usd: energy of the work that a better decision would have saved.
        waiting_usd: GPU-hours of waiting, at `objective.usd_per_gpu_hour`.
        step_seconds: simulated time of the step, in s.
    """

    idle_usd: NDArray[np.float64]
    fragmentation_usd: NDArray[np.float64]
    boot_usd: NDArray[np.float64]
    off_usd: NDArray[np.float64]
    overhead_usd: NDArray[np.float64]
    busy_usd: NDArray[np.float64]
    waiting_usd: NDArray[np.float64]
    step_seconds: NDArray[np.float64]


PROBED_CLUSTERS = 3

Reward = Callable[[StepTerms], NDArray[np.float64]]


def load_reward(target: str) -> Reward:
    """The function that `module:function` names.

    Raises:
        AgentConfigError: it cannot be imported, or is no function.
    """
    found = import_object(target, "train.reward", AgentConfigError)
    if not callable(found):
        raise AgentConfigError(f"train.reward is {target!r}; it must be a function of StepTerms")
    reward: Reward = found
    return reward


def rewards_of(reward: Reward, terms: StepTerms, count: int) -> NDArray[np.float64]:
    """[count] float64, what a reward makes of the terms of a step of so many clusters.

    Raises:
        AgentConfigError: that is not one finite number per cluster.
    """
    rewards = np.asarray(reward(terms), np.float64)
    if rewards.shape != (count,) or not np.isfinite(rewards).all():
        raise AgentConfigError(
            f"train.reward must give one finite number for each of {count} clusters, "
            f"not {'numbers that are not finite' if rewards.shape == (count,) else rewards.shape}"
        )
    return rewards


def check_reward(target: str) -> None:
    """Refuse what is no reward, before anything is tuned: it is asked for a step in which each term costs a cent.

    Raises:
        AgentConfigError: it cannot be imported, fails, or is not one finite number per cluster.
    """
    reward, cents = load_reward(target), np.full(PROBED_CLUSTERS, 0.01)
    terms = StepTerms(**{entry.name: cents.copy() for entry in fields(StepTerms)})
    terms.step_seconds[:] = 60.0
    try:
        rewards_of(reward, terms, PROBED_CLUSTERS)
    except AgentConfigError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise AgentConfigError(
            f"train.reward {target!r} fails on the StepTerms of {PROBED_CLUSTERS} clusters: "
            f"{type(error).__name__}: {reason}"
        ) from error


class CustomReward(VecEnvWrapper):
    """Replaces the reward of each step; all else is that of the environment.

    Args:
        venv: the batch of environments, whose infos have the fields of `StepTerms`.
        reward: from the terms of a step to [num_envs] rewards.
    """

    def __init__(self, venv: VecEnv, reward: Reward) -> None:
        super().__init__(venv)
        self._reward = reward

    def reset(self) -> VecEnvObs:
        """Begin a new episode in every environment."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Step every environment.

        Raises:
            AgentConfigError: the reward is not one finite number per environment.
        """
        observations, _, dones, infos = self.venv.step_wait()
        columns: dict[str, Any] = {
            entry.name: np.array([info[entry.name] for info in infos]) for entry in fields(StepTerms)
        }
        rewards = rewards_of(self._reward, StepTerms(**columns), self.num_envs)
        return observations, rewards.astype(np.float32), dones, infos
