"""Any Gymnasium environment as a batch for training, through `gymnasium.make_vec`."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from configs.errors import UserError
from envs.errors import EnvironmentConfigError
from envs.registry import find_environment
from envs.vec_env import TrainingVecEnv

IMAGE_AXES = 3


def make_vector(env: str, kwargs: Mapping[str, Any], num_envs: int) -> VectorEnv[Any, Any, Any]:
    """A batch of a Gymnasium environment that begins the next episode in the step that ends one.

    It is the environment's own batch where it has one with an argument `autoreset_mode`, else one environment after the
    other.

    Args:
        env: an id of Gymnasium, `module:ID`, or `module:Class`.
        kwargs: arguments of the environment; `max_episode_steps` limits an episode, as in `gymnasium.make`.
        num_envs: environments.

    Raises:
        EnvironmentConfigError: there is no such environment, or it does not take these arguments.
    """
    spec = find_environment(env)
    mode = AutoresetMode.SAME_STEP
    try:
        if _has_own_batch(spec):
            return gymnasium.make_vec(spec, num_envs, "vector_entry_point", autoreset_mode=mode, **kwargs)
        arguments = {"disable_env_checker": True, **kwargs}
        return gymnasium.make_vec(spec, num_envs, "sync", vector_kwargs={"autoreset_mode": mode}, **arguments)
    except UserError:
        raise
    except (gymnasium.error.Error, ImportError, AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise EnvironmentConfigError(
            f"env {env!r} cannot be made with env_kwargs {dict(kwargs)}: {type(error).__name__}: {reason}"
        ) from error


def _has_own_batch(spec: EnvSpec) -> bool:
    entry: Any = spec.vector_entry_point
    if entry is None:
        return False
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    return "autoreset_mode" in inspect.signature(creator).parameters


class GymnasiumVecEnv(TrainingVecEnv):
    """`num_envs` environments of one kind; the info of a step says only how an episode ended.

    Gymnasium cannot save the state of an environment, so at each checkpoint all episodes begin anew, with seeds that
    depend on the training's own seed and steps: a resumed training is then the same as one that never stopped there.

    Args:
        env: see `make_vector`.
        kwargs: likewise.
        num_envs: likewise.
        seed: of the episodes.

    Raises:
        EnvironmentConfigError: as `make_vector`; or agents cannot read its observations, or write its actions.
    """

    def __init__(self, env: str, kwargs: Mapping[str, Any], num_envs: int, seed: int) -> None:
        self.render_mode = None
        self._vector = make_vector(env, kwargs, num_envs)
        observation_space, action_space = self._vector.single_observation_space, self._vector.single_action_space
        check_spaces(env, observation_space, action_space)
        self._is_masked = _is_masked(self._vector)
        super().__init__(num_envs, observation_space, action_space)
        self._seed, self._anew_at = seed, 0
        self._observations: Any = None
        self._actions: Any = None
        self._returns, self._lengths = np.zeros(num_envs), np.zeros(num_envs, np.int64)
        self._started = time.monotonic()
        self.seed(seed)

    def reset(self) -> NDArray[Any]:
        """Begin a new episode in every environment, with the seeds that were set for it."""
        seeds = [None if seed is None else int(seed) for seed in self._seeds]
        self._reset_seeds()
        return self.begin(seeds)

    def begin(self, seeds: Sequence[int | None]) -> NDArray[Any]:
        """Begin a new episode in every environment.

        Args:
            seeds: one each; None: go on with the generator that it has.

        Returns:
            [num_envs, ...] the first observations.
        """
        given: Any = None if all(seed is None for seed in seeds) else list(seeds)
        self._observations, _ = self._vector.reset(seed=given)
        self._returns[:], self._lengths[:] = 0.0, 0
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self.observations()

    def begin_anew(self, steps: int) -> None:
        """Begin new episodes everywhere, drawn from the seed and the number of steps alone."""
        self._anew_at = steps
        self.begin(np.random.SeedSequence((self._seed, steps)).generate_state(self.num_envs).tolist())

    def step_async(self, actions: NDArray[Any]) -> None:
        """Take the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step every environment; one that is done reports its last observation in `infos` and begins anew."""
        self._observations, rewards, terminated, truncated, infos = self._vector.step(self._actions)
        dones = terminated | truncated
        self._returns += rewards
        self._lengths += 1
        rows: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for index in np.flatnonzero(dones).tolist():
            elapsed = round(time.monotonic() - self._started, 6)
            rows[index] = {
                "terminal_observation": np.array(infos["final_obs"][index]),
                "TimeLimit.truncated": bool(truncated[index] and not terminated[index]),
                "episode": {"r": float(self._returns[index]), "l": int(self._lengths[index]), "t": elapsed},
            }
        self._returns[dones], self._lengths[dones] = 0.0, 0
        return self.observations(), np.asarray(rewards, np.float32), dones, rows

    @property
    def step_seconds(self) -> NDArray[np.float64]:
        """[num_envs] ones: a step is the unit of time."""
        return np.ones(self.num_envs)

    def observations(self) -> NDArray[Any]:
        """[num_envs, ...] what every environment shows now; a copy."""
        return np.array(self._observations)

    def masks(self) -> NDArray[np.bool_] | None:
        """[num_envs, mask size] bool, the valid choices; None: the environment has no `action_masks`."""
        if not self._is_masked:
            return None
        vector: Any = self._vector
        found = vector.call("action_masks") if isinstance(vector, SyncVectorEnv) else vector.unwrapped.action_masks()
        return np.asarray(found, np.bool_).reshape(self.num_envs, -1)

    def state_dict(self) -> dict[str, Any]:
        """The steps at which all episodes began anew, from which they are drawn again."""
        return {"arrays": {}, "generator": {"anew_at": self._anew_at}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Begin the episodes that began when the state was saved."""
        self.begin_anew(int(state["generator"]["anew_at"]))

    def close(self) -> None:
        """Close the environments."""
        self._vector.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the environments asked for.

        Raises:
            AttributeError: they have none of this name.
        """
        count = range(self.num_envs) if indices is None else self._get_indices(indices)
        if attr_name == "action_masks" and not self._is_masked:
            raise AttributeError("the environment has no action_masks")
        if attr_name in ("action_masks", "render_mode"):
            return [getattr(self, "masks" if attr_name == "action_masks" else attr_name) for _ in count]
        if isinstance(self._vector, SyncVectorEnv):
            values = self._vector.get_attr(attr_name)
            return [values[index] for index in count]
        return [getattr(self._vector.unwrapped, attr_name) for _ in count]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: environments are as they were made.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"{attr_name} cannot be set: environments are as env_kwargs made them")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the environments asked for; `action_masks` answers for all at once."""
        count = range(self.num_envs) if indices is None else self._get_indices(indices)
        if method_name == "action_masks":
            masks = self.masks()
            if masks is None:
                raise AttributeError("the environment has no action_masks")
            return [masks[index] for index in count]
        answers = self._vector.call(method_name, *method_args, **method_kwargs)  # type: ignore[attr-defined]
        return [answers[index] for index in count]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Whether the environments do what a wrapper does: `Monitor`, as the infos have `episode`, and no other."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


def _is_masked(vector: VectorEnv[Any, Any, Any]) -> bool:
    if isinstance(vector, SyncVectorEnv):
        return bool(vector.envs[0].has_wrapper_attr("action_masks"))
    return hasattr(vector.unwrapped, "action_masks")


def check_spaces(env: str, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    """Refuse spaces that agents of Stable-Baselines3 cannot be trained on here.

    Raises:
        EnvironmentConfigError: as above.
    """
    known = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
    for name, space in (("observation", observation_space), ("action", action_space)):
        kind = type(space).__name__
        if not isinstance(space, known):
            raise EnvironmentConfigError(
                f"env {env!r} has {kind} {name}s; training takes {', '.join(each.__name__ for each in known)}; wrap "
                "it, with gymnasium.wrappers.FlattenObservation for one"
            )
        if isinstance(space, spaces.Box) and len(space.shape) == IMAGE_AXES:
            raise EnvironmentConfigError(
                f"env {env!r} has images of shape {space.shape} as {name}s; training takes vectors, wrap it"
            )
        if np.any(getattr(space, "start", 0)):
            raise EnvironmentConfigError(
                f"env {env!r}: its {name}s {space} must begin at 0, as Stable-Baselines3 needs"
            )
