"""What a search needs: replays under many policies, copies of clusters with a future each, and what they cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled.threads import default_threads, share
from envs.gpu_cluster.codec import RULE_RESERVE_NODES, RULE_SETPOINT, RULE_SIZE, SetpointPolicies, scratch_for
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.copies import copy_clusters, look_ahead
from envs.gpu_cluster.simulator.kernels.policies import (
    Exploration,
    replay_by_policy,
    replay_by_policy_with_levers,
    take_costs,
)
from envs.gpu_cluster.simulator.objective import COST_TERMS
from envs.gpu_cluster.simulator.results import Results

REPLAY_CHUNK = 200_000
"""Decisions between two calls of a replay's progress function: some tens of milliseconds."""


class Planning(Results, ABC):
    """What a search asks of a batch of clusters; `Simulator` is one."""

    _replay_threads: int
    _imagined: tuple[int, NDArray[np.int64]] | None = None
    """First row of jobs that are imagined, and what is true there."""

    @abstractmethod
    def _after(self) -> None:
        """Look at what the kernels left for Python."""

    def _is_plain(self, rules: NDArray[np.int64]) -> bool:
        """Whether rules [..., RULE_SIZE] pull no lever but the reserve.

        Then nobody needs the snapshot and the action in between.
        """
        settings = self.problem.settings
        others = np.delete(rules, (RULE_SETPOINT, RULE_RESERVE_NODES), axis=-1)
        has_levers = bool(others.any()) or self._has_caps
        return not (has_levers or settings.debug or settings.has_grid)

    def replay_policies(
        self,
        policies: SetpointPolicies,
        numbers: NDArray[np.int64],
        rule: NDArray[np.int64] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Run every cluster to the end of its episode, each under one of several policies.

        Args:
            policies: K policies, of `envs.gpu_cluster.codec.make_policies`.
            numbers: [N] int64, 0 to K - 1: which of them each cluster follows.
            rule: [RULE_SIZE] int64, the constant choices of the levers that policies have no output for; its setpoint
                does not count. None: defaults.
            progress: called now and then with the jobs finished so far.

        Raises:
            EndlessJobError: as in `Simulator.step`.
            ValueError: a number names no policy.
        """
        while not self.replay_policy_decisions(policies, numbers, rule):
            if progress is not None:
                progress(int(self.finished_jobs.sum()))

    def replay_policy_decisions(
        self,
        policies: SetpointPolicies,
        numbers: NDArray[np.int64],
        rule: NDArray[np.int64] | None = None,
        decisions: int = REPLAY_CHUNK,
        explored: Exploration | None = None,
    ) -> bool:
        """Do the same for at most so many more decisions of each cluster; return whether every cluster is done.

        With `explored`, of `explore_policies`, noise is added to what policies put out.
        """
        which = np.ascontiguousarray(numbers, np.int64)
        if which.shape != (self.num_clusters,) or which.min() < 0 or which.max() >= len(policies.weights):
            raise ValueError(
                f"numbers must be {self.num_clusters} of 0 to {len(policies.weights) - 1}, one for each cluster"
            )
        scratch = np.stack([scratch_for(policies)] * self.num_clusters)
        levers = np.zeros(RULE_SIZE, np.int64) if rule is None else np.ascontiguousarray(rule, np.int64)
        kept = np.zeros((self.num_clusters, st.TERM_COLUMNS))
        is_plain = self._is_plain(levers) and bool((policies.levers == RULE_RESERVE_NODES - 1).all())
        noise = explored or self._exploration(policies, np.zeros((self.num_clusters, 0, 0, 0)), 0.0)
        arguments = policies, which, scratch, levers, noise

        def replay(first: int, end: int) -> bool:
            if is_plain:
                return bool(replay_by_policy(self._world, first, end, *arguments, decisions))
            return bool(replay_by_policy_with_levers(self._world, first, end, *arguments, kept, decisions))

        done = all(share(replay, self.num_clusters, self._replay_threads))
        self._after()
        return done

    def explore_policies(
        self,
        policies: SetpointPolicies,
        numbers: NDArray[np.int64],
        noise: NDArray[np.float64],
        hold_seconds: float,
        rule: NDArray[np.int64] | None = None,
    ) -> Exploration:
        """Run every cluster to the end of its episode under a policy whose outputs are disturbed, and write down how.

        Args:
            policies: as in `replay_policies`.
            numbers: as in `replay_policies`.
            noise: [N, pools, rows, outputs] float64, in choices; each row is one disturbance of a pool's outputs.
            hold_seconds: for how long a disturbance stays at least.
            rule: as in `replay_policies`.

        Returns:
            The decisions that took a new row of noise; `take_costs` then tells what came after the last of them.

        Raises:
            EndlessJobError: as in `Simulator.step`.
            ValueError: a number names no policy, or the noise does not fit.
        """
        pools, outputs = len(self.problem.pools), len(policies.start)
        if noise.ndim != 4 or noise.shape[:2] != (self.num_clusters, pools) or noise.shape[3] != outputs:
            raise ValueError(
                f"noise has the shape {noise.shape}; {self.num_clusters} clusters of {pools} pools need "
                f"({self.num_clusters}, {pools}, rows, {outputs})"
            )
        explored = self._exploration(policies, noise, hold_seconds)
        while not self.replay_policy_decisions(policies, numbers, rule, explored=explored):
            pass
        return explored

    @staticmethod
    def _exploration(policies: SetpointPolicies, noise: NDArray[np.float64], hold_seconds: float) -> Exploration:
        shape = noise.shape[:3]
        return Exploration(
            noise=np.ascontiguousarray(noise, np.float64),
            inputs=np.zeros((*shape, int(policies.sizes[0]))),
            outputs=np.zeros(noise.shape),
            time_ms=np.zeros(shape, np.int64),
            usd=np.zeros(shape),
            drawn=np.zeros(shape[:2], np.int64),
            spent_usd=np.zeros(shape[0]),
            hold_ms=round(hold_seconds * 1000),
        )

    def take_costs(self) -> NDArray[np.float64]:
        """What each cluster cost since it was reset, copied to or asked last: [N, len(COST_TERMS)] float64, USD.

        `objective.COST_TERMS` names the columns; they leave out the energy of the work itself, so their sum is what
        decisions changed. It is for replays: `step` counts for itself, and begins anew each time.
        """
        costs = np.zeros((self.num_clusters, len(COST_TERMS)))

        def take(first: int, end: int) -> Any:
            take_costs(self._world, first, end, costs)

        share(take, self.num_clusters, 1)
        return costs

    def copy_clusters(
        self,
        sources: NDArray[np.int64],
        targets: NDArray[np.int64],
        ends_seconds: NDArray[np.float64] | None = None,
        origin: Planning | None = None,
        again_seconds: float | None = None,
    ) -> None:
        """Replace clusters by copies of others, each of which goes on from the same state.

        A copy's future is what the trace of this simulator says: jobs that are submitted from now on, and how long each
        job runs. Where that differs from the trace of `origin`, running jobs end as it says here, at the earliest in a
        millisecond. `take_costs` counts from the copy on. The event log is not copied.

        Args:
            sources: [K] int64, clusters of `origin`.
            targets: [K] int64, clusters of this simulator.
            ends_seconds: [K] float64, when each copy ends, in s of the trace's time; None: as its original.
            origin: where the originals are, None: here. Its cluster, settings and first jobs must be the same: all that
                are submitted by now.
            again_seconds: the jobs to come are those that came so many s ago and later, until the last copy ends, in as
                much later; None: as the trace says. For copies of one cluster of another simulator; this one must be
                made of `Problem.with_room`.

        Raises:
            ValueError: the two simulators do not fit together, there is no such cluster, or no room for what comes
                again.
        """
        self._forget()
        source, theirs = origin or self, np.ascontiguousarray(sources, np.int64)
        ours = np.ascontiguousarray(targets, np.int64)
        self._check_copies(source, theirs, ours)
        ends = np.full(len(ours), -1, np.int64)
        if ends_seconds is not None:
            ends = np.round(np.asarray(ends_seconds) * 1000).astype(np.int64)
        world = source._world  # noqa: SLF001 (a simulator as this one)
        copy_clusters(world, theirs, self._world, ours, ends)
        if again_seconds is not None:
            self._imagine(source, theirs, ours, round(again_seconds * 1000), int(ends.max(initial=-1)))

    def _imagine(
        self,
        origin: Planning,
        sources: NDArray[np.int64],
        targets: NDArray[np.int64],
        again_ms: int,
        end_ms: int,
    ) -> None:
        """Write jobs that came earlier as those to come, as `kernels.beliefs.imagine_arrivals` does in a look-ahead."""
        jobs, true = self._world.jobs, origin._world.jobs
        if np.shares_memory(jobs, true):
            raise ValueError("jobs can come again in another simulator only, made of Problem.with_room")
        if end_ms < 0 or len(np.unique(sources)) != 1:
            raise ValueError("jobs come again for copies of one cluster, until ends_seconds: give both")
        clock = origin._world.clusters.clock[sources[0]]
        now, following = int(clock[st.NOW]), int(clock[st.NEXT_JOB])
        seen = true[:following, st.SUBMIT_MS]
        first, last = np.searchsorted(seen, [now - again_ms, end_ms - again_ms], side="right")
        count = max(int(last - first), 0)
        if following + count + 1 > len(jobs) - 1:
            raise ValueError(f"{count} jobs come again; make this simulator of Problem.with_room({count + 1})")
        self._imagined = following, jobs[following : following + count + 1].copy()
        rows = true[first : first + count].copy()
        rows[:, st.SUBMIT_MS] += again_ms
        if rows.shape[1] > st.DEADLINE_MS:
            for column in (st.LATEST_MS, st.DEADLINE_MS):
                rows[rows[:, column] > 0, column] += again_ms
        before = true[following, st.MILLI_BEFORE] + np.cumsum([0, *rows[:, st.MILLI]])
        rows[:, st.MILLI_BEFORE] = before[:-1]
        jobs[following : following + count] = rows
        jobs[following + count, [st.SUBMIT_MS, st.MILLI_BEFORE]] = st.NEVER, before[-1]
        self._world.clusters.clock[targets, st.LAST_JOB] = following + count + 1

    def _forget(self) -> None:
        """Put the true jobs back where others were imagined."""
        if self._imagined is not None:
            first, rows = self._imagined
            self._world.jobs[first : first + len(rows)] = rows
            self._imagined = None

    def _check_copies(self, origin: Planning, sources: NDArray[np.int64], targets: NDArray[np.int64]) -> None:
        for clusters, owner in ((sources, origin), (targets, self)):
            if clusters.size and not (clusters.min() >= 0 and clusters.max() < owner.num_clusters):
                raise ValueError(f"there is a cluster for each of 0 to {owner.num_clusters - 1} only")
        if len(sources) != len(targets):
            raise ValueError(f"{len(sources)} clusters cannot replace {len(targets)}: give as many sources as targets")
        if origin is self:
            if np.isin(targets, sources).any():
                raise ValueError("a cluster cannot be copied and replaced in the same call")
            return
        submitted = int(origin.submitted_jobs[sources].max(initial=0))
        theirs = origin._world
        first = [world.jobs[:submitted, st.SUBMIT_MS] for world in (theirs, self._world)]
        if not np.array_equal(first[0], first[1]):
            raise ValueError(
                "the traces differ in jobs that were submitted already; only the future may be another one"
            )
        clock = theirs.clusters.clock[sources]
        waiting, begun = clock[:, st.QUEUE_TAIL], clock[:, st.NEXT_JOB] - clock[:, st.FIRST_JOB]
        rows = {"run": clock[:, st.SLOTS], "heap": clock[:, st.SLOTS], "queue": np.maximum(waiting, begun)}
        for name, array in theirs.clusters._asdict().items():
            mine, first_size = getattr(self._world.clusters, name), 2 if name in rows else 1
            if not isinstance(array, np.ndarray) or name == "log":
                continue
            if array.shape[first_size:] != mine.shape[first_size:] or (
                name in rows and rows[name].max() > mine.shape[1]
            ):
                raise ValueError(
                    f"the simulators have memory of other sizes ({name}: {array.shape[1:]} and {mine.shape[1:]}); make "
                    "both for the same cluster and settings"
                )

    def look_ahead(
        self,
        rules: NDArray[np.int64],
        hold_seconds: float,
        horizon_seconds: float,
        decisions: int,
        beliefs: Sequence[Belief] = (),
    ) -> bool:
        """Run the first half of the clusters by a look-ahead that knows the future, for at most so many decisions.

        At each decision every rule is tried in a copy with the true future: followed for `hold_seconds` (for one
        decision at least), then the first rule until `horizon_seconds` from now. The cheapest is followed, the first
        one if none is cheaper. The second half of the clusters holds the copies.

        With `beliefs` it knows less: all clusters run, and the copies of each are in a simulator of its own.

        Args:
            rules: [R, RULE_SIZE] int64, the one to fall back on first.
            hold_seconds: how long a rule is followed in its copy.
            horizon_seconds: how far the copies run.
            decisions: how many.
            beliefs: one for each cluster; none: the true future is known.

        Returns:
            Whether all clusters that run are done.
        """
        count = len(beliefs) or self.num_clusters // 2
        if beliefs and count != self.num_clusters:
            raise ValueError(f"{count} beliefs are not one for each of {self.num_clusters} clusters")
        hold, horizon = round(hold_seconds * 1000), round(horizon_seconds * 1000)
        table, costs = np.ascontiguousarray(rules, np.int64), np.zeros((count, len(rules)))
        futures, is_plain = (table, hold, horizon), self._is_plain(table)

        def run(first: int, end: int) -> bool:
            if not beliefs:
                known, targets = np.zeros(1, np.int64), np.arange(count) + count
                here = (self._world, first, end, self._world, targets, *futures, known, False, is_plain)
                return bool(look_ahead(*here, costs, decisions))
            done, targets = True, np.zeros(count, np.int64)
            for index in range(first, end):
                world, shifts = beliefs[index].copies._world, beliefs[index].shifts_ms  # noqa: SLF001 (a simulator as this one)
                part = (self._world, index, index + 1, world, targets, *futures, shifts, True, is_plain)
                done = bool(look_ahead(*part, costs, decisions)) and done
            return done

        done = all(share(run, count, min(self._replay_threads, default_threads(count, 1))))
        self._after()
        return done


class Belief(NamedTuple):
    """What a look-ahead believes of the future of one cluster.

    Attributes:
        copies: a simulator of one cluster, begun as that one, with a trace of its own: all jobs of the true one, with
            the run times that are believed, and room for those that are imagined. The look-ahead writes into it.
        shifts_ms: [S] int64, the futures that are tried, each as likely: the arrivals of so many ms before, 0: the true
            ones. A job that has run for longer than believed is believed to run for twice as long.
    """

    copies: Planning
    shifts_ms: NDArray[np.int64]
