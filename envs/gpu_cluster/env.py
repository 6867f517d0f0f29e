"""`autoscaler/GpuCluster-v0`: one GPU cluster that replays a trace, as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from envs.actions import ActionCheck
from envs.autoreset import ResetNeededError
from envs.gpu_cluster.arguments import (
    DEFAULT_TRACE,
    ClusterArgument,
    CodecArgument,
    ConfigArgument,
    TraceArgument,
    problem_from_arguments,
)
from envs.gpu_cluster.cluster import AUTO
from envs.gpu_cluster.episodes import RandomEpisodes, draw_seed, episode_from_options
from envs.gpu_cluster.render import RENDER_MODES, render_cluster
from envs.gpu_cluster.simulator import COST_TERMS, Simulator
from envs.gpu_cluster.spaces import action_space, observation_space

ONLY_CLUSTER = np.zeros(1, np.int64)


class GpuClusterEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """A GPU cluster whose nodes can be switched on and off while jobs of a trace arrive.

    ## Description

    Jobs of a real or synthetic trace arrive and request GPUs; some are gangs over several nodes, some need a share of
    one GPU. The agent sees counts per pool, the head of the queue and signals such as the time of day, and decides how
    many nodes of each pool are on and where waiting jobs go. One step is one reconcile of the live autoscaler: the next
    decision follows the first event after the last one (a job submitted or finished, a node ready, an idle node passing
    an age, an hour of the signals that are shown), at least `settle_seconds` and at most `resync_interval_seconds`
    after the last one. A setpoint or a reserve in nodes that was changed is held for `decision_interval_seconds`: until
    then the mask allows no other.

    ## Action Space

    `MultiDiscrete`: per pool a *setpoint*, then per slot of the queue window a *placement*, then per pool a choice of
    each lever that the codec layout switches on. `Discrete` where that is one component only (one pool, no window).

    | component | choices | meaning |
    |---|---|---|
    | setpoint of pool p | 61 | idle time-out and reserve, see `CodecLayout.setpoints` |
    | placement of slot s | 1 + `max_pools` | 0: hold; k: run in pool k - 1 as soon as it fits |
    | `consolidation` of pool p | 3 | empty no node, the emptiest, or all that can be, by moving their jobs |
    | `power_caps` of pool p | 4 | cap of the GPUs' power, see `envs.gpu_cluster.codec.POWER_CAP_FRACTIONS` |
    | `elastic_width` of pool p | 3 | keep, shrink or grow the elastic jobs |
    | `suspension` of pool p | 3 | none; suspend the jobs that may be; let those that are go on |
    | `reserve_nodes` of pool p | 6 | idle nodes in reserve, see `envs.gpu_cluster.codec.RESERVE_NODES` |

    `action_masks()` gives the valid choices, flat. An action outside the mask means the default: see
    `envs.gpu_cluster.codec.decode`.

    ## Observation Space

    `Box(0, 1, float32)`; `envs.gpu_cluster.codec.observation_names(layout)` names every entry. Counts x are squashed by
    x / (x + scale).

    | part | entries | examples |
    |---|---|---|
    | cluster | 19 | time of day, GPUs submitted in the last 10 min / 1 h / 6 h / 24 h, queue, running jobs |
    | per pool | 32 | busy, idle, booting nodes; idle nodes by age; fragmentation; demand of the queue; costs |
    | per slot | 4 + 3 per pool | GPUs, waiting time; where it may run, fits now, would go by default |

    Each lever adds what it needs to know of a pool (3, 2, 2, 3 and 1 entries), and `job_hints` 6 entries per slot and
    one per slot and pool: the expected run time, slack, priority, width range and speed.

    ## Rewards

    Minus the money that the time since the last step cost: energy of idle GPUs on busy nodes, idle nodes, booting nodes
    and nodes that are off, times `usd_per_kwh`, plus waiting GPU-hours times `usd_per_gpu_hour`. GPU-hours that jobs
    hold beyond their work (moves, restarts) cost their energy and as much as waiting. The energy of the work itself is
    left out, as far as no decision changes it: at the price of the pool where it is least. `info` has every term in
    USD.

    ## Starting State

    A random moment of the trace, with the jobs that then run (as if each had started when it was submitted), on as many
    nodes as they need. `reset(options={"start_seconds": s, "end_seconds": e})` chooses the window: then jobs submitted
    before `e` arrive and the episode ends when all are done. Without `e` that is the rest of the trace.

    ## Episode End

    Terminated when every job is done; truncated after `episode_seconds`, or after half of the trace where that is
    shorter (else every episode would begin at the same moment): the attribute `episode_seconds` has the length that
    holds, and `logging` says so. A step after the end raises `ResetNeededError`.

    ## Arguments

    Args:
        trace: a `Trace` or its URI, see `autoscaler traces list`.
        cluster: "auto" (one pool of 8-GPU nodes, as large as the trace's peak), a mapping such as
            `{"pools": [{"name": "gpu", "max_nodes": 20}]}`, a YAML file of one, the URI of a list of nodes, or a
            `ClusterConfig`.
        config: settings and prices by name, such as `{"episode_seconds": 86400.0, "objective": {"usd_per_kwh": 0.3}}`,
            a YAML file or preset of them, or an `EnvironmentConfig`; what is left out keeps its default.
        codec: sizes and levers of the codec by field name, such as `{"window_slots": 4}`; they replace those of
            `config.codec`.
        default_codec: sizes in place of the defaults of `CodecLayout`, which `config` and `codec` replace: what the
            registered id stands for.
        render_mode: None, "ansi" (one line) or "rgb_array" (nodes as cells by state).

    Mappings and names keep `env.spec.to_json()` complete: `gymnasium.make(EnvSpec.from_json(text))` is the same
    environment. So do the configuration objects, but not a `Trace` object; use its URI there.

    Raises:
        TraceError: the trace cannot be read.
        ConfigError: a mapping or file has an unknown key or a value that does not fit.
        ClusterError: trace, cluster and codec do not fit together.
        EnvironmentConfigError: an argument is of no type that it may have.

    ## Version History

    * v0: initial version.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4}

    def __init__(
        self,
        trace: TraceArgument = DEFAULT_TRACE,
        cluster: ClusterArgument = AUTO,
        config: ConfigArgument = None,
        codec: CodecArgument = None,
        default_codec: CodecArgument = None,
        render_mode: str | None = None,
    ) -> None:
        problem = problem_from_arguments(trace, cluster, config, codec, default_codec)
        self.config = problem.config
        self._simulator = Simulator.from_problem(problem)
        self._is_running = False
        self._episodes = RandomEpisodes(problem)
        self._episodes.log()
        self.episode_seconds = self._episodes.seconds
        self.render_mode = render_mode
        self.observation_space: Any = observation_space(self.config.codec)
        self.action_space = action_space(self.config.codec)
        self._check_action = ActionCheck(self.config.codec.action_sizes)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; see the class for `options`.

        Raises:
            EnvironmentConfigError: an option has no meaning, or no job is submitted in the window.
        """
        super().reset(seed=seed)
        problem, generator = self._simulator.problem, self.np_random
        episode = episode_from_options(problem, options) if options else self._episodes.draw(generator)
        self._simulator.reset(ONLY_CLUSTER, episode, draw_seed(problem, generator))
        self._is_running = True
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Carry out an action and run to the next decision.

        Raises:
            InvalidActionError: the action is outside the action space.
            ResetNeededError: the episode is over, or none has begun.
        """
        if not self._is_running:
            raise ResetNeededError("no episode is running: call reset() before the first step and after the last")
        self._simulator.step(self._check_action(action))
        truncated = self._simulator.is_truncated()
        terminated = self._simulator.is_done() and not truncated
        self._is_running = not (terminated or truncated)
        return self._observation(), float(self._simulator.rewards[0]), terminated, truncated, self._info()

    def action_masks(self) -> NDArray[np.bool_]:
        """[mask size] bool, the valid choices of every component, one after the other."""
        mask: NDArray[np.bool_] = self._simulator.action_masks[0]
        return mask.copy()

    def render(self) -> str | NDArray[np.uint8] | None:
        """The cluster in the `render_mode`: one line, or a picture of bars."""
        return render_cluster(self._simulator, self.render_mode)

    def _observation(self) -> NDArray[np.float32]:
        observation: NDArray[np.float32] = self._simulator.observations[0]
        return observation.copy()

    def _info(self) -> dict[str, Any]:
        simulator = self._simulator
        info: dict[str, Any] = dict(zip(COST_TERMS, simulator.cost_terms[0].tolist(), strict=True))
        info["step_seconds"] = float(simulator.step_seconds[0])
        info["time_seconds"] = int(simulator.time_ms[0]) / 1000
        return info
