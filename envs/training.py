"""How an environment is trained on and scored, whatever it simulates: what `autoscaler train` asks of it.

`envs.registry.TRAINING` names what an environment brings itself; any other one has `GymnasiumTraining`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from configs.registry import import_object
from envs.errors import EnvironmentConfigError
from envs.gymnasium_vec_env import GymnasiumVecEnv
from envs.registry import TRAINING
from envs.scores import BASELINE_SEED, MEAN_RETURN, VALIDATION_SEEDS, Actor, Metric
from envs.vec_env import TrainingVecEnv

MAX_VALIDATION_STEPS = 100_000
"""Steps after which an episode of validation counts as it is: without a limit, a good policy may never end one."""


class EnvironmentTraining(Protocol):
    """An environment that is trained on.

    Attributes:
        metric: what its score is.
    """

    @property
    def metric(self) -> Metric:
        """What its score is."""
        ...

    def make_vec(self, num_envs: int, seed: int) -> TrainingVecEnv:
        """A batch to train on."""
        ...

    def score(self, actor: Actor) -> float:
        """The validation score of a policy; the same episodes for all."""
        ...

    def baseline_score(self) -> float:
        """The score of the baseline that the metric names."""
        ...


class GymnasiumTraining:
    """Any Gymnasium environment: the score is the mean return of some episodes, compared with random actions.

    An environment that brings its own derives from it and replaces `metric` and `baseline_score`, or all.

    Args:
        env: an id of Gymnasium, `module:ID`, or `module:Class`.
        kwargs: arguments of the environment.
        episodes: of one validation.
    """

    metric: Metric = MEAN_RETURN

    def __init__(self, env: str, kwargs: Mapping[str, Any], episodes: int) -> None:
        self.env, self.kwargs, self.episodes = env, dict(kwargs), episodes
        self._validation: GymnasiumVecEnv | None = None

    def make_vec(self, num_envs: int, seed: int) -> TrainingVecEnv:
        """A batch to train on; see `GymnasiumVecEnv`."""
        return GymnasiumVecEnv(self.env, self.kwargs, num_envs, seed)

    def score(self, actor: Actor) -> float:
        """The mean return of the validation episodes."""
        return float(self.returns(actor).mean())

    def returns(self, actor: Actor) -> NDArray[np.float64]:
        """[episodes] return of each validation episode under a policy."""
        batch = self._batch()
        observations = batch.begin([VALIDATION_SEEDS + index for index in range(self.episodes)])
        actor.reset(self.episodes)
        returns, running = np.zeros(self.episodes), np.ones(self.episodes, np.bool_)
        for _ in range(MAX_VALIDATION_STEPS):
            observations, rewards, dones, _ = batch.step(actor.act(observations, batch.masks()))  # type: ignore[assignment]
            returns += np.where(running, rewards, 0.0)
            running &= ~dones
            if not running.any():
                break
        return returns

    def baseline_score(self) -> float:
        """The mean return of random valid actions."""
        space = self._batch().action_space
        space.seed(BASELINE_SEED)
        return self.score(_RandomActions(space))

    def _batch(self) -> GymnasiumVecEnv:
        if self._validation is None:
            self._validation = GymnasiumVecEnv(self.env, self.kwargs, self.episodes, VALIDATION_SEEDS)
        return self._validation


class _RandomActions:
    def __init__(self, space: gymnasium.Space[Any]) -> None:
        self._space, self._count = space, 0

    def reset(self, num_envs: int, /) -> None:
        self._count = num_envs

    def act(self, observations: NDArray[Any], action_masks: Any, /) -> NDArray[Any]:
        masks = [None] * self._count if action_masks is None else action_masks
        return np.array([random_action(self._space, mask) for mask in masks])


def random_action(space: gymnasium.Space[Any], mask: Any = None) -> Any:
    """A random action.

    Args:
        space: where it is drawn from.
        mask: the valid choices, flat as sb3-contrib wants them; None: all are.
    """
    if mask is None:
        return space.sample()
    flat = np.asarray(mask).astype(np.int8)
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return space.sample(mask=tuple(np.split(flat, np.cumsum(space.nvec)[:-1])))
    return space.sample(mask=flat)


Builder = Callable[[str, Mapping[str, Any], int], EnvironmentTraining]


def training_of(env: str, kwargs: Mapping[str, Any], episodes: int) -> EnvironmentTraining:
    """How an environment is trained on: what it brings itself, else `GymnasiumTraining`.

    Args:
        env: an id of Gymnasium, `module:ID`, or `module:Class`.
        kwargs: arguments of the environment.
        episodes: of one validation.

    Raises:
        EnvironmentConfigError: what it brings cannot be imported.
    """
    build: Builder = GymnasiumTraining
    if env in TRAINING:
        build = import_object(TRAINING[env], f"training of {env}", EnvironmentConfigError)
    return build(env, kwargs, episodes)
