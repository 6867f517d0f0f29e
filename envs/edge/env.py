"""`autoscaler/EdgeCity-v0`: edge sites of a city, as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.actions import ActionCheck
from envs.autoreset import ResetNeededError
from envs.edge.arguments import ScenarioArgument, city_of
from envs.edge.batch import CityBatch, CityTotals
from envs.edge.codec import ACTION_SIZES
from envs.edge.episodes import start_ms, steps_of
from envs.edge.render import RENDER_MODES, CityRenderer
from envs.edge.spaces import city_action_space, city_observation_space

ONLY_WORLD = np.zeros(1, np.int64)


class EdgeCityEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Edge sites of a city, whose users move along its roads and call functions that run in containers.

    ## Description

    Users live and work in a city and move along its road network. What is nearest to a site is its zone. A request is
    sent from the zone that its user is in and goes to the place that this zone is routed to, by the class of the
    request: its own site, another one, the hub of the neighbourhood, the hub in the middle of the city, or the cloud.
    Requests have a tight deadline, a loose one (at least `loose_deadline_seconds`), or none. There a warm container
    runs it, or it waits for one: layers that the node lacks are pulled, the container starts, the model loads; a node
    that is off boots first. The answer goes to the zone in which the user then is, over radio links that the users of
    a zone share. Where a user moves on while its request waits, the request can be handed over to the place that
    serves the new zone. Sites have CPUs, GPUs and memory; what does not fit evicts idle containers, or waits.
    Federated rounds call a training function of many users at once.

    One step is `decision_interval_seconds`. Time inside is exact to the ms: the container model of `envs.containers`.

    ## Action Space

    `MultiDiscrete`, six components for each site, one site after the other (`envs.edge.tables`):

    | component | choices | meaning |
    |---|---|---|
    | `route` | 5 | tight requests go to: central hub; hub; own site; cloud; least loaded of the 4 nearest on |
    | `route_loose` | 5 | the same for requests with a loose deadline |
    | `route_batch` | 5 | the same for functions without a deadline |
    | `keep_alive` | 5 | idle containers stay 0 s, 1 min, 10 min, for ever, or as long as the hazard rule finds |
    | `pre_warm` | 3 | containers of each function with a deadline that are held: 0, 1, 2 |
    | `sleep` | 4 | a node without containers sleeps at once, after 1 min, after 5 min, never |

    ## Observation Space

    `Box(0, 1, (sites, 34), float32)`: a row for each site, the same features for every site of every city, named in
    `envs.edge.codec.FEATURES`. So one policy of a row plays cities of any size: see `envs.edge.training`.

    | features | min | max |
    |---|---|---|
    | hour of the day (sine, cosine), requests of the zone now, in 10 min, in 1 h, users in the zone | 0 | 1 |
    | requests served, share of late answers, running, queued, starting and idle containers, memory used | 0 | 1 |
    | nodes on or booting, whether it is a hub, its hub's state and load, load of the city, price of energy | 0 | 1 |
    | requests of the nearest zones and of its hub, late answers of its hub, how long the hazard rule keeps | 0 | 1 |
    | requests of all zones of its hub and those that send less, also loose ones, loose ones of the city | 0 | 1 |
    | load and state of the cloud, time on the way to its hub and to the central hub | 0 | 1 |

    ## Rewards

    Minus the USD of the step in the whole city and cloud: energy at its price and that of its carbon, waiting for
    containers, and answers after the deadline. `info` has the terms `energy_usd`, `waiting_usd` and `late_usd`, and
    `site_rewards`, [sites], whose sum is the reward.

    ## Starting State

    `warm_up_seconds` before a random moment of the days and hours of the scenario, in a city where everything is off.
    Steps up to that moment have reward 0 and count for no total, `info["warms_up"]` is 1 before them: each policy makes
    the city itself that it is judged in. `reset(options={"start_seconds": s})` chooses the moment.

    ## Episode End

    Truncated `episode_seconds` after that moment; never terminated. `env.unwrapped.totals()` has USD, kWh, gCO2e,
    requests, shares of cold starts and of late answers, response times. A step after the end raises `ResetNeededError`.

    ## Arguments

    Args:
        scenario: None (a generated village with 10 sites and 150 users), a `CityConfig`, a mapping of its fields, a
            YAML file, or a preset such as `city/village`.
        render_mode: None, "ansi" (one line) or "rgb_array" (the map with sites, users and who serves them).

    Raises:
        TraceError: roads, sites or positions cannot be read; the roads are not connected, a site is off the map, or the
            times of a user go backwards.
        ConfigError: the scenario has an unknown key or a value that does not fit.
        EnvironmentConfigError: a function fits no node, an unknown layer or function is named, or no episode fits.

    ## Version History

    * v0: initial version.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}

    def __init__(self, scenario: ScenarioArgument = None, render_mode: str | None = None) -> None:
        self.city = city_of(scenario)
        self.render_mode = render_mode
        self._batch = CityBatch(self.city, 1)
        self._left = 0
        self._renderer: CityRenderer | None = None
        sites = self.city.num_sites
        self.observation_space: Any = city_observation_space(sites)
        self.action_space: Any = city_action_space(sites)
        self._check_action = ActionCheck(ACTION_SIZES * sites)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; see the class for `options`.

        Raises:
            EnvironmentConfigError: an option has no meaning, or no episode fits there.
        """
        super().reset(seed=seed)
        self._batch.begin(ONLY_WORLD, np.array([start_ms(self.city, options, self.np_random)]))
        self._left = steps_of(self.city)
        return self._batch.observations[0].copy(), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Carry out an action and run to the next decision.

        Raises:
            InvalidActionError: the action is outside the action space.
            ResetNeededError: the episode is over, or none has begun.
        """
        if self._left == 0:
            raise ResetNeededError("no episode is running: call reset() before the first step and after the last")
        self._batch.step(self._check_action(action).reshape(1, self.city.num_sites, -1))
        self._left -= 1
        truncated = self._left == 0
        reward = -float(self._batch.costs[0].sum())
        return self._batch.observations[0].copy(), reward, False, truncated, self._info()

    def totals(self) -> CityTotals:
        """What happened since the episode began."""
        return self._batch.totals()

    def render(self) -> Any:
        """The city in the `render_mode`: one line, or its map."""
        if self.render_mode == "rgb_array":
            self._renderer = self._renderer or CityRenderer(self.city)
            return self._renderer.draw(self._batch)
        return self._batch.describe() if self.render_mode == "ansi" else None

    def _info(self) -> dict[str, Any]:
        return {**self._batch.info(), "site_rewards": self._batch.rewards[0].copy()}
