"""What all batches share that `gymnasium.make_vec` makes: seeds, masks, modes of autoreset, infos."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.autoreset import ResetNeededError
from envs.autoreset import autoreset_mode as resolved_mode
from envs.errors import EnvironmentConfigError

StepResult = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]
ResetResult = tuple[NDArray[np.float32], dict[str, Any]]


class EpisodeGenerators:
    """The random generator of each environment of a batch, made as `gymnasium.Env.reset` makes it.

    Args:
        num_envs: environments.

    Attributes:
        generators: of each environment.
        seeds: what each of them was made from.

    Raises:
        EnvironmentConfigError: there is no environment.
    """

    def __init__(self, num_envs: int) -> None:
        if num_envs < 1:
            raise EnvironmentConfigError(f"num_envs is {num_envs}; it must be at least 1")
        drawn = [seeding.np_random() for _ in range(num_envs)]
        self.generators: list[np.random.Generator] = [generator for generator, _ in drawn]
        self.seeds: list[int] = [seed for _, seed in drawn]

    def seed(self, index: int, seed: int | None) -> None:
        """Give an environment a new generator; None leaves it as it is."""
        if seed is not None:
            self.generators[index], self.seeds[index] = seeding.np_random(seed)


class CompiledVectorEnv(VectorEnv[NDArray[np.float32], Any, NDArray[Any]]):
    """Environments that one compiled call steps; it gives what `SyncVectorEnv` over single ones gives, to the bit.

    Args:
        random: the generator of each environment, and so their number.
        observation_space: of one environment.
        action_space: of one environment.
        render_mode: one of `render_modes`, or None.
        render_modes: what there is.
        autoreset_mode: what happens after the end of an episode, an `AutoresetMode` or its name. "NextStep": the next
            step ignores the action and begins the next episode. "SameStep": the same step does, and `info` has the
            last observation and info as `final_obs` and `final_info`. "Disabled": `reset` with the option `reset_mask`.

    Raises:
        EnvironmentConfigError: there is no such mode.
    """

    def __init__(
        self,
        random: EpisodeGenerators,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        render_mode: str | None,
        render_modes: Sequence[str],
        autoreset_mode: AutoresetMode | str,
    ) -> None:
        self.autoreset_mode = resolved_mode(autoreset_mode)
        self.metadata = {"render_modes": list(render_modes), "render_fps": 4, "autoreset_mode": self.autoreset_mode}
        self.num_envs, self.render_mode, self._random = len(random.seeds), render_mode, random
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, self.num_envs)
        self.action_space = batch_space(action_space, self.num_envs)
        self._over = np.zeros(self.num_envs, np.bool_)
        self._has_begun = np.zeros(self.num_envs, np.bool_)

    @abstractmethod
    def _begin(self, indices: list[int], options: Mapping[str, Any]) -> None:
        """Begin episodes: in the window of the options, or at random where there are none."""

    @abstractmethod
    def _advance(self, actions: Any) -> None:
        """Check actions and carry them out.

        Raises:
            InvalidActionError: an action is outside the action space.
        """

    @abstractmethod
    def _observations(self) -> NDArray[np.float32]:
        """[num_envs, ...] float32, a copy of what each shows now."""

    @abstractmethod
    def _rewards(self) -> NDArray[np.float64]:
        """[num_envs] float64, a copy of the rewards of the last step."""

    @abstractmethod
    def _ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """[num_envs] bool, twice: which episodes were terminated, and which truncated, by the last step."""

    @abstractmethod
    def _columns(self) -> dict[str, NDArray[Any]]:
        """What `info` has of each: name -> [num_envs, ...], arrays that nobody else has."""

    @property  # type: ignore[misc]
    def np_random(self) -> Any:
        """The generator of each environment."""
        return tuple(self._random.generators)

    @property
    def np_random_seed(self) -> Any:
        """The seed of each environment."""
        return tuple(self._random.seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> ResetResult:
        """Begin an episode in every environment, or in those of the option `reset_mask`.

        Args:
            seed: of the first environment, the others count on from it; or one for each.
            options: as for the single environment, and `reset_mask`, [num_envs] bool.

        Raises:
            EnvironmentConfigError: an option has no meaning, or there is not one seed for each environment.
        """
        window = dict(options or {})
        mask, seeds = self._mask(window.pop("reset_mask", None)), self._seeds(seed)
        indices = np.flatnonzero(mask).tolist()
        for index in indices:
            self._random.seed(index, seeds[index])
        self._begin(indices, window)
        self._over &= ~mask
        self._has_begun |= mask
        return self._observations(), self._infos(mask)

    def step(self, actions: Any) -> StepResult:
        """Step every environment.

        Args:
            actions: [num_envs, components] integers, or [num_envs] where the action has one component only.

        Raises:
            InvalidActionError: an action is outside the action space.
            ResetNeededError: no episode is running in an environment and none begins by itself.
        """
        mode, begins = self.autoreset_mode, self._over
        self._check_episodes()
        self._advance(actions)
        if begins.any():
            self._begin(np.flatnonzero(begins).tolist(), {})
        rewards = self._rewards()
        terminations, truncations = self._ends()
        if begins.any():
            rewards[begins], terminations[begins], truncations[begins] = 0.0, False, False
        over = terminations | truncations
        final: dict[str, Any] = {}
        if mode is not AutoresetMode.SAME_STEP:
            self._over = over
        elif over.any():
            final = self._final(over)
            self._begin(np.flatnonzero(over).tolist(), {})
        return self._observations(), rewards, terminations, truncations, {**final, **self._infos(None)}

    def _check_episodes(self) -> None:
        if not self._has_begun.all():
            raise ResetNeededError("no episode is running: call reset() before the first step")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._over.any():
            raise ResetNeededError(
                f"the episode of environment {int(np.argmax(self._over))} is over: call reset(options={{'reset_mask': "
                "...}) first"
            )

    def _infos(self, mask: NDArray[np.bool_] | None) -> dict[str, Any]:
        """Gymnasium's form: each value beside whether an environment has it; 0 where it has not. None: all have."""
        has = np.ones(self.num_envs, np.bool_) if mask is None else mask
        infos: dict[str, Any] = {}
        for name, values in self._columns().items():
            shaped = has.reshape(-1, *([1] * (values.ndim - 1)))
            infos[name] = values if mask is None else np.where(shaped, values, np.zeros((), values.dtype))
            infos[f"_{name}"] = has
        return infos

    def _final(self, over: NDArray[np.bool_]) -> dict[str, Any]:
        observations, shown = np.full(self.num_envs, None, dtype=object), self._observations()
        for index in np.flatnonzero(over).tolist():
            observations[index] = shown[index]
        return {"final_obs": observations, "_final_obs": over, "final_info": self._infos(over), "_final_info": over}

    def _mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        wanted = isinstance(mask, np.ndarray) and mask.shape == (self.num_envs,) and mask.dtype == np.bool_
        if not wanted or not mask.any():
            raise EnvironmentConfigError(
                f"the option reset_mask must be an array of {self.num_envs} bool with at least one True, not {mask!r}"
            )
        return np.array(mask, np.bool_)

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + index for index in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise EnvironmentConfigError(f"there are {len(seed)} seeds for {self.num_envs} environments; give one each")
        return list(seed)
