"""Models of Stable-Baselines3 and sb3-contrib from the settings of an agent, with buffers that discount by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO, RecurrentPPO
from sb3_contrib.common.maskable.utils import is_masking_supported
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import (
    ActionNoise,
    NormalActionNoise,
    OrnsteinUhlenbeckActionNoise,
    VectorizedActionNoise,
)
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv

from agents.errors import AgentConfigError
from agents.registry import agents_for
from agents.sb3.buffers import (
    MaskableTimeDiscountBuffer,
    RecurrentTimeDiscountBuffer,
    TimeDiscountBuffer,
    TimeDiscountReplayBuffer,
)
from agents.sb3.maskable_ppo import SHARED
from agents.sb3.policies import algorithm_class, policy_arguments, policy_class
from agents.sb3.settings import ContinuousConfig, OffPolicyConfig, OnPolicyConfig, Sb3Config
from envs.gpu_cluster.codec import CodecLayout


@dataclass(frozen=True, slots=True)
class Clock:
    """How long the steps of an environment take.

    Attributes:
        step_seconds: called after each step: [num_envs] simulated seconds that it took.
        unit_seconds: time after which a reward is discounted by gamma once.
    """

    step_seconds: Callable[[], NDArray[np.float64]]
    unit_seconds: float


def check_agent(settings: Sb3Config, action_space: spaces.Space[Any], num_envs: int) -> None:
    """Refuse what cannot be trained, before anything is computed.

    Args:
        settings: of the agent.
        action_space: of the environment.
        num_envs: environments in the batch.

    Raises:
        AgentConfigError: the agent cannot play this action space, or a name in its settings names nothing.
    """
    kind = type(action_space).__name__
    if kind not in settings.action_spaces:
        components = (
            f" of {len(action_space.nvec)} components" if isinstance(action_space, spaces.MultiDiscrete) else ""
        )
        more = ""
        if "Discrete" in settings.action_spaces and components:
            more = "; or let one component be left: environment.codec.max_pools=1, environment.codec.window_slots=0"
        raise AgentConfigError(
            f"agent {settings.name} plays {' or '.join(settings.action_spaces)} actions, this environment has "
            f"{kind}{components}; agents that fit: {', '.join(agents_for(kind))}{more}"
        )
    policy_arguments(settings)
    candidates = 2 * getattr(settings, "n_delta", 0) * (getattr(settings, "n_eval_episodes", None) or 1)
    if candidates > num_envs:
        raise AgentConfigError(
            f"agent {settings.name} needs a cluster for each of its {candidates} candidates, train.num_envs is "
            f"{num_envs}; raise it, or lower agent.n_delta"
        )


def make_model(
    settings: Sb3Config,
    env: VecEnv,
    clock: Clock,
    seed: int,
    layout: CodecLayout | None = None,
    start_rule: Sequence[int] = (),
) -> BaseAlgorithm:
    """Build the model of an agent.

    Args:
        settings: of the agent.
        env: the batch of environments.
        clock: how long their steps take.
        seed: of the weights, the actions and the minibatches.
        layout: the codec layout, for maskable-ppo's own network.
        start_rule: [RULE_SIZE] the setpoint and lever choices that an untrained maskable-ppo prefers.

    Raises:
        AgentConfigError: settings and environment do not fit together.
    """
    check_agent(settings, env.action_space, env.num_envs)
    _check_masks(settings, env, layout)
    arguments = {
        **settings.arguments(),
        **_time_discount(settings, clock),
        "policy_kwargs": policy_arguments(settings, layout, start_rule),
        "learning_rate": _learning_rate(settings),
        "seed": seed,
        "device": "cpu",
    }
    if isinstance(settings, ContinuousConfig):
        arguments["action_noise"] = _noise(settings, env)
    algorithm: Any = _ended_only(algorithm_class(settings))
    try:
        model: BaseAlgorithm = algorithm(policy_class(settings), env, **arguments)
    except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
        raise AgentConfigError(f"agent {settings.name}: {' '.join(str(error).split())}") from error
    if isinstance(model, RecurrentPPO):
        _replace_rollout_buffer(model, clock)
    return model


def _check_masks(settings: Sb3Config, env: VecEnv, layout: CodecLayout | None) -> None:
    if not settings.masked:
        return
    if not is_masking_supported(env):
        raise AgentConfigError(
            f"agent {settings.name} needs an environment with a method action_masks, and this one has none; choose "
            "another agent, such as agent.name=ppo"
        )
    if layout is None and settings.policy == SHARED:
        raise AgentConfigError(
            f"agent.policy is {SHARED}, the network of GPU clusters; set agent.policy=MlpPolicy for this environment"
        )


@cache
def _ended_only(algorithm: type[BaseAlgorithm]) -> type[BaseAlgorithm]:
    """An algorithm that looks for the statistics of an episode only in the infos of those that ended.

    Stable-Baselines3 looks into every info at every step, so that a batch of hundreds makes a dict for each.
    """

    class EndedOnly(algorithm):  # type: ignore[misc, valid-type]
        def _update_info_buffer(self, infos: Sequence[dict[str, Any]], dones: NDArray[np.bool_] | None = None) -> None:
            if dones is not None:
                ended = np.flatnonzero(dones).tolist()
                infos, dones = [infos[index] for index in ended], dones[ended]
            super()._update_info_buffer(infos, dones)

    EndedOnly.__name__ = algorithm.__name__
    return EndedOnly


def _learning_rate(settings: Sb3Config) -> float | LinearSchedule:
    if settings.learning_rate_schedule == "constant":
        return settings.learning_rate
    return LinearSchedule(settings.learning_rate, 0.0, 1.0)


def _time_discount(settings: Sb3Config, clock: Clock) -> dict[str, Any]:
    """The buffer that discounts by simulated time."""
    times = {"step_seconds": clock.step_seconds, "unit_seconds": clock.unit_seconds}
    algorithm = algorithm_class(settings)
    if isinstance(settings, OffPolicyConfig):
        # The buffer sums up the rewards of several steps itself, so the algorithm must not.
        return {
            "n_steps": 1,
            "replay_buffer_class": TimeDiscountReplayBuffer,
            "replay_buffer_kwargs": {**times, "gamma": settings.gamma, "n_steps": settings.n_steps},
        }
    if not isinstance(settings, OnPolicyConfig) or issubclass(algorithm, RecurrentPPO):
        return {}
    masked = issubclass(algorithm, MaskablePPO)
    return {
        "rollout_buffer_class": MaskableTimeDiscountBuffer if masked else TimeDiscountBuffer,
        "rollout_buffer_kwargs": times,
    }


def _replace_rollout_buffer(model: RecurrentPPO, clock: Clock) -> None:
    """RecurrentPPO takes no class for its buffer."""
    before: Any = model.rollout_buffer
    model.rollout_buffer = RecurrentTimeDiscountBuffer(
        before.buffer_size,
        before.observation_space,
        before.action_space,
        before.hidden_state_shape,
        device=before.device,
        gae_lambda=before.gae_lambda,
        gamma=before.gamma,
        n_envs=before.n_envs,
        step_seconds=clock.step_seconds,
        unit_seconds=clock.unit_seconds,
    )


def _noise(settings: ContinuousConfig, env: VecEnv) -> ActionNoise | None:
    if settings.action_noise is None:
        return None
    size = env.action_space.shape
    assert size is not None
    mean, sigma = np.zeros(size), np.full(size, settings.action_noise.sigma)
    kinds = {"normal": NormalActionNoise, "ornstein-uhlenbeck": OrnsteinUhlenbeckActionNoise}
    return VectorizedActionNoise(kinds[settings.action_noise.kind](mean, sigma), env.num_envs)


def is_off_policy(model: BaseAlgorithm) -> bool:
    """Whether a model learns from a replay buffer."""
    return isinstance(model, OffPolicyAlgorithm)
