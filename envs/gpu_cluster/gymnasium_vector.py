"""Many clusters in one Gymnasium `VectorEnv`, for `gymnasium.make_vec`: one compiled call steps them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

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
from envs.vector_env import CompiledVectorEnv


class GpuClusterVectorEnv(CompiledVectorEnv):
    """What `gymnasium.make_vec("autoscaler/GpuCluster-v0", num_envs=N)` makes; see `GpuClusterEnv` for what it means.

    Args:
        num_envs: clusters.
        trace: as for `GpuClusterEnv`, like all up to `render_mode`.
        cluster: the nodes.
        config: settings and prices.
        codec: overrides of its codec.
        default_codec: sizes in place of the codec's defaults.
        render_mode: None, "ansi" or "rgb_array".
        autoreset_mode: what happens after the end of an episode, see `CompiledVectorEnv`.
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
        problem = problem_from_arguments(trace, cluster, config, codec, default_codec)
        self.config = problem.config
        self._batch = ClusterBatch(problem, num_envs, threads)
        spaces = observation_space(problem.config.codec), action_space(problem.config.codec)
        super().__init__(self._batch.random, *spaces, render_mode, RENDER_MODES, autoreset_mode)
        self.episode_seconds = self._batch.episode_seconds

    def action_masks(self) -> NDArray[np.bool_]:
        """[num_envs, mask size] bool, the valid choices of every component of every cluster, one after the other."""
        return self._batch.simulator.action_masks.copy()

    def render(self) -> tuple[Any, ...] | None:
        """Each cluster in the `render_mode`: one line, or a picture of bars."""
        if self.render_mode is None:
            return None
        simulator = self._batch.simulator
        return tuple(render_cluster(simulator, self.render_mode, cluster) for cluster in range(self.num_envs))

    def _begin(self, indices: list[int], options: Mapping[str, Any]) -> None:
        self._batch.begin(indices, [options] * len(indices))

    def _advance(self, actions: Any) -> None:
        self._batch.step(self._batch.check_actions(actions))

    def _observations(self) -> NDArray[np.float32]:
        return self._batch.simulator.observations.copy()

    def _rewards(self) -> NDArray[np.float64]:
        return self._batch.simulator.rewards.copy()

    def _ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        truncations = self._batch.simulator.truncated
        return self._batch.simulator.done & ~truncations, truncations

    def _columns(self) -> dict[str, NDArray[Any]]:
        return self._batch.infos()
