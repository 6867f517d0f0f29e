"""What rules are tuned on: windows of the training part of a trace, and the demand in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from agents.baselines.rule import Constants, Facts, Rule
from agents.baselines.view import Floats
from envs.errors import ClusterError
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.episodes import equal_episodes
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from traces.trace import Trace

AGENT_STEPS = 3_000_000
"""Steps that an agent takes by default (`train.total_steps`); a step is at most the start of a job or two."""

TRIED_PACKERS = ("best-fit", "first-fit", "worst-fit")
"""Packers that the search for the tuned heuristic tries."""

BATCH_CLUSTERS = 256
"""Clusters that are played side by side, which bounds the memory."""

DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class TrainingWindow:
    """What rules are tuned on; the argument of `Baseline.tune`.

    Attributes:
        trace: the jobs.
        cluster: the pools.
        config: settings and prices.
        start_seconds: where the training window begins, in the trace's time.
        end_seconds: where it ends.
        windows: parts that it is cut into; a second cut lies in the middle of the first, so that no choice hangs on
            where the cuts are.
    """

    trace: Trace
    cluster: ClusterConfig
    config: EnvironmentConfig
    start_seconds: float
    end_seconds: float
    windows: int = 6

    def problem(self, packer: str | None) -> Problem:
        """Trace, cluster and settings with a packer, None for that of the settings.

        Raises:
            ClusterError: they do not fit together.
        """
        return make_problem(self.trace, self.cluster, replace(self.config, packer=packer or self.config.packer))

    def episodes(self, problem: Problem) -> NDArray[np.int64]:
        """[windows, 3] int64, as `Simulator.reset` takes them; cut twice.

        Raises:
            ClusterError: no job is submitted in the window.
        """
        start, end, windows = self.start_seconds, self.end_seconds, self.windows
        cuts = [equal_episodes(problem, start, end, windows)]
        if windows > 1:
            half = (end - start) / windows / 2
            cuts.append(equal_episodes(problem, start + half, end - half, windows - 1))
        episodes = np.concatenate(cuts)
        if len(episodes) == 0:
            raise ClusterError(
                f"{self.trace.uri}: no job is submitted in the training window from {start} s to {end} s; use a longer "
                "trace or a larger split.train"
            )
        return episodes

    @cached_property
    def jobs(self) -> int:
        """Jobs that one set of constants replays."""
        return int(self.episode_jobs.sum())

    @cached_property
    def episode_jobs(self) -> NDArray[np.int64]:
        """[windows] int64, jobs that each episode replays."""
        ends = self.trace.submit_milliseconds + self.trace.duration_milliseconds
        episodes = self.episodes(self.problem(None))
        return np.array([(ends[:last] > start).sum() for start, _, last in episodes], np.int64)

    @property
    def heuristic_sets(self) -> int:
        """Constant choices that the search for the tuned heuristic replays before the power and the width lever."""
        layout = self.config.codec
        moves = len(CONSOLIDATION_CHOICES) if layout.consolidation else 1
        return len(TRIED_PACKERS) * moves * len(layout.setpoints)

    @property
    def budget_jobs(self) -> int:
        """Jobs that the search of a rule may simulate: what an agent's run may.

        An agent takes its steps, and starts from the tuned heuristic, whose search counts too.
        """
        return AGENT_STEPS + self.heuristic_sets * self.jobs

    def per_hour(self, usd_per_window: float) -> float:
        """USD per hour from USD per window."""
        return usd_per_window * self.windows * 3600.0 / (self.end_seconds - self.start_seconds)

    def costs(
        self,
        rule: type[Rule],
        facts: Facts,
        sets: Sequence[Constants],
        packer: str | None = None,
        progress: Callable[[int], None] | None = None,
        which: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Play a rule with many sets of constants, side by side.

        Args:
            rule: the rule.
            facts: what it knows of the window.
            sets: constants.
            packer: in-pool packer.
            progress: called with the jobs simulated since the last call.
            which: positions of the episodes that are played, None for all.

        Returns:
            [sets, windows] float64, USD without the energy of GPUs that work, see `Simulator.decided_usd`.
        """
        problem = self.problem(packer)
        which = np.arange(len(self.episode_jobs)) if which is None else which
        episodes = self.episodes(problem)[which]
        together = max(1, BATCH_CLUSTERS // len(episodes))
        parts = []
        for first in range(0, len(sets), together):
            batch = sets[first : first + together]
            parts.append(self._play(rule, facts, batch, problem, episodes, packer))
            if progress is not None:
                progress(len(batch) * int(self.episode_jobs[which].sum()))
        return np.concatenate(parts)

    def _play(
        self,
        rule: type[Rule],
        facts: Facts,
        sets: Sequence[Constants],
        problem: Problem,
        episodes: NDArray[np.int64],
        packer: str | None,
    ) -> NDArray[np.float64]:
        policy = rule(self.config.codec, None, facts, packer)
        policy.set_constants([constants for constants in sets for _ in episodes])
        simulator = Simulator.from_problem(problem, len(sets) * len(episodes))
        simulator.reset(np.arange(simulator.num_clusters), np.tile(episodes, (len(sets), 1)))
        policy.reset(simulator.num_clusters)
        while not simulator.done.all():
            simulator.step(policy.act(simulator.observations, simulator.action_masks))
        return simulator.decided_usd().reshape(len(sets), len(episodes))

    def demand_gpus(self, step_seconds: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The GPUs that jobs would hold if each started when it is submitted, in its first allowed pool.

        Args:
            step_seconds: between two samples.

        Returns:
            [T, max_pools] float64; and [T] int64, the hour of the profile of each sample: of a day of the week (0 to
            23) or of the weekend (24 to 47).
        """
        problem = self.problem(None)
        times = np.arange(self.start_seconds, self.end_seconds, step_seconds)
        demand = np.zeros((len(times), self.config.codec.max_pools))
        pool_of = np.array([int(bits & -bits).bit_length() - 1 for bits in problem.allowed_bits.tolist()])
        inside = problem.submit_ms < self.end_seconds * 1000.0
        for pool in range(len(problem.cluster.pools)):
            mine = inside & (pool_of == pool)
            gpus = problem.gpu_milli[mine] / 1000.0
            started = _sum_until(problem.submit_ms[mine], gpus, times)
            ended = _sum_until(problem.submit_ms[mine] + problem.duration_ms[mine], gpus, times)
            demand[:, pool] = np.maximum(started - ended, 0.0)
        week = (times + self.trace.week_offset_seconds) % (7.0 * DAY_SECONDS)
        hour = (week % DAY_SECONDS // 3600.0).astype(np.int64)
        return demand, np.where(week >= 5.0 * DAY_SECONDS, hour + 24, hour)


def _sum_until(times_ms: NDArray[np.int64], gpus: NDArray[np.float64], at_seconds: NDArray[np.float64]) -> Floats:
    order = np.argsort(times_ms, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(gpus[order])])
    return np.asarray(sums[np.searchsorted(times_ms[order], at_seconds * 1000.0, side="right")])
