"""`autoscaler/Serverless-v0`: functions on a pool that goes to zero, as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.actions import ActionCheck
from envs.autoreset import ResetNeededError
from envs.serverless.arguments import (
    DEFAULT_WORKLOAD,
    ConfigArgument,
    WorkloadArgument,
    draw_window,
    problem_from_arguments,
)
from envs.serverless.codec import ACTION_SIZES, FEATURES
from envs.serverless.render import RENDER_MODES, render_pool
from envs.serverless.simulator import ServerlessSimulator


class ServerlessEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Functions whose containers are kept, dropped and started again on a pool of nodes that goes to zero.

    ## Description

    Requests for functions arrive: fine-tunes, evaluations, inference. A container that is warm serves one at once; else
    one is started, which takes the time to pull the layers of its image that the node lacks, to start and to load its
    model. Whenever a container goes idle the agent decides how long it is kept. One step is one such decision, about
    one function: the observation is about that function, by its own history, so one policy serves any number of
    functions, and functions that it has never seen.

    ## Action Space

    `MultiDiscrete([134, 109, 7, 4])`

    | component | choices | meaning |
    |---|---|---|
    | keep-alive | 10 | 0, 10 s, 1, 2, 5, 10, 20, 60, 240 min, for ever |
    | | 17 | by the hazard rule, with what a cold start costs times 2^-4, 2^-3.5 to 2^4; 18 is the rule itself |
    | | 107 | until the function was idle for as long as where a bin of its histogram begins: 0, 10 s to 240 min |
    | pre-warm | 2 | as the hazard rule says where it was chosen; never |
    | | 107 | one is ready where a bin begins; never, where the container is still kept then |
    | idle time-out of the pool's nodes | 7 | as it is, 0, 1, 5, 15 min, never, as long as a boot costs |
    | how many are pre-warmed | 4 | until the function has 1, 2, 4, 8 containers |

    The hazard rule keeps a container while the chance of a request in the next bin of the function's histogram is worth
    more than keeping it, and starts it again before the next bin where it is: see `envs.serverless.rules`.

    ## Observation Space

    `Box(0, 1, (132,), float32)`; `envs.serverless.codec.FEATURES` has the name and the meaning of every entry.

    | entries | what |
    |---|---|
    | 0-1 | requests so far and recently |
    | 2-10 | quantiles of the gaps between its requests, its last two gaps, how regular they are, how many are known |
    | 11-13 | requests that run, containers, time that it is idle already |
    | 14-17 | memory, GPUs, time of a cold start, minutes of keep-alive that a cold start is worth |
    | 18-19 | hour of the day |
    | 20-22 | pool: memory reserved, nodes on; price of energy now |
    | 23-24 | what the hazard rule would do |
    | 25-131 | the histogram that it decides by: gaps by bins of 10 s up to 2 min, 1 min up to 1 h, 5 min up to 4 h |

    ## Rewards

    Minus the USD that the time since the last decision cost: energy of nodes and containers at the price of its hour,
    with its carbon; memory and GPUs that containers hold which serve no request; the time that requests waited for a
    container; late and rejected requests; less what is billed. The energy of requests that run is left out, which no
    decision changes. The first `warm_up_seconds` of an episode are free, and the hazard rule decides.

    ## Starting State

    A random moment of the workload, with all nodes off. `reset(options={"start_seconds": s, "end_seconds": e})`
    chooses the window.

    ## Episode End

    Truncated after `episode_seconds`, or at the end of the window. Never terminated: requests do not end.

    ## Arguments

    Args:
        workload: `traces.Invocations` or their URI, see `autoscaler traces list`.
        config: settings by name, such as `{"part": "train", "prices": {"usd_per_waited_hour": 60.0}}`, a YAML file or
            preset of them, or an `envs.serverless.config.ServerlessConfig`.
        render_mode: None, "ansi" (one line) or "rgb_array" (nodes as cells, and containers by state).

    Raises:
        TraceError: the workload cannot be read.
        ConfigError: an unknown key or a value that does not fit.
        EnvironmentConfigError: a function fits no node, or an argument has no meaning.

    ## Version History

    * v0: initial version.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}

    def __init__(
        self,
        workload: WorkloadArgument = DEFAULT_WORKLOAD,
        config: ConfigArgument = None,
        render_mode: str | None = None,
    ) -> None:
        self._simulator = ServerlessSimulator(problem_from_arguments(workload, config), 1, threads=1)
        self.config = self._simulator.problem.config
        self.render_mode = render_mode
        self.observation_space: Any = spaces.Box(0.0, 1.0, (len(FEATURES),), np.float32)
        self.action_space: Any = spaces.MultiDiscrete(np.array(ACTION_SIZES, np.int64))
        self._check_action = ActionCheck(ACTION_SIZES)
        self._is_running = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; see the class for `options`.

        Raises:
            EnvironmentConfigError: an option has no meaning.
        """
        super().reset(seed=seed)
        window = draw_window(self._simulator.problem, options or {}, self.np_random)
        self._simulator.begin(0, *window)
        self._is_running = True
        return self._simulator.observations[0].copy(), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Decide about the idle container and run to the next decision.

        Raises:
            InvalidActionError: the action is outside the action space.
            ResetNeededError: the episode is over, or none has begun.
        """
        if not self._is_running:
            raise ResetNeededError("no episode is running: call reset() before the first step and after the last")
        self._simulator.step(self._check_action(action))
        truncated = bool(self._simulator.done[0])
        self._is_running = not truncated
        reward = float(self._simulator.rewards[0])
        return self._simulator.observations[0].copy(), reward, False, truncated, self._info()

    def render(self) -> str | NDArray[np.uint8] | None:
        """The pool in the `render_mode`: one line, or a picture."""
        return render_pool(self._simulator, self.render_mode)

    def _info(self) -> dict[str, Any]:
        return {"time_seconds": float(self._simulator.time_seconds[0])}
