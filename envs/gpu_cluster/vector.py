"""Many clusters in one Stable-Baselines3 `VecEnv`: one compiled call steps them all, nothing is pickled."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from envs.gpu_cluster.episodes import draw_episodes, draw_seeds
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.spaces import action_space, check_actions, observation_space


class GpuClusterVecEnv(VecEnv):
    """`num_envs` clusters that replay episodes of one trace, each reset on its own when its episode ends.

    Args:
        problem: trace, cluster and settings, from `envs.gpu_cluster.simulator.problem.make_problem`.
        num_envs: clusters.
        seed: of the generator that draws episodes; None: from the operating system.
        reward_scale: rewards are USD times this; a constant, so that learning sees numbers near 1.
        threads: how many share the clusters, None: as many cores as have clusters enough. Results do not depend on it.
    """

    def __init__(
        self,
        problem: Problem,
        num_envs: int,
        seed: int | None = None,
        reward_scale: float = 1.0,
        threads: int | None = None,
    ) -> None:
        layout = problem.config.codec
        self.render_mode = None
        super().__init__(num_envs, observation_space(layout), action_space(layout))
        self.problem = problem
        self._sizes = np.array(layout.action_sizes, np.uint64)
        self.reward_scale = reward_scale
        self._simulator = Simulator.from_problem(problem, num_envs, problem.config.episode_seconds, threads=threads)
        self._generator = np.random.default_rng(seed)
        self._actions = np.zeros((num_envs, len(layout.action_sizes)), np.int64)
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._step_seconds = np.zeros(num_envs)
        self._started = time.monotonic()
        self._nothing: list[dict[str, Any]] = [{} for _ in range(num_envs)]
        self._reset_clusters(np.arange(num_envs))

    def reset(self) -> NDArray[np.float32]:
        """Begin a new episode in every cluster."""
        if self._seeds[0] is not None:
            self._generator = np.random.default_rng(self._seeds[0])
            self._reset_seeds()
        self._reset_clusters(np.arange(self.num_envs))
        return self.observations()

    def _reset_clusters(self, clusters: NDArray[np.int64]) -> None:
        episodes = draw_episodes(self.problem, len(clusters), self._generator)
        self._simulator.reset(clusters, episodes, draw_seeds(self.problem, len(clusters), self._generator))
        self._returns[clusters] = 0.0
        self._lengths[clusters] = 0

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Take the actions of the next step.

        Raises:
            InvalidActionError: an action is outside the action space.
        """
        self._actions = check_actions(actions, self._sizes, self.num_envs)

    def step_wait(self) -> VecEnvStepReturn:
        """Step every cluster; one that is done reports its last observation in `infos` and begins anew."""
        simulator = self._simulator
        simulator.step(self._actions)
        dones = simulator.done
        rewards = (simulator.rewards * self.reward_scale).astype(np.float32)
        self._returns += simulator.rewards
        self._lengths += 1
        self._step_seconds = simulator.step_seconds.copy()
        infos = self._nothing
        if dones.any():
            infos = list(self._nothing)
            ended = np.flatnonzero(dones)
            for index in ended.tolist():
                infos[index] = self._last_info(index)
            self._reset_clusters(ended)
        return self.observations(), rewards, dones, infos

    def _last_info(self, index: int) -> dict[str, Any]:
        elapsed = round(time.monotonic() - self._started, 6)
        episode = {"r": float(self._returns[index]), "l": int(self._lengths[index]), "t": elapsed}
        return {
            "terminal_observation": self._simulator.observations[index].copy(),
            "TimeLimit.truncated": self._simulator.is_truncated(index),
            "episode": episode,
        }

    @property
    def step_seconds(self) -> NDArray[np.float64]:
        """[num_envs] simulated seconds that the last step of each cluster took; discounting needs them."""
        return self._step_seconds

    def observations(self) -> NDArray[np.float32]:
        """[num_envs, observation size] float32, a copy of what every cluster shows now."""
        return self._simulator.observations.copy()

    def action_masks(self) -> NDArray[np.bool_]:
        """[num_envs, mask size] bool, the valid choices of every cluster."""
        return self._simulator.action_masks

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future of this object depends on: arrays by name, and the generator's state."""
        return {
            "arrays": {**self._simulator.state_arrays(), "returns": self._returns, "lengths": self._lengths},
            "generator": self._generator.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it belongs to another configuration.
        """
        self._simulator.load_state_arrays(state["arrays"])
        self._returns[:] = state["arrays"]["returns"]
        self._lengths[:] = state["arrays"]["lengths"]
        self._generator.bit_generator.state = state["generator"]

    # The rest of the VecEnv interface, for attributes of the batch as a whole.

    def close(self) -> None:
        """Do nothing: memory is all there is."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of this object, once per cluster asked for."""
        return [getattr(self, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: clusters of a batch share all attributes.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(f"clusters of a batch share their attributes; {attr_name} cannot be set for some of them")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> Any:
        """Call a method that answers for the whole batch (`action_masks`) and return the rows asked for."""
        answer = getattr(self, method_name)(*method_args, **method_kwargs)
        return answer if indices is None else answer[np.array(list(self._get_indices(indices)))]

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """Clusters of a batch are never wrapped one by one."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[None]:
        """Nothing to see."""
        return [None] * self.num_envs
