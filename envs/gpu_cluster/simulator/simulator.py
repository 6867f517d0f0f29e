"""The simulator as a library: a batch of clusters that replay one trace, stepped by one compiled call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.compiled.compiler import REMOVES_DISABLED, entry
from envs.compiled.threads import default_threads, share
from envs.errors import EndlessJobError, SimulatorError
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.codec import RULE_SIZE
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.endless import describe_endless
from envs.gpu_cluster.simulator.kernels import steps as kernels
from envs.gpu_cluster.simulator.kernels.invariants import describe_broken
from envs.gpu_cluster.simulator.kernels.replay import replay_by_rule
from envs.gpu_cluster.simulator.kernels.world import World
from envs.gpu_cluster.simulator.log import KINDS, LogRows, to_table
from envs.gpu_cluster.simulator.packing.custom import CustomPacker
from envs.gpu_cluster.simulator.planning import REPLAY_CHUNK, Planning
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.simulator.queues import BACKFILL
from envs.gpu_cluster.simulator.settings import Settings, specialized
from traces.trace import Trace

LEAST_LOG_ROWS = 65_536
"""3 MB. Draining ends a compiled call, so a log a tenth as large makes the log of a small cluster twice as dear."""


class Simulator(Planning):
    """Clusters that replay the same trace, independently of each other.

    Args:
        trace: the jobs.
        cluster: the pools.
        config: settings of the environment.
        num_clusters: clusters in the batch.
        episode_seconds: no episode is longer than this; None: an episode may be the whole trace.
        log_rows: rows of the event log between two drains, for each cluster; 0: nothing is logged, None: as many as
            can never be too few.
        threads: how many share the clusters, None: as many cores as have clusters enough to gain by it, and all of them
            in replays. Results do not depend on it.

    Attributes:
        problem: the checked inputs.
        num_clusters: clusters in the batch.
        threads: how many share them.

    Raises:
        ClusterError: trace, cluster and codec do not fit together.
    """

    def __init__(
        self,
        trace: Trace,
        cluster: ClusterConfig,
        config: EnvironmentConfig,
        num_clusters: int = 1,
        episode_seconds: float | None = None,
        log_rows: int | None = 0,
        threads: int | None = None,
    ) -> None:
        self._prepare(make_problem(trace, cluster, config), num_clusters, episode_seconds, log_rows, threads)

    @classmethod
    def from_problem(
        cls,
        problem: Problem,
        num_clusters: int = 1,
        episode_seconds: float | None = None,
        log_rows: int | None = 0,
        threads: int | None = None,
    ) -> Simulator:
        """A simulator of inputs that are checked already."""
        simulator = cls.__new__(cls)
        simulator._prepare(problem, num_clusters, episode_seconds, log_rows, threads)  # noqa: SLF001 (its own)
        return simulator

    def _prepare(
        self,
        problem: Problem,
        num_clusters: int,
        episode_seconds: float | None,
        log_rows: int | None,
        threads: int | None,
    ) -> None:
        config = problem.config
        self.problem = problem
        settings = problem.settings
        total_gpus, smallest = self.problem.total_gpus, self.problem.smallest_milli
        jobs = self._most_jobs(episode_seconds)
        running = max(1, min(jobs, total_gpus * (1000 // smallest)))
        if log_rows is None:
            log_rows = enough_rows(running, problem.num_nodes)
        size = st.Capacity(
            clusters=num_clusters,
            pools=len(problem.pools),
            nodes=self.problem.num_nodes,
            running=running,
            queued=jobs,
            shares=total_gpus if smallest < 1000 else 0,
            owners=problem.num_owners if settings.queue.tracks_owners else 0,
            node_columns=_node_columns(settings),
            run_columns=_run_columns(settings),
            log_rows=log_rows,
            queue_columns=_queue_columns(settings),
            detailed_nodes=self.problem.num_nodes if settings.is_detailed else 0,
            detailed_columns=_detailed_columns(problem),
            most_gpus=int(self.problem.pools[:, st.GPUS].max()),
        )
        self._world = World(
            clusters=st.allocate_clusters(size),
            snapshots=st.allocate_snapshots(num_clusters, config.codec),
            outcome=st.allocate_outcome(num_clusters, size.pools, config.codec),
            plans=st.allocate_plans(num_clusters, config.codec),
            jobs=self.problem.jobs,
            pools=self.problem.pools,
            curves=self.problem.curves.flat(),
            template=self.problem.template,
            slopes=self.problem.slopes,
            tariff=self.problem.prices.tariff,
            outlook=self.problem.prices.outlook,
            memories=self.problem.memories,
            events=self.problem.events,
            settings=specialized(settings) if REMOVES_DISABLED else settings,
            tables=self.problem.tables,
        )
        self._link_packer()
        self.num_clusters = num_clusters
        self._has_to_look = bool(log_rows or settings.is_stochastic or settings.debug or self._custom_packer)
        self._physics_seeds = np.full(num_clusters, config.physics.seed, np.int64)
        self._logs = [LogRows() for _ in range(num_clusters)]
        self.threads = default_threads(num_clusters) if threads is None else max(1, min(threads, num_clusters))
        # A replay takes much longer than a thread takes to wake.
        self._replay_threads = default_threads(num_clusters, 1) if threads is None else self.threads

    def reset(
        self, clusters: NDArray[np.int64], episodes: NDArray[np.int64], seeds: NDArray[np.int64] | None = None
    ) -> None:
        """Begin episodes and observe their first moment.

        Args:
            clusters: [K] int64, which clusters.
            episodes: [K, 3] int64: start in ms, end in ms (`state.NEVER`: when all jobs are done), and the number of
                the first job that is not submitted any more.
            seeds: [K] int64 >= 0, of what happens to nodes at random; None: `physics.seed` for all.

        Raises:
            ValueError: an episode has more jobs than the memory of a cluster, which is for `episode_seconds`, can hold.
        """
        self._check_fits(np.asarray(episodes))
        if seeds is None:
            seeds = self._physics_seeds[: len(clusters)]
        rows = [np.ascontiguousarray(column, np.int64) for column in (clusters, episodes, seeds)]
        if self._custom_packer is not None:
            self._custom_packer.forget()

        def begin(first: int, end: int) -> None:
            self._reset_kernel(self._world, *(column[first:end] for column in rows))

        share(begin, len(clusters), 1 if self.threads == 1 else min(self.threads, default_threads(len(clusters))))
        for cluster in clusters:
            self._logs[cluster].clear()
        self._after()

    def _check_fits(self, episodes: NDArray[np.int64]) -> None:
        most = self.max_jobs
        if most == self.problem.num_jobs:
            return
        jobs = self._jobs_between(episodes[:, 0], episodes[:, 1], episodes[:, 2])
        if (worst := int(jobs.max(initial=0))) > most:
            raise ValueError(
                f"an episode has {worst:,} jobs and the memory of a cluster is for {most:,}: make the Simulator with "
                "longer episode_seconds, or None"
            )

    def _most_jobs(self, episode_seconds: float | None) -> int:
        """The most jobs that one episode can have; one with more than any other ends when a job is submitted."""
        last = self.problem.num_jobs
        if episode_seconds is None:
            return last
        submit = self.problem.submit_ms
        return int(self._jobs_between(submit - round(episode_seconds * 1000), submit, last).max())

    def _jobs_between(
        self, start: NDArray[np.int64], end: NDArray[np.int64], last: NDArray[np.int64] | int
    ) -> NDArray[np.int64]:
        """The jobs that are submitted until an end, but for those from `last` on, without those that ended by a start.

        Args:
            start: [K] int64, ms.
            end: [K] int64, ms.
            last: [K] int64 or one number.
        """
        submitted = np.searchsorted(self.problem.submit_ms, end, side="right")
        jobs: NDArray[np.int64] = np.minimum(last, submitted) - np.searchsorted(self._ends_ms, start, side="right")
        return jobs

    @cached_property
    def _ends_ms(self) -> NDArray[np.int64]:
        return np.sort(self.problem.submit_ms + self.problem.duration_ms)

    def reset_all(self) -> None:
        """Begin the whole trace in every cluster: empty at the first submission, until every job is done.

        Raises:
            ValueError: the simulator was made with `episode_seconds`, and the trace has more jobs than it can hold.
        """
        first_submit_ms = self.problem.submit_ms[0]
        episode = np.array([first_submit_ms, st.NEVER, self.problem.num_jobs], np.int64)
        self.reset(np.arange(self.num_clusters), np.tile(episode, (self.num_clusters, 1)))

    def __getstate__(self) -> dict[str, Any]:
        # What is worked out when it is first read, pointers of this process and views into memory, is left out.
        derived = {
            "_custom_packer",
            *(name for name in self.__dict__ if isinstance(getattr(type(self), name, None), cached_property)),
        }
        state = {name: value for name, value in self.__dict__.items() if name not in derived}
        return {**state, "_world": self._with_custom(0)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._link_packer()

    def _link_packer(self) -> None:
        """Let the kernels know a custom packer."""
        packer = self.problem.custom_packer
        self._custom_packer = None if packer is None else CustomPacker(self.problem.config.packer, packer)
        if self._custom_packer is not None:
            self._world = self._with_custom(self._custom_packer.address)

    def _with_custom(self, custom: Any) -> World:
        settings = self._world.settings
        return self._world._replace(settings=settings._replace(detail=settings.detail._replace(custom=custom)))

    @cached_property
    def _reset_kernel(self) -> Callable[..., Any]:
        """`reset_clusters` for this world."""
        numbers = np.zeros(1, np.int64)
        return entry(kernels.reset_clusters, self._world, numbers, np.zeros((1, 3), np.int64), numbers)

    @cached_property
    def _step_kernel(self) -> Callable[..., Any]:
        """`step_clusters` for this world."""
        return entry(kernels.step_clusters, self._world, 0, 0)

    def step(self, actions: NDArray[np.int64]) -> None:
        """Carry out an action per cluster and run to the next decision; clusters that are done stay as they are.

        Args:
            actions: [N, components] int64, see `envs.gpu_cluster.codec.decode`.

        Raises:
            EndlessJobError: a job loses all its work again and again in an episode that lasts until all jobs are done.
        """
        world, step = self._world, self._step_kernel
        world.outcome.action[:] = actions
        if self.threads == 1:
            step(world, 0, self.num_clusters)
        else:
            share(partial(step, world), self.num_clusters, self.threads)
        self._after()

    def replay(self, rules: NDArray[np.int64], progress: Callable[[int], None] | None = None) -> None:
        """Run every cluster to the end of its episode under a fixed rule.

        Args:
            rules: [N] int64, the setpoint of each cluster (`CodecLayout.setpoint`), with default levers; or
                [N, RULE_SIZE] int64, with the choice of each lever, see `envs.gpu_cluster.codec.default_action`.
            progress: called now and then with the jobs finished so far.

        Raises:
            EndlessJobError: as in `step`.
        """
        while not self.replay_decisions(rules):
            if progress is not None:
                progress(int(self.finished_jobs.sum()))

    def _after(self) -> None:
        """Drain the log, and raise what a packer did wrong, the debug mode found, or that a job would never end."""
        if not self._has_to_look:
            return
        clock, log = self._world.clusters.clock, self._world.clusters.log
        if log.shape[1] > 0:
            for index in np.flatnonzero(clock[:, st.LOGGED]).tolist():
                rows = int(clock[index, st.LOGGED])
                if rows > log.shape[1]:
                    raise SimulatorError(
                        f"the event log holds {log.shape[1]} rows and {rows} came before it could be drained; "
                        "raise log_rows"
                    )
                self._logs[index].add(log[index, :rows])
                clock[index, st.LOGGED] = 0
        if self._custom_packer is not None:
            self._custom_packer.check(clock[:, st.PACKER_FAULT])
        if self.problem.settings.is_stochastic and (endless := clock[:, st.ENDLESS].max()):
            raise EndlessJobError(describe_endless(self.problem, int(endless) - 1))
        if self.problem.settings.debug:
            for index in range(self.num_clusters):
                if broken := describe_broken(clock[index]):
                    raise SimulatorError(f"cluster {index}: {broken}; this is a bug of the simulator")

    def event_log(self, cluster: int = 0) -> pa.Table:
        """What happened in a cluster since its reset, a table of `log.SCHEMA`; needs `log_rows`."""
        return to_table(self._logs[cluster].rows)

    def replay_decisions(self, rules: NDArray[np.int64], decisions: int = REPLAY_CHUNK) -> bool:
        """Run every cluster under a fixed rule for at most so many more decisions each.

        Args:
            rules: as in `replay`.
            decisions: how many.

        Returns:
            Whether every cluster is done.
        """
        table = np.zeros((self.num_clusters, RULE_SIZE), np.int64)
        table[:, : 1 if rules.ndim == 1 else RULE_SIZE] = rules[:, None] if rules.ndim == 1 else rules
        kernel = replay_by_rule if self._is_plain(table) else kernels.replay_clusters

        def replay(first: int, end: int) -> bool:
            return bool(kernel(self._world, first, end, table, decisions))

        done = all(share(replay, self.num_clusters, self._replay_threads))
        self._after()
        return done

    def state_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All memory by name, to save; `load_state_arrays` puts it back."""
        groups = (self._world.clusters, self._world.clusters.detail, self._world.snapshots, self._world.outcome)
        fields = [(type(group).__name__, name, array) for group in groups for name, array in group._asdict().items()]
        return {f"{group}.{name}": array for group, name, array in fields if isinstance(array, np.ndarray)}

    def load_state_arrays(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Put saved memory back.

        Raises:
            ValueError: an array is missing or has another shape, so it belongs to another configuration.
        """
        for name, array in self.state_arrays().items():
            saved = arrays.get(name)
            if saved is None or saved.shape != array.shape or saved.dtype != array.dtype:
                raise ValueError(f"the saved simulator state does not fit: field {name}")
            array[...] = saved


def enough_rows(running: int, nodes: int) -> int:
    """Rows of the event log that one decision and what follows cannot fill by half, when a replay drains it.

    Args:
        running: the most jobs that run at once.
        nodes: of the cluster.
    """
    parts = running + nodes  # of all running jobs, for a whole node has one job only
    return max(2 * len(KINDS) * (parts + 1), LEAST_LOG_ROWS)


def _node_columns(settings: Settings) -> int:
    if settings.pulls_images:
        return st.NODE_COLUMNS
    if settings.is_stochastic:
        return st.NODE_IMAGES
    return st.NODE_LIFE if settings.queue.goes_in_turn else st.NODE_TRIAL


def _detailed_columns(problem: Problem) -> int:
    queue = problem.settings.queue
    if queue.preempts or queue.backfill_policy == BACKFILL:
        return ns.TRIAL_GPUS + int(problem.pools[:, st.GPUS].max())
    return ns.NODE_COLUMNS


def _run_columns(settings: Settings) -> int:
    if settings.is_detailed:
        return st.RUN_COLUMNS
    if settings.queue.preempts or settings.queue.backfill_policy == BACKFILL:
        return st.RUN_BITS
    if settings.tracks_work:
        return st.RUN_LISTED
    return st.RUN_LEFT if settings.moves_jobs else st.RUN_NEXT


def _queue_columns(settings: Settings) -> int:
    if settings.transfers:
        return st.QUEUE_COLUMNS
    if settings.suspends:
        return st.JOB_DATA_BITS
    if settings.is_stochastic:
        return st.SUSPENDED_JOB
    if settings.queue.goes_in_turn or settings.overflows:
        return st.JOB_LOSSES
    return st.QUEUE_POOL if settings.tracks_work else st.QUEUE_LEFT
