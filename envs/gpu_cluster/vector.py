"""Many clusters in one Stable-Baselines3 `VecEnv`: one compiled call steps them all, nothing is pickled."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

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
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.spaces import action_space, observation_space
from envs.vec_env import TrainingVecEnv


class StepInfos(Sequence[dict[str, Any]]):
    """The info of each cluster after a step; a dict is made when it is read, for most steps none is.

    Args:
        columns: key -> [num_envs] float64, what every cluster has; kept, not copied.
        ended: cluster -> what only the info of an ended episode has.
    """

    __slots__ = ("_columns", "_ended", "_rows")

    def __init__(self, columns: Mapping[str, NDArray[np.float64]], ended: Mapping[int, dict[str, Any]]) -> None:
        self._columns, self._ended = columns, ended
        self._rows: dict[int, dict[str, Any]] = {}

    def _row(self, index: int) -> dict[str, Any]:
        if index not in self._rows:
            self._keep(index, [float(column[index]) for column in self._columns.values()])
        return self._rows[index]

    def _keep(self, index: int, values: Iterable[float]) -> None:
        row: dict[str, Any] = dict(zip(self._columns, values, strict=True))
        if index in self._ended:
            row.update(self._ended[index])
        self._rows[index] = row

    def __getitem__(self, index: Any) -> Any:
        """The info of a cluster, or a list of several."""
        if isinstance(index, slice):
            return [self._row(each) for each in range(*index.indices(len(self)))]
        return self._row(range(len(self))[index])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Each info in turn."""
        if len(self._rows) < len(self):
            for index, values in enumerate(zip(*(column.tolist() for column in self._columns.values()), strict=True)):
                if index not in self._rows:
                    self._keep(index, values)
        return (self._rows[index] for index in range(len(self)))

    def __len__(self) -> int:
        """The number of clusters."""
        return len(next(iter(self._columns.values())))

    def __repr__(self) -> str:
        return repr(list(self))


class GpuClusterVecEnv(TrainingVecEnv):
    """`num_envs` clusters that replay episodes of one trace, each reset on its own when its episode ends.

    Cluster `i` draws the same episodes as a single environment that is reset with `seed + i`. The info of a step has
    the keys of `GpuClusterEnv`, and where an episode ended also `episode`, `terminal_observation` and
    `TimeLimit.truncated`. `set_options` takes the options of `GpuClusterEnv.reset`, for the next `reset` only.

    Args:
        problem: trace, cluster and settings, from `envs.gpu_cluster.simulator.problem.make_problem`.
        num_envs: clusters.
        seed: as if `seed(seed)` were called; None: from the operating system.
        reward_scale: rewards are USD times this; a constant, so that learning sees numbers near 1.
        threads: how many share the clusters, None: as many cores as have clusters enough. Results do not depend on it.

    Attributes:
        episode_seconds: how long an episode is, see `envs.gpu_cluster.episodes.episode_seconds`.
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
        super().__init__(num_envs, observation_space(layout), self.make_action_space(layout))
        self.problem = problem
        self.reward_scale = reward_scale
        self._batch = ClusterBatch(problem, num_envs, threads)
        self.episode_seconds = self._batch.episode_seconds
        self._actions = np.zeros((num_envs, len(layout.action_sizes)), np.int64)
        self._returns = np.zeros(num_envs)
        self._lengths = np.zeros(num_envs, np.int64)
        self._step_seconds = np.zeros(num_envs)
        self._started = time.monotonic()
        if seed is not None:
            self.seed(seed)

    @staticmethod
    def make_action_space(layout: CodecLayout) -> gymnasium.spaces.Space[Any]:
        """The action space of one cluster; what has other actions overrides it, and `step_async`."""
        return action_space(layout)

    @classmethod
    def make(
        cls,
        num_envs: int,
        trace: TraceArgument = DEFAULT_TRACE,
        cluster: ClusterArgument = AUTO,
        config: ConfigArgument = None,
        codec: CodecArgument = None,
        default_codec: CodecArgument = None,
        seed: int | None = None,
        reward_scale: float = 1.0,
        threads: int | None = None,
    ) -> GpuClusterVecEnv:
        """A batch from the arguments of `GpuClusterEnv` and of this class.

        Raises:
            UserError: as `GpuClusterEnv`.
        """
        problem = problem_from_arguments(trace, cluster, config, codec, default_codec)
        return cls(problem, num_envs, seed, reward_scale, threads)

    def reset(self) -> NDArray[np.float32]:
        """Begin a new episode in every cluster, with the seeds and options that were set for it.

        Raises:
            EnvironmentConfigError: an option has no meaning.
        """
        for index, seed in enumerate(self._seeds):
            self._batch.random.seed(index, seed)
        self._batch.begin(range(self.num_envs), self._options)
        self._reset_seeds()
        self._reset_options()
        self._returns[:], self._lengths[:] = 0.0, 0
        self.reset_infos = list(StepInfos(self._batch.infos(), {}))
        return self.observations()

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Take the actions of the next step.

        Args:
            actions: [num_envs, components] integers, or [num_envs] where the action has one component only.

        Raises:
            InvalidActionError: an action is outside the action space.
        """
        self._actions = self._batch.check_actions(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Step every cluster; one that is done reports its last observation in `infos` and begins anew.

        Raises:
            ResetNeededError: there was no `reset` yet.
        """
        batch, simulator = self._batch, self._batch.simulator
        batch.step(self._actions)
        dones = simulator.done
        rewards = (simulator.rewards * self.reward_scale).astype(np.float32)
        self._returns += simulator.rewards
        self._lengths += 1
        columns, ended = batch.infos(), {}
        self._step_seconds = columns["step_seconds"]
        if dones.any():
            indices = np.flatnonzero(dones).tolist()
            ended = {index: self._last_info(index) for index in indices}
            self._begin_anew(indices)
        infos = cast("list[dict[str, Any]]", StepInfos(columns, ended))
        return self.observations(), rewards, dones, infos

    def _begin_anew(self, clusters: list[int]) -> None:
        self._batch.begin(clusters)
        self._returns[clusters], self._lengths[clusters] = 0.0, 0
        begun = StepInfos(self._batch.infos(), {})
        for index in clusters:
            self.reset_infos[index] = begun[index]

    def _last_info(self, index: int) -> dict[str, Any]:
        elapsed = round(time.monotonic() - self._started, 6)
        episode = {"r": float(self._returns[index]), "l": int(self._lengths[index]), "t": elapsed}
        return {
            "terminal_observation": self._batch.simulator.observations[index].copy(),
            "TimeLimit.truncated": self._batch.simulator.is_truncated(index),
            "episode": episode,
        }

    @property
    def step_seconds(self) -> NDArray[np.float64]:
        """[num_envs] simulated seconds that the last step of each cluster took; discounting needs them."""
        return self._step_seconds

    def observations(self) -> NDArray[np.float32]:
        """[num_envs, observation size] float32, a copy of what every cluster shows now."""
        return self._batch.simulator.observations.copy()

    def action_masks(self) -> NDArray[np.bool_]:
        """[num_envs, mask size] bool, a copy of the valid choices of every cluster."""
        return self._batch.simulator.action_masks.copy()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future of this object depends on: `arrays` by name, and `generator`, plain values."""
        state = self._batch.state_dict()
        return {**state, "arrays": {**state["arrays"], "returns": self._returns, "lengths": self._lengths}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it belongs to another configuration.
        """
        self._batch.load_state_dict(state)
        self._returns[:] = state["arrays"]["returns"]
        self._lengths[:] = state["arrays"]["lengths"]

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
        """Whether the clusters do what a wrapper does: `Monitor`, whose `episode` stands in the infos, and no other."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[None]:
        """Nothing to see."""
        return [None] * self.num_envs
