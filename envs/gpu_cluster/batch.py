"""A batch of clusters that begin episodes on their own: what the vector environments of all libraries are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.actions import ActionCheck
from envs.autoreset import ResetNeededError
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.episodes import RandomEpisodes, draw_seed, episode_from_options
from envs.gpu_cluster.simulator import COST_TERMS, Simulator
from envs.gpu_cluster.simulator.problem import Problem
from envs.vector_env import EpisodeGenerators

INFO_KEYS = (*COST_TERMS, "step_seconds", "time_seconds")
"""What `info` holds: the terms of the cost in USD, how long the step took, and the time of the trace."""


class ClusterBatch:
    """Clusters that replay episodes of one problem, each with a random generator of its own.

    Cluster `i` draws the episodes that a single environment with its seed draws, whatever the other clusters do.

    Args:
        problem: trace, cluster and settings.
        num_envs: clusters.
        threads: how many share the clusters, None: as many cores as have clusters enough. Results do not depend on it.

    Attributes:
        simulator: the clusters.
        random: the generator of each cluster, for its episodes.
        episode_seconds: how long a random episode is.
    """

    def __init__(self, problem: Problem, num_envs: int, threads: int | None = None) -> None:
        self.random = EpisodeGenerators(num_envs)
        self.problem, self.num_envs, self._threads = problem, num_envs, threads
        self.simulator = Simulator.from_problem(problem, num_envs, problem.config.episode_seconds, threads=threads)
        self._episodes = RandomEpisodes(problem)
        self._episodes.log()
        self.episode_seconds = self._episodes.seconds
        self._check = ActionCheck(problem.config.codec.action_sizes, num_envs)
        self._has_begun = np.zeros(num_envs, np.bool_)

    def begin(self, clusters: Sequence[int], options: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Begin an episode in some clusters.

        Args:
            clusters: which.
            options: of `reset` for each of them; a window, or empty: at random. None: all at random.

        Raises:
            EnvironmentConfigError: an option has no meaning, or a window has more jobs than there is memory for.
        """
        problem, episodes, seeds = self.problem, [], []
        for cluster, window in zip(clusters, options or [{}] * len(clusters), strict=True):
            generator = self.random.generators[cluster]
            episodes.append(episode_from_options(problem, window) if window else self._episodes.draw(generator))
            seeds.append(draw_seed(problem, generator))
        drawn = [seed for seed in seeds if seed is not None]
        begun = np.asarray(clusters, np.int64), np.concatenate(episodes), np.concatenate(drawn) if drawn else None
        try:
            self.simulator.reset(*begun)
        except ValueError as error:
            if len(clusters) < self.num_envs:
                raise EnvironmentConfigError(
                    "the window of reset has more jobs than the batch has memory for: reset all environments at once, "
                    "or give a shorter window"
                ) from error
            # Memory was for `episode_seconds`, now it is for the whole trace.
            self.simulator = Simulator.from_problem(problem, self.num_envs, threads=self._threads)
            self.simulator.reset(*begun)
        self._has_begun[begun[0]] = True

    def check_actions(self, actions: Any) -> NDArray[np.int64]:
        """[num_envs, components] int64, actions as the simulator takes them.

        Raises:
            InvalidActionError: an action is outside the action space.
        """
        return self._check(actions)

    def step(self, actions: NDArray[np.int64]) -> None:
        """Step every cluster that is not done.

        Raises:
            ResetNeededError: a cluster has not begun an episode yet.
        """
        if not self._has_begun.all():
            raise ResetNeededError("no episode is running: call reset() before the first step")
        self.simulator.step(actions)

    def infos(self) -> dict[str, NDArray[np.float64]]:
        """`INFO_KEYS` -> [num_envs] float64, of the last step; views of one array that nobody else has."""
        simulator = self.simulator
        rows = np.empty((len(INFO_KEYS), self.num_envs))
        rows[:-2] = simulator.cost_terms.T
        rows[-2] = simulator.step_seconds
        np.divide(simulator.time_ms, 1000, out=rows[-1])
        return dict(zip(INFO_KEYS, rows, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future of the batch depends on: `arrays` by name, and `generator`, plain values."""
        states = [generator.bit_generator.state for generator in self.random.generators]
        return {"arrays": self.simulator.state_arrays(), "generator": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: it belongs to another configuration.
        """
        if len(state["generator"]) != self.num_envs:
            raise ValueError(
                f"the state does not fit: it is of {len(state['generator'])} clusters, not {self.num_envs}"
            )
        self.simulator.load_state_arrays(state["arrays"])
        for generator, saved in zip(self.random.generators, state["generator"], strict=True):
            generator.bit_generator.state = saved
        self._has_begun[:] = True
