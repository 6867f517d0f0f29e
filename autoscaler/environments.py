"""Play any environment of the registry, whatever it simulates, and check what Gymnasium promises of it."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import gymnasium
import numpy as np

from configs.errors import UserError
from envs.registry import find_environment
from envs.training import random_action

SCHEMA = "autoscaler.envs.check/1"


class EnvironmentCheckError(UserError, ValueError):
    """There is no such environment, or it does not keep Gymnasium's rules."""


def make_environment(env_id: str) -> gymnasium.Env[Any, Any]:
    """An environment by its id.

    Args:
        env_id: an id of `envs.registry.ENVIRONMENTS`, `module:ID` as Gymnasium takes it, or `module:Class`.

    Raises:
        EnvironmentConfigError: there is none, or its module cannot be imported.
        EnvironmentCheckError: it cannot be made.
    """
    spec = find_environment(env_id)
    try:
        return gymnasium.make(spec)
    except (gymnasium.error.Error, ImportError, AttributeError) as error:
        raise EnvironmentCheckError(f"environment {env_id!r} cannot be made: {error}") from error


def check_environment(env_id: str, steps: int, seed: int) -> dict[str, Any]:
    """Play an environment twice with the same random valid actions.

    Args:
        env_id: see `make_environment`.
        steps: environment steps; episodes follow each other.
        seed: of the first episode and of the actions.

    Returns:
        What was played: `steps`, `episodes`, `total_reward` and `digest`, a hash of all observations and rewards.

    Raises:
        EnvironmentCheckError: as `make_environment`; an observation lies outside its space, a reward is not finite, or
            two runs with one seed differ.
    """
    env = make_environment(env_id)
    first, again = (_play(env, env_id, steps, seed) for _ in range(2))
    spaces = {"observation_space": str(env.observation_space), "action_space": str(env.action_space)}
    env.close()
    if first != again:
        raise EnvironmentCheckError(
            f"environment {env_id!r}: two runs with seed {seed} differ; draw everything from self.np_random"
        )
    return {"schema": SCHEMA, "id": env_id, **spaces, "steps": steps, **first}


def _play(env: gymnasium.Env[Any, Any], env_id: str, steps: int, seed: int) -> dict[str, Any]:
    env.action_space.seed(seed)
    digest, total, episodes = hashlib.sha256(), 0.0, 1
    observation, _ = env.reset(seed=seed)
    for step in range(steps):
        if observation not in env.observation_space:
            raise EnvironmentCheckError(f"environment {env_id!r}: the observation of step {step} is not in its space")
        observation, reward, terminated, truncated, _ = env.step(_valid_action(env))
        if not math.isfinite(reward):
            raise EnvironmentCheckError(f"environment {env_id!r}: the reward of step {step} is {reward}")
        total += float(reward)
        digest.update(np.asarray(observation).tobytes() + np.float64(reward).tobytes())
        if terminated or truncated:
            episodes += 1
            observation, _ = env.reset()
    return {"episodes": episodes, "total_reward": total, "digest": digest.hexdigest()[:16]}


def _valid_action(env: gymnasium.Env[Any, Any]) -> Any:
    """A random action; where the environment has `action_masks`, as sb3-contrib wants it, a valid one."""
    masks = getattr(env.unwrapped, "action_masks", None)
    return random_action(env.action_space, None if masks is None else masks())
