"""The city for several agents: PettingZoo's parallel API, one agent a site; needs the extra `pettingzoo`."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray

from envs.actions import ActionCheck
from envs.autoreset import ResetNeededError
from envs.edge.arguments import ScenarioArgument, city_of
from envs.edge.batch import CityBatch
from envs.edge.codec import ACTION_SIZES
from envs.edge.episodes import start_ms, steps_of
from envs.edge.spaces import site_action_space, site_observation_space
from envs.errors import EnvironmentConfigError, InvalidActionError

try:
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise EnvironmentConfigError(
        "the parallel city needs PettingZoo; install it with pip install 'green-gpu-autoscaler[pettingzoo]'"
    ) from error

Row = NDArray[np.float32]
ONLY_WORLD = np.zeros(1, np.int64)


class EdgeCityParallelEnv(ParallelEnv):  # type: ignore[misc, unused-ignore]
    """`autoscaler/EdgeCity-v0` with one agent a site; see `envs.edge.env.EdgeCityEnv` for what it means.

    An agent sees its row of the observation, decides its six components, and is paid what its own site costs and an
    equal part of the cloud's; the rewards of all agents sum to that of the Gymnasium environment.

    Args:
        scenario: as for `EdgeCityEnv`.
        render_mode: None or "ansi".

    Attributes:
        possible_agents: names of the sites.

    Raises:
        UserError: as `EdgeCityEnv`; or PettingZoo is not installed.
    """

    metadata = {"name": "autoscaler_edge_city_v0", "render_modes": ["ansi"], "is_parallelizable": True}

    def __init__(self, scenario: ScenarioArgument = None, render_mode: str | None = None) -> None:
        self.city, self.render_mode = city_of(scenario), render_mode
        self.possible_agents = list(self.city.sites.site_id)
        self.agents: list[str] = []
        self._observation_spaces = {name: site_observation_space() for name in self.possible_agents}
        self._action_spaces = {name: site_action_space() for name in self.possible_agents}
        self._check_action = ActionCheck(ACTION_SIZES)
        self._batch = CityBatch(self.city, 1)
        self._generator: np.random.Generator | None = None
        self._left = 0

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent sees."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent decides."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Row], dict[str, dict[str, Any]]]:
        """Begin an episode; `options` as for `EdgeCityEnv`."""
        if seed is not None or self._generator is None:
            self._generator = seeding.np_random(seed)[0]
        # Other options are left alone, as PettingZoo's own wrappers pass theirs on.
        chosen = {name: value for name, value in (options or {}).items() if name == "start_seconds"}
        self._batch.begin(ONLY_WORLD, np.array([start_ms(self.city, chosen, self._generator)]))
        self._left, self.agents = steps_of(self.city), list(self.possible_agents)
        return self._rows(), self._infos()

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Row], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Carry out the actions of all agents and run to the next decision.

        Raises:
            InvalidActionError: an agent has no action, or one outside its space.
            ResetNeededError: the episode is over, or none has begun.
        """
        if not self.agents:
            raise ResetNeededError("no episode is running: call reset() before the first step and after the last")
        table = np.zeros((1, len(self.agents), len(ACTION_SIZES)), np.int64)
        for number, name in enumerate(self.agents):
            if name not in actions:
                raise InvalidActionError(f"agent {name} has no action; give one for each of {len(self.agents)} agents")
            try:
                table[0, number] = self._check_action(actions[name])[0]
            except InvalidActionError as error:
                raise InvalidActionError(f"agent {name}: {error}") from error
        self._batch.step(table)
        self._left -= 1
        names, over = self.agents, self._left == 0
        rewards = dict(zip(names, self._batch.rewards[0].tolist(), strict=True))
        result = self._rows(), rewards, dict.fromkeys(names, False), dict.fromkeys(names, over)
        infos = self._infos()
        if over:
            self.agents = []
        return *result, infos

    def state(self) -> Row:
        """[sites * features] float32, what all sites see."""
        return self._batch.observations[0].ravel().copy()

    def render(self) -> Any:
        """One line: the moment, what is on and what runs."""
        return None if self.render_mode is None else self._batch.describe()

    def close(self) -> None:
        """Do nothing."""

    def _infos(self) -> dict[str, dict[str, Any]]:
        return {name: {"warms_up": self._batch.info()["warms_up"]} for name in self.agents}

    def _rows(self) -> dict[str, Row]:
        rows = self._batch.observations[0].copy()
        return {name: rows[number] for number, name in enumerate(self.agents)}
