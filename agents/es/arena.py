"""Where candidates compete: windows of the training part, replayed side by side under many weights in one call."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from agents.baselines.constant import ConstantSetpoint
from agents.cluster_task import ClusterTask
from agents.es.cma_es import SetpointConfig
from agents.es.intensity import fit_intensity
from agents.setpoints import LearnedSetpoints
from envs.gpu_cluster.codec import (
    INTENSITY,
    CodecLayout,
    Pool,
    SetpointPolicies,
    make_policies,
    number_of_outputs,
    number_of_weights,
    start_of,
)
from envs.gpu_cluster.codec.setpoint_policy import OUTPUTS, RESERVES, TIMEOUTS, price_of
from envs.gpu_cluster.episodes import equal_edges_ms
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem

DAY_MS = 86_400_000
FEWEST_VALIDATIONS, MOST_VALIDATIONS = 6, 60
WINDOWS_OF_SEARCH = 4
"""So many windows, side by side, are at most what is searched on: else all would be nearly the same."""
MOST_CLUSTERS = 512
"""Replayed side by side, which bounds the memory."""


Windows = tuple[NDArray[np.int64], ...]
"""Windows of each ground, [W, 3] int64 each; none of a ground that is not played."""


class Ground:
    """The training window of one trace, cut in time: the first part is searched on, the last one validates.

    Windows end at their end, whether their jobs are done or not: setpoints defer no job, and so all windows are equally
    long.

    Args:
        problem: trace, cluster and settings.
        settings: of the agent.
        start: the constants that policies begin from.

    Attributes:
        intensity: [1 + I] float64, of the learned intensity; None: policies read none.
        rule: [RULE_SIZE] int64, the constant choices of the levers.
        validation: [V, 3] int64, about a day each.
        steps: decisions taken so far.
    """

    def __init__(self, problem: Problem, settings: SetpointConfig, start: ConstantSetpoint) -> None:
        self._problem, self._settings, self.rule = problem, settings, start.rule
        self._levers = settings.levers_of(start.layout)
        self._constants = start_of(start.layout, start.rule, self._levers)
        submit = problem.submit_ms
        begin, end = int(submit[0]), int(submit[-1]) + 1
        cut = end - round((end - begin) * settings.validation)
        self._begin, self._cut, self._end = begin, cut, end
        self._window = min(round(settings.window_days * DAY_MS), max((cut - begin) // WINDOWS_OF_SEARCH, 1))
        count = min(max(round((end - cut) / DAY_MS), FEWEST_VALIDATIONS), MOST_VALIDATIONS)
        edges = equal_edges_ms(cut, end, count)
        self.validation = self._episodes(np.array(edges[:-1]), np.array(edges[1:]))
        self.intensity: NDArray[np.float64] | None = None
        self.steps = 0
        self._simulators: dict[tuple[int, float], Simulator] = {}

    @property
    def price(self) -> float:
        """The price of waiting as policies read it, mean of the pools."""
        template, per_gpu_hour = self._problem.template, self._problem.config.objective.usd_per_gpu_hour
        idle = template[:, Pool.IDLE_NODE_WATTS] / 1000.0 * template[:, Pool.USD_PER_KWH]
        return float(np.mean(price_of(idle / (idle + per_gpu_hour * template[:, Pool.GPUS_PER_NODE]))))

    @property
    def searched_on(self) -> tuple[Problem, int, int]:
        """Trace and cluster, and the begin and end of what is searched on, ms."""
        return self._problem, self._begin, self._cut

    def whole(self) -> NDArray[np.int64]:
        """[W, 3] int64: equal windows that are all of what is searched on."""
        count = max(round((self._cut - self._begin) / self._window), 1)
        edges = np.array(equal_edges_ms(self._begin, self._cut, count))
        return self._episodes(edges[:-1], edges[1:])

    def constants(self) -> NDArray[np.float64]:
        """[reserves, time-outs] float64: what each constant costs on a window of `whole`, in the mean."""
        choices = np.array([(edge, row) for row in range(RESERVES) for edge in range(TIMEOUTS)], np.float64)
        outputs = number_of_outputs(self._levers)
        weights = np.zeros((len(choices), number_of_weights(self._settings.inputs, (), outputs)))
        weights[:, :OUTPUTS] = choices - self._constants[:OUTPUTS]
        means: NDArray[np.float64] = self.costs(weights, self.whole()).mean(axis=1)
        return means.reshape(RESERVES, TIMEOUTS)

    def _episodes(self, start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
        last = np.full(len(start), self._problem.num_jobs)
        return np.stack([start, end, last], axis=1).astype(np.int64)

    def draw(self, generator: np.random.Generator, count: int, *, everything: bool = False) -> NDArray[np.int64]:
        """[count, 3] int64: windows of the search, one from each equal stretch of it, so that all of it counts.

        Args:
            generator: of random numbers.
            count: windows.
            everything: also from what validates, once that has chosen.
        """
        latest = (self._end if everything else self._cut) - self._window - self._begin
        start = self._begin + ((np.arange(count) + generator.random(count)) / max(count, 1) * latest).astype(np.int64)
        return self._episodes(start, start + self._window)

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

    def policies(self, weights: NDArray[np.float64]) -> SetpointPolicies:
        """Policies of weights [K, number of weights] float64, as kernels take them."""
        settings, layout = self._settings, self._problem.config.codec
        shape = settings.features, settings.hidden, self._constants
        return make_policies(layout, *shape, weights, settings.price, self._levers, self.intensity)

    def begin(self, episodes: NDArray[np.int64]) -> Simulator:
        """A simulator that begins these episodes, a cluster each: [N, 3] int64. It is kept for others as long."""
        count, seconds = len(episodes), float((episodes[:, 1] - episodes[:, 0]).max()) / 1000.0
        if (count, seconds) not in self._simulators:
            self._simulators[count, seconds] = Simulator.from_problem(self._problem, count, episode_seconds=seconds)
        simulator = self._simulators[count, seconds]
        simulator.reset(np.arange(count), episodes)
        return simulator

    def _play(self, weights: NDArray[np.float64], episodes: NDArray[np.int64]) -> NDArray[np.float64]:
        simulator = self.begin(np.tile(episodes, (len(weights), 1)))
        numbers = np.repeat(np.arange(len(weights)), len(episodes))
        simulator.replay_policies(self.policies(weights), numbers, self.rule)
        self.steps += int(simulator.decisions.sum())
        usd: NDArray[np.float64] = simulator.take_costs().sum(axis=1)
        return usd.reshape(len(weights), len(episodes))


class Arena:
    """All grounds of a task: one of its trace, and one of each further trace and version.

    Args:
        task: what is trained.

    Attributes:
        start: the tuned constants.
        intensity: [1 + I] float64, fitted to what is searched on; None: policies read none.
        size: weights of a policy.
        grounds: as above.
        validation: windows that no search sees.
    """

    def __init__(self, task: ClusterTask) -> None:
        settings = task.agent
        assert isinstance(settings, SetpointConfig)
        self._settings = settings
        self.start = task.tuned.policy(task.problem.config)
        self.size = settings.weights(self.start.layout)
        self.grounds = [Ground(problem, settings, self.start) for problem in (task.problem, *task.others)]
        self.intensity: NDArray[np.float64] | None = None
        if INTENSITY in settings.features:
            self.intensity = fit_intensity([ground.searched_on for ground in self.grounds])
            for ground in self.grounds:
                ground.intensity = self.intensity
        self.validation: Windows = tuple(ground.validation for ground in self.grounds)

    @property
    def steps(self) -> int:
        """Decisions taken so far."""
        return sum(ground.steps for ground in self.grounds)

    def draw(self, generator: np.random.Generator, *, everything: bool = False) -> Windows:
        """Windows of the search: as many of each ground, or of as many grounds as there are windows; see `Ground`."""
        grounds, windows = len(self.grounds), self._settings.windows
        counts = np.zeros(grounds, np.int64)
        played = np.arange(grounds) if grounds <= windows else generator.permutation(grounds)[:windows]
        counts[played] = max(windows // grounds, 1)
        return tuple(
            ground.draw(generator, int(count), everything=everything)
            for ground, count in zip(self.grounds, counts, strict=True)
        )

    def policy(self, weights: NDArray[np.float64], packer: str | None = None) -> LearnedSetpoints:
        """The policy of some weights."""
        settings, levers = self._settings, self._settings.levers_of(self.start.layout)
        shape = settings.features, settings.hidden, weights
        return LearnedSetpoints(settings.name, self.start, *shape, packer, settings.price, levers, self.intensity)

    def constants_by_price(self, zero: NDArray[np.float64]) -> NDArray[np.float64]:
        """Let constants change with the price of waiting, so that a policy begins as what is right at each price.

        Time-out and reserve are linear in the price as policies read it. Their values at the lowest and at the highest
        price of the grounds are the choices that cost least on all, by shares of the cheapest constants of each.

        Args:
            zero: [number of weights] float64, of a linear policy that reads the price.

        Returns:
            The same with other biases and weights of the price.
        """
        prices = np.array([ground.price for ground in self.grounds])
        low, high = float(prices.min()), float(prices.max())
        share = (prices - low) / max(high - low, 1e-9)
        usd = np.array([ground.constants() for ground in self.grounds])
        usd /= usd.min(axis=(1, 2), keepdims=True)
        ends = [np.array(list(product(range(size), repeat=2)), np.float64) for size in (TIMEOUTS, RESERVES)]
        edges, rows = (
            np.floor(pairs[:, :1] + (pairs[:, 1:] - pairs[:, :1]) * share + 0.5).astype(np.int64) for pairs in ends
        )
        total = usd[np.arange(len(usd)), rows[:, None], edges[None]].mean(axis=2)  # [pairs of reserves, of time-outs]
        row, edge = np.unravel_index(int(total.argmin()), total.shape)
        first, last = (np.array([ends[0][edge, at], ends[1][row, at]]) for at in (0, 1))
        slope = (last - first) / max(high - low, 1e-9)
        settings, layout = self._settings, self.start.layout
        outputs = number_of_outputs(settings.levers_of(layout))
        weights, at = zero.copy(), outputs * (1 + len(settings.features))  # the price comes after the features
        weights[:OUTPUTS] = first - slope * low - start_of(layout, self.start.rule)
        weights[at : at + OUTPUTS] = slope
        return weights

    def costs(self, weights: NDArray[np.float64], windows: Windows) -> NDArray[np.float64]:
        """What candidates cost, each ground by the same measure.

        Args:
            weights: [K, number of weights] float64; the first is what the others are measured by.
            windows: of each ground.

        Returns:
            [K, all windows] float64, USD that decisions changed; times a factor for each ground, so that the first
            candidate costs as much on all of them.
        """
        played = zip(self.grounds, windows, strict=True)
        costs = [ground.costs(weights, episodes) for ground, episodes in played if len(episodes)]
        if len(costs) == 1:
            return costs[0]
        means = np.array([max(abs(float(usd[0].mean())), 1e-9) for usd in costs])
        return np.concatenate([usd * (means.mean() / mean) for usd, mean in zip(costs, means, strict=True)], axis=1)


def start_weights(settings: SetpointConfig, layout: CodecLayout, seed: int) -> NDArray[np.float64]:
    """[number of weights] float64 with which a policy is the tuned constants: its last layer is 0.

    Hidden layers are drawn at random, as for rectified linear units, so that the last one has something to choose from.

    Args:
        settings: sizes of the policy.
        layout: of the codec.
        seed: of the experiment.

    Source: He et al., "Delving Deep into Rectifiers", 2015.
    """
    generator = np.random.default_rng([seed, 0])
    (*sizes, outputs), parts = settings.sizes(layout), []
    for before, after in pairwise(sizes):
        parts += [np.zeros(after), generator.normal(0.0, np.sqrt(2.0 / before), before * after)]
    last = number_of_weights(sizes[-1], (), outputs)
    return np.concatenate([*parts, np.zeros(last)])
