"""Serverless-v0 as a library: a batch of pools, stepped by one compiled call, and whole episodes by rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from envs.compiled.threads import default_threads, share
from envs.containers import state as st
from envs.containers.results import Results
from envs.containers.simulator import capacity_of
from envs.scores import Actor
from envs.serverless import kernels
from envs.serverless import state as sv
from envs.serverless.codec import ACTION_SIZES, AS_IT_IS
from envs.serverless.network import HazardNetwork, make_scratch
from envs.serverless.problem import ServerlessProblem

ENVIRONMENTS_PER_THREAD = 32


@runtime_checkable
class ActsByNetwork(Protocol):
    """An actor whose decisions kernels know, so that whole episodes need no Python.

    Attributes:
        network: what decides.
    """

    network: HazardNetwork


class ServerlessSimulator:
    """Pools that serve one workload, independently of each other.

    Args:
        problem: the workload, the pool and the settings.
        num_envs: in the batch.
        threads: how many share them; None: as many cores as have environments enough. Results do not depend on it.
        log_rows: of the event log of an episode; 0: nothing is logged.

    Attributes:
        problem: as above.
        num_envs: in the batch.
        observations: [num_envs, features] float32, of the function that is to be decided about.
        rewards: [num_envs] float64, minus the USD since the last decision.
    """

    def __init__(
        self, problem: ServerlessProblem, num_envs: int = 1, threads: int | None = None, log_rows: int = 0
    ) -> None:
        self.problem, self.num_envs = problem, num_envs
        size = capacity_of(problem.containers, num_envs, history=True, answers=False, log_rows=log_rows)
        self._batch = st.allocate(size)
        self._batch.control[:, :, st.PRE_WARM] = st.FOREVER
        self._play = _allocate(num_envs)
        self.observations, self.rewards = self._play.observation, self._play.reward
        self.threads = default_threads(num_envs, ENVIRONMENTS_PER_THREAD) if threads is None else threads

    def begin(self, index: int, start_ms: int, end_ms: int) -> None:
        """Begin an episode in an environment of the batch and run to its first decision."""
        self._batch.node[index, :, st.SLEEP_MS] = self.problem.serverless.sleep_ms
        episode = self.problem.episode(start_ms, end_ms)
        kernels.begin_episode(
            self.problem.containers, self._batch, self.problem.serverless, self._play, index, *episode
        )

    def step(self, actions: NDArray[np.int64]) -> None:
        """Carry out an action in each environment that is not done, [num_envs, components] int64."""

        def task(first: int, end: int) -> None:
            problem = self.problem
            kernels.step_worlds(problem.containers, self._batch, problem.serverless, self._play, actions, first, end)

        share(task, self.num_envs, self.threads)

    @property
    def done(self) -> NDArray[np.bool_]:
        """[num_envs] bool, whether each episode is over."""
        return self._play.clock[:, sv.IS_DONE] != 0.0

    @property
    def time_seconds(self) -> NDArray[np.float64]:
        """[num_envs] float64, since the workload began."""
        return self._batch.clock[:, st.NOW] / 1000.0

    @property
    def world(self) -> st.World:
        """The memory of the containers' worlds; to read."""
        return self._batch

    def results(self, index: int = 0) -> Results:
        """What happened in an environment since its episode began."""
        return Results.of(self._batch, index)

    def play(self, actor: Actor, windows: NDArray[np.int64]) -> list[Results]:
        """What happens in each window under a policy that acts on observations, after its warm-up.

        Args:
            actor: the policy.
            windows: [num_envs, 4] int64, see `ServerlessProblem.windows`.
        """
        before = self.begin_all(windows)
        actor.reset(self.num_envs)
        if isinstance(actor, ActsByNetwork):
            self._follow(actor.network)
        while not self.done.all():
            self.step(np.asarray(actor.act(self.observations, None), np.int64))
        return self.results_since(before)

    def _follow(self, network: HazardNetwork) -> None:
        """Play all environments to their ends by a network."""
        actions = np.zeros((self.num_envs, len(ACTION_SIZES)), np.int64)

        def task(first: int, end: int) -> None:
            about = self.problem.containers, self._batch, self.problem.serverless, self._play
            kernels.follow_worlds(*about, network, make_scratch(network), actions, first, end)

        share(task, self.num_envs, self.threads)

    def begin_all(self, windows: NDArray[np.int64]) -> list[Results]:
        """Begin an episode in each environment, [num_envs, 4] int64; returns what happened in their warm-ups.

        A warm-up is played once more by itself, because an episode begins with its first decision after it, which may
        be long after.
        """
        before = []
        for index, (start_ms, end_ms, *_) in enumerate(windows.tolist()):
            self.begin(index, start_ms, min(start_ms + self.problem.serverless.warm_up_ms, end_ms))
            before.append(self.results(index))
            self.begin(index, start_ms, end_ms)
        return before

    def results_since(self, before: Sequence[Results]) -> list[Results]:
        """What happened in each environment since `before`."""
        return [self.results(index).minus(results) for index, results in enumerate(before)]

    def log(self, index: int = 0) -> NDArray[np.int64]:
        """[rows, LOG_COLUMNS] int64, the event log of an environment's episode, see `envs.containers.log`."""
        return _logged(self._batch, index)


class RulePlayer:
    """Plays whole episodes by rules or weights, as fast as the simulator goes.

    Args:
        problem: the workload, the pool and the settings.
        threads: how many episodes are played at once.
        log_rows: of the event log of an episode; 0: nothing is logged.
    """

    def __init__(self, problem: ServerlessProblem, threads: int = 1, log_rows: int = 0) -> None:
        self.problem, self.threads = problem, threads
        size = capacity_of(problem.containers, threads, history=True, answers=False, log_rows=log_rows)
        self._batch = st.allocate(size)
        self._batch.control[:, :, st.PRE_WARM] = st.FOREVER
        self.decisions = 0

    def keep_by_function(self, keep_ms: NDArray[np.int64]) -> None:
        """Set the keep-alive of each function, which the rule `PER_FUNCTION` reads: [F] int64."""
        self._batch.control[:, :, st.KEEP] = keep_ms

    def usd(
        self,
        rules: Sequence[Sequence[float]] | NDArray[np.float64],
        weights: NDArray[np.float64] | None,
        windows: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """[candidates, windows] float64, the decidable cost of each window by each rule.

        Args:
            rules: [candidates, RULE_COLUMNS].
            weights: [candidates, WEIGHTS] float64 of those that are learned; None: none is.
            windows: [windows, 4] int64, see `ServerlessProblem.windows`.
        """
        count = len(rules) * len(windows)
        own = np.zeros((len(rules), kernels.WEIGHTS)) if weights is None else weights
        arrays = (
            np.repeat(np.asarray(rules, np.float64), len(windows), axis=0),
            np.repeat(own, len(windows), axis=0),
            np.tile(windows, (len(rules), 1)),
        )
        play, problem = _allocate(count), self.problem

        def task(first: int, end: int) -> None:
            memory = first * self.threads // count
            kernels.play_worlds(problem.containers, self._batch, problem.serverless, play, *arrays, memory, first, end)

        share(task, count, min(self.threads, count))
        self.decisions += int(play.clock[:, sv.DECISIONS].sum())
        return -play.reward.reshape(len(rules), len(windows))

    def results(self) -> Results:
        """Totals of the episode that was played last, by the first thread."""
        return Results.of(self._batch, 0)

    def log(self) -> NDArray[np.int64]:
        """[rows, LOG_COLUMNS] int64, the event log of the episode that was played last, see `envs.containers.log`."""
        return _logged(self._batch, 0)


def rule(kind: int, *constants: float, sleep_ms: float = float(AS_IT_IS), many: float = 0.0) -> list[float]:
    """A row of numbers that says a rule.

    Args:
        kind: as `envs.serverless.state` numbers them.
        constants: of it, see `envs.serverless.rules`.
        sleep_ms: idle time-out of the pool's nodes, or one of `envs.serverless.codec.SLEEP_MS` below 0.
        many: see `envs.serverless.rules.count_expected`; 0: one container is pre-warmed.
    """
    return [float(kind), *constants, *[0.0] * (sv.SLEEP - sv.FIRST - len(constants)), sleep_ms, many]


def _logged(batch: st.World, index: int) -> NDArray[np.int64]:
    logged = min(int(batch.clock[index, st.LOGGED]), batch.log.shape[1])
    return batch.log[index, :logged].copy()


def _allocate(count: int) -> sv.Play:
    return sv.Play(np.zeros((count, sv.PLAY_COLUMNS)), np.zeros((count, kernels.SIZE), np.float32), np.zeros(count))
