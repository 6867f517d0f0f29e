"""Many clusters in one Gymnasium `VectorEnv`, for `gymnasium.make_vec`: one compiled call steps them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.autoreset import ResetNeededError
from envs.autoreset import autoreset_mode as resolved_mode
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.arguments import (
    DEFAULT_TRACE,
    ClusterArgument,
    CodecArgument,
    ConfigArgument,
    TraceArgument,
    problem_from_arguments,
)
from envs.gpu_cluster.batch import ClusterBatch
from envs.gpu_cluster.cluster import AUTO
from envs.gpu_cluster.render import RENDER_MODES, render_cluster
from envs.gpu_cluster.spaces import action_space, observation_space

StepResult = tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class GpuClusterVectorEnv(VectorEnv[NDArray[np.float32], Any, NDArray[Any]]):
    """What `gymnasium.make_vec("autoscaler/GpuCluster-v0", num_envs=N)` makes; see `GpuClusterEnv` for what it means.

    It gives what `SyncVectorEnv` over N single environments gives, to the bit, many times faster.

    Args:
        num_envs: clusters.
        trace: as for `GpuClusterEnv`, like all up to `render_mode`.
        cluster: the nodes.
        config: settings and prices.
        codec: overrides of its codec.
        default_codec: sizes in place of the codec's defaults.
        render_mode: None, "ansi" or "rgb_array".
        autoreset_mode: what happens after the end of an episode, an `AutoresetMode` or its name. "NextStep": the next
            step ignores the action and begins the next episode. "SameStep": the same step does, and `info` has the
            last observation and info as `final_obs` and `final_info`. "Disabled": `reset` with the option `reset_mask`.
        threads: how many share the clusters, None: as many cores as have clusters enough. Results do not depend on it.

    Raises:
        UserError: as `GpuClusterEnv`; or there is no such mode.
    """

    def __init__(
        self,
        num_envs: int = 1,
        trace: TraceArgument = DEFAULT_TRACE,
        cluster: ClusterArgument = AUTO,
        config: ConfigArgument = None,
        codec: CodecArgument = None,
        default_codec: CodecArgument = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
    ) -> None:
        self.autoreset_mode = resolved_mode(autoreset_mode)
        self.metadata = {"render_modes": list(RENDER_MODES), "render_fps": 4, "autoreset_mode": self.autoreset_mode}
        problem = problem_from_arguments(trace, cluster, config, codec, default_codec)
        self.config, self.num_envs, self.render_mode = problem.config, num_envs, render_mode
        self._batch = ClusterBatch(problem, num_envs, threads)
        self.single_observation_space = observation_space(problem.config.codec)
        self.single_action_space = action_space(problem.config.codec)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._over = np.zeros(num_envs, np.bool_)
        self.episode_seconds = self._batch.episode_seconds

    @property  # type: ignore[misc]
    def np_random(self) -> Any:
        """The generator of each cluster."""
        return tuple(self._batch.generators)

    @property
    def np_random_seed(self) -> Any:
        """The seed of each cluster."""
        return tuple(self._batch.seeds)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode in every cluster, or in those of the option `reset_mask`.

        Args:
            seed: of the first cluster, the others count on from it; or one for each.
            options: `start_seconds` and `end_seconds` as for `GpuClusterEnv`, and `reset_mask`, [num_envs] bool.

        Raises:
            EnvironmentConfigError: an option has no meaning, or there is not one seed for each cluster.
        """
        window = dict(options or {})
        mask = self._mask(window.pop("reset_mask", None))
        clusters = np.flatnonzero(mask).tolist()
        for cluster in clusters:
            self._batch.seed(cluster, self._seed_of(cluster, seed))
        self._batch.begin(clusters, [window] * len(clusters))
        self._over &= ~mask
        return self._observations(), self._infos(mask)

    def step(self, actions: Any) -> StepResult:
        """Step every cluster.

        Args:
            actions: [num_envs, components] integers, or [num_envs] where the action has one component only.

        Raises:
            InvalidActionError: an action is outside the action space.
            ResetNeededError: no episode is running in a cluster and none begins by itself.
        """
        mode, batch = self.autoreset_mode, self._batch
        if mode is AutoresetMode.DISABLED and self._over.any():
            raise ResetNeededError(
                f"the episode of environment {int(np.argmax(self._over))} is over: call reset(options={{'reset_mask': "
                "...}) first"
            )
        batch.step(batch.check_actions(actions))
        begins = self._over
        if begins.any():
            batch.begin(np.flatnonzero(begins).tolist())
        simulator = batch.simulator
        rewards = simulator.rewards.copy()
        rewards[begins] = 0.0
        truncations = simulator.truncated
        terminations = simulator.done & ~truncations
        over = terminations | truncations
        final: dict[str, Any] = {}
        if mode is AutoresetMode.SAME_STEP:
            if over.any():
                final = self._final(over)
                batch.begin(np.flatnonzero(over).tolist())
        else:
            self._over = over
        return self._observations(), rewards, terminations, truncations, {**final, **self._infos(None)}

    def action_masks(self) -> NDArray[np.bool_]:
        """[num_envs, mask size] bool, the valid choices of every component of every cluster, one after the other."""
        return self._batch.simulator.action_masks.copy()

    def render(self) -> tuple[Any, ...] | None:
        """Each cluster in the `render_mode`: one line, or a picture of bars."""
        if self.render_mode is None:
            return None
        simulator = self._batch.simulator
        return tuple(render_cluster(simulator, self.render_mode, cluster) for cluster in range(self.num_envs))

    def _observations(self) -> NDArray[np.float32]:
        return self._batch.simulator.observations.copy()

    def _infos(self, mask: NDArray[np.bool_] | None) -> dict[str, Any]:
        """Gymnasium's form: each value beside whether a cluster has it; 0 where it has not. None: all have."""
        has = np.ones(self.num_envs, np.bool_) if mask is None else mask
        infos: dict[str, Any] = {}
        for key, values in self._batch.infos().items():
            infos[key] = values if mask is None else np.where(mask, values, 0.0)
            infos[f"_{key}"] = has
        return infos

    def _final(self, over: NDArray[np.bool_]) -> dict[str, Any]:
        observations = np.full(self.num_envs, None, dtype=object)
        for cluster in np.flatnonzero(over).tolist():
            observations[cluster] = self._batch.simulator.observations[cluster].copy()
        return {
            "final_obs": observations,
            "_final_obs": over,
            "final_info": self._infos(over),
            "_final_info": over,
        }

    def _mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if (
            not isinstance(mask, np.ndarray)
            or mask.shape != (self.num_envs,)
            or mask.dtype != np.bool_
            or not mask.any()
        ):
            raise EnvironmentConfigError(
                f"the option reset_mask must be an array of {self.num_envs} bool with at least one True, not {mask!r}"
            )
        return mask.copy()

    def _seed_of(self, cluster: int, seed: int | Sequence[int | None] | None) -> int | None:
        if seed is None or isinstance(seed, int | np.integer):
            return None if seed is None else int(seed) + cluster
        if len(seed) != self.num_envs:
            raise EnvironmentConfigError(f"there are {len(seed)} seeds for {self.num_envs} environments; give one each")
        return seed[cluster]
