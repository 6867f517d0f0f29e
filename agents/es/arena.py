"""Where candidates compete: windows of the training part, replayed side by side under many weights in one call."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from agents.cluster_task import ClusterTask
from agents.es.cma_es import CmaES
from agents.setpoints import LearnedSetpoints
from envs.gpu_cluster.codec import make_policies, number_of_weights, start_of
from envs.gpu_cluster.episodes import equal_edges_ms
from envs.gpu_cluster.simulator import Simulator

DAY_MS = 86_400_000
FEWEST_VALIDATIONS, MOST_VALIDATIONS = 6, 60
WINDOWS_OF_SEARCH = 4
"""So many windows, side by side, are at most what is searched on: else all would be nearly the same."""
MOST_CLUSTERS = 512
"""Replayed side by side, which bounds the memory."""


class Arena:
    """The training part of a task, cut in time: the first part is searched on, the last one validates.

    Windows end at their end, whether their jobs are done or not: setpoints defer no job, and so all windows are equally
    long.

    Args:
        task: what is trained.

    Attributes:
        start: the tuned constants.
        validation: [V, 3] int64, about a day each.
        steps: decisions taken on windows of the search.
    """

    def __init__(self, task: ClusterTask) -> None:
        settings = task.agent
        assert isinstance(settings, CmaES)
        self._problem, self._settings = task.problem, settings
        self.start = task.tuned.policy(task.problem.config)
        self.size = number_of_weights(len(settings.features), settings.hidden)
        self._constants = start_of(*task.layout.setpoints[self.start.setpoint])
        submit = task.problem.submit_ms
        begin, end = int(task.validation[0, 0]), int(submit[-1]) + 1
        cut = end - round((end - begin) * settings.validation)
        self._begin, self._cut = begin, cut
        self._window = min(round(settings.window_days * DAY_MS), max((cut - begin) // WINDOWS_OF_SEARCH, 1))
        count = min(max(round((end - cut) / DAY_MS), FEWEST_VALIDATIONS), MOST_VALIDATIONS)
        edges = equal_edges_ms(cut, end, count)
        self.validation = self._episodes(np.array(edges[:-1]), np.array(edges[1:]))
        self.steps = 0
        self._simulators: dict[tuple[int, float], Simulator] = {}

    def _episodes(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
        last = np.full(len(start), self._problem.num_jobs)
        return np.stack([start, end, last], axis=1).astype(np.int64)

    def draw(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """[windows, 3] int64: windows of the search, one from each equal stretch of it, so that all of it counts."""
        count = self._settings.windows
        latest = self._cut - self._window - self._begin
        start = self._begin + ((np.arange(count) + generator.random(count)) / count * latest).astype(np.int64)
        return self._episodes(start, start + self._window)

    def policy(self, weights: NDArray[np.float64], packer: str | None = None) -> LearnedSetpoints:
        """The policy of some weights."""
        settings = self._settings
        return LearnedSetpoints(settings.name, self.start, settings.features, settings.hidden, weights, packer)

    def costs(self, weights: NDArray[np.float64], episodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """What candidates cost.

        Args:
            weights: [K, number of weights] float64.
            episodes: [W, 3] int64.

        Returns:
            [K, W] float64, USD that decisions changed, see `Simulator.take_costs`.
        """
        each = max(1, MOST_CLUSTERS // len(episodes))
        parts = [self._play(part, episodes) for part in np.split(weights, range(each, len(weights), each))]
        return np.concatenate(parts)

    def _play(self, weights: NDArray[np.float64], episodes: NDArray[np.int64]) -> NDArray[np.float64]:
        settings, layout = self._settings, self._problem.config.codec
        policies = make_policies(layout, settings.features, settings.hidden, self._constants, weights)
        count = len(weights) * len(episodes)
        seconds = float((episodes[:, 1] - episodes[:, 0]).max()) / 1000.0
        if (count, seconds) not in self._simulators:
            self._simulators[count, seconds] = Simulator.from_problem(self._problem, count, episode_seconds=seconds)
        simulator = self._simulators[count, seconds]
        simulator.reset(np.arange(count), np.tile(episodes, (len(weights), 1)))
        simulator.replay_policies(policies, np.repeat(np.arange(len(weights)), len(episodes)), self.start.rule)
        self.steps += int(simulator.decisions.sum())
        usd: NDArray[np.float64] = simulator.take_costs().sum(axis=1)
        return usd.reshape(len(weights), len(episodes))


def start_weights(settings: CmaES, seed: int) -> NDArray[np.float64]:
    """[number of weights] float64 with which a policy is the tuned constants: its last layer is 0.

    Hidden layers are drawn at random, as for rectified linear units, so that the last one has something to choose from.

    Args:
        settings: sizes of the policy.
        seed: of the experiment.

    Source: He et al., "Delving Deep into Rectifiers", 2015.
    """
    generator = np.random.default_rng([seed, 0])
    sizes, parts = (len(settings.features), *settings.hidden), []
    for before, after in pairwise(sizes):
        parts += [np.zeros(after), generator.normal(0.0, np.sqrt(2.0 / before), before * after)]
    last = number_of_weights(sizes[-1], ())
    return np.concatenate([*parts, np.zeros(last)])
