"""Many worlds of one city in one Gymnasium `VectorEnv`, for `gymnasium.make_vec`: one compiled call steps them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.autoreset import ResetNeededError
from envs.autoreset import autoreset_mode as resolved_mode
from envs.edge.arguments import ScenarioArgument, city_of
from envs.edge.batch import CityBatch, check_actions
from envs.edge.episodes import chosen_start_ms, draw_start_ms, steps_of
from envs.edge.spaces import city_action_space, city_observation_space
from envs.edge.tables import COST_TERMS
from envs.errors import EnvironmentConfigError

StepResult = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class EdgeCityVectorEnv(VectorEnv[NDArray[np.float32], Any, NDArray[Any]]):
    """What `gymnasium.make_vec("autoscaler/EdgeCity-v0", num_envs=N)` makes; see `EdgeCityEnv` for what it means.

    It gives what `SyncVectorEnv` over N single environments gives, to the bit.

    Args:
        num_envs: worlds.
        scenario: as for `EdgeCityEnv`.
        render_mode: None or "ansi".
        autoreset_mode: what happens after the end of an episode, an `AutoresetMode` or its name.
        threads: how many share the worlds, None: as many as numba may use. Results do not depend on it.

    Attributes:
        batch: the worlds.

    Raises:
        UserError: as `EdgeCityEnv`; or there is no such mode.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: ScenarioArgument = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
    ) -> None:
        self.autoreset_mode = resolved_mode(autoreset_mode)
        self.metadata = {"render_modes": ["ansi"], "render_fps": 4, "autoreset_mode": self.autoreset_mode}
        self.city, self.num_envs, self.render_mode = city_of(scenario), num_envs, render_mode
        self.batch = CityBatch(self.city, num_envs, threads)
        sites = self.city.num_sites
        self.single_observation_space = city_observation_space(sites)
        self.single_action_space = city_action_space(sites)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._left = np.zeros(num_envs, np.int64)
        self._over = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every world, or in those of the option `reset_mask`.

        Args:
            seed: of the first world, the others count on from it; or one for each.
            options: `start_seconds` as for `EdgeCityEnv`, and `reset_mask`, [num_envs] bool.

        Raises:
            EnvironmentConfigError: an option has no meaning, or there is not one seed for each world.
        """
        chosen = dict(options or {})
        mask = chosen.pop("reset_mask", None)
        mask = np.ones(self.num_envs, np.bool_) if mask is None else np.array(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise EnvironmentConfigError(
                f"the option reset_mask must be an array of {self.num_envs} bool with at least one True"
            )
        if isinstance(seed, Sequence) and len(seed) != self.num_envs:
            raise EnvironmentConfigError(f"there are {len(seed)} seeds for {self.num_envs} environments; give one each")
        for world in np.flatnonzero(mask).tolist():
            given = seed[world] if isinstance(seed, Sequence) else None if seed is None else int(seed) + world
            if given is not None or self._generators[world] is None:
                self._generators[world] = seeding.np_random(given)[0]
        self._begin(np.flatnonzero(mask), chosen)
        self._over &= ~mask
        return self.batch.observations.copy(), self._infos(mask)

    def step(self, actions: Any) -> StepResult:
        """Step every world: [num_envs, sites * 5] integers.

        Raises:
            InvalidActionError: an action is outside the action space.
            ResetNeededError: no episode is running in a world and none begins by itself.
        """
        mode = self.autoreset_mode
        begins = self._over.copy()
        if (mode is AutoresetMode.DISABLED and begins.any()) or not (self._left + begins).all():
            raise ResetNeededError("an episode is over, or none has begun: call reset() first")
        self.batch.step(check_actions(actions, self.num_envs, self.city.num_sites))
        self._left -= 1
        if begins.any():
            self._begin(np.flatnonzero(begins), {})
        rewards = -self.batch.costs.sum(axis=1)
        over = self._left == 0
        final: dict[str, Any] = {}
        if mode is AutoresetMode.SAME_STEP:
            if over.any():
                final = self._final(over)
                self._begin(np.flatnonzero(over), {})
        else:
            self._over = over
        nowhere = np.zeros(self.num_envs, np.bool_)
        return self.batch.observations.copy(), rewards, nowhere, over, {**final, **self._infos(None)}

    def render(self) -> tuple[Any, ...] | None:
        """One line for each world."""
        if self.render_mode is None:
            return None
        return tuple(self.batch.describe(world) for world in range(self.num_envs))

    def _begin(self, worlds: NDArray[np.int64], options: dict[str, Any]) -> None:
        starts = []
        for world in worlds.tolist():
            generator = self._generators[world]
            assert generator is not None
            starts.append(chosen_start_ms(self.city, options) if options else draw_start_ms(self.city, generator))
        self.batch.begin(worlds, np.array(starts))
        self._left[worlds] = steps_of(self.city)

    def _infos(self, mask: NDArray[np.bool_] | None) -> dict[str, Any]:
        has = np.ones(self.num_envs, np.bool_) if mask is None else mask
        columns = dict(zip(COST_TERMS, self.batch.costs.T.copy(), strict=True))
        columns["time_seconds"] = self.batch.time_ms / 1000
        columns["site_rewards"] = self.batch.rewards.copy()
        infos: dict[str, Any] = {}
        for name, values in columns.items():
            shaped = has.reshape(-1, *([1] * (values.ndim - 1)))
            infos[name], infos[f"_{name}"] = np.where(shaped, values, 0.0), has
        return infos

    def _final(self, over: NDArray[np.bool_]) -> dict[str, Any]:
        observations = np.full(self.num_envs, None, dtype=object)
        for world in np.flatnonzero(over).tolist():
            observations[world] = self.batch.observations[world].copy()
        return {"final_obs": observations, "_final_obs": over, "final_info": self._infos(over), "_final_info": over}
