"""What a simulation shows, by name: of each step, of each pool and of each job.

The memory of the simulator has its own layout, which only the simulator knows. Everyone else reads it here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.accounting import (
    ENERGY_INTEGRALS,
    MILLI_MS_PER_GPU_HOUR,
    MS_PER_HOUR,
    Account,
    Waterfall,
    account,
    delayed_gpu_hours,
    energy_units,
    pool_energy,
    spending_parts,
)
from envs.gpu_cluster.codec import ClusterSnapshot
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.world import World
from envs.gpu_cluster.simulator.problem import Problem

MS_PER_SECOND = 1000.0
MW_MS_PER_KW_SECOND = 1e9  # milliwatts times milliseconds


@dataclass(frozen=True, slots=True)
class PoolTotals:
    """What happened in one pool since its episode began: exact integrals, and counters.

    Attributes:
        idle_node_ms: node time on without a job, draining included, in ms.
        busy_node_ms: node time with a job, in ms.
        boot_node_ms: node time booting, in ms.
        down_node_ms: node time in repair or taken back, in ms.
        used_milli_ms: GPU time that jobs hold, in thousandths of a GPU times ms.
        overhead_milli_ms: the part of it beyond their work (checkpoints, restarts, work done again or slowly).
        saved_milli_ms: GPU time that the power saved by caps is worth.
        transferred_mb: data that came from other regions, MB.
        lost_milli_ms: GPU time of the work that jobs lost when they were stopped; also part of the overhead.
        nodes_added: nodes ordered.
        nodes_removed: nodes switched off.
        scale_ups: decisions that ordered nodes.
        scale_downs: decisions that switched nodes off.
        moves: jobs moved to another node.
        resizes: jobs made wider or narrower.
        preemptions: jobs stopped, for more urgent ones or because their node went.
        suspensions: jobs suspended.
        boot_failures: boots that failed.
        node_failures: nodes that failed.
        spot_reclaims: nodes that the provider took back.
    """

    idle_node_ms: int
    busy_node_ms: int
    boot_node_ms: int
    down_node_ms: int
    used_milli_ms: int
    overhead_milli_ms: int
    saved_milli_ms: int
    transferred_mb: int
    lost_milli_ms: int
    nodes_added: int
    nodes_removed: int
    scale_ups: int
    scale_downs: int
    moves: int
    resizes: int
    preemptions: int
    suspensions: int
    boot_failures: int
    node_failures: int
    spot_reclaims: int

    @classmethod
    def sum(cls, pools: Iterable[PoolTotals]) -> PoolTotals:
        """The totals of all pools together."""
        rows = list(pools)
        return cls(*(sum(getattr(row, field.name) for row in rows) for field in fields(cls)))

    @property
    def node_ms(self) -> int:
        """Node time on or booting, in ms."""
        return self.idle_node_ms + self.busy_node_ms + self.boot_node_ms

    @property
    def node_hours(self) -> float:
        """Node time on or booting, in h."""
        return self.node_ms / MS_PER_HOUR

    @property
    def energy_integrals(self) -> NDArray[np.int64]:
        """[len(ENERGY_INTEGRALS)] int64, what `accounting.pool_energy` needs."""
        return np.array([getattr(self, name) for name in ENERGY_INTEGRALS])

    @property
    def used_gpu_hours(self) -> float:
        """GPU time that jobs hold, in h."""
        return self.used_milli_ms / MILLI_MS_PER_GPU_HOUR


_POOL_COLUMNS = [
    *(st.IDLE_NODE_MS, st.BUSY_NODE_MS, st.BOOT_NODE_MS, st.DOWN_NODE_MS),
    *(st.USED_MILLI_MS, st.OVERHEAD_MILLI_MS, st.SAVED_MILLI_MS, st.TRANSFERRED_MB),
    st.LOST_MILLI_MS,
    *(st.NODES_ADDED, st.NODES_REMOVED, st.SCALE_UPS, st.SCALE_DOWNS),
    *(st.MOVES, st.RESIZES, st.PREEMPTIONS, st.SUSPENSIONS),
    *(st.BOOT_FAILURES, st.FAILURES, st.RECLAIMS),
]
"""The columns of `PoolTotals`, in the order of its fields."""

_INTEGRAL_COLUMNS = [
    _POOL_COLUMNS[[field.name for field in fields(PoolTotals)].index(name)] for name in ENERGY_INTEGRALS
]


@dataclass(frozen=True, slots=True, eq=False)
class JobTimes:
    """When the J jobs that are submitted in an episode waited and ran, in order of submission.

    Attributes:
        first_job: the number of the first of them in the trace.
        submit_ms: [J] int64, submission, in ms of the trace's time.
        duration_ms: [J] int64, run time at reference speed, in ms.
        gpu_milli: [J] int64, GPUs that each requests, in thousandths.
        start_ms: [J] int64, when each first started, in ms; `NEVER`: not yet.
        end_ms: [J] int64, when each ended, in ms; `NEVER`: not yet.
    """

    first_job: int
    submit_ms: NDArray[np.int64]
    duration_ms: NDArray[np.int64]
    gpu_milli: NDArray[np.int64]
    start_ms: NDArray[np.int64]
    end_ms: NDArray[np.int64]

    @property
    def start_seconds(self) -> NDArray[np.float64]:
        """[J] float64, when each first started, in s; NaN: not yet."""
        return _seconds(self.start_ms)

    @property
    def end_seconds(self) -> NDArray[np.float64]:
        """[J] float64, when each ended, in s; NaN: not yet."""
        return _seconds(self.end_ms)

    @property
    def wait_seconds(self) -> NDArray[np.float64]:
        """[J] float64, from submission to start, in s; NaN: not started yet."""
        return np.where(self.start_ms == st.NEVER, np.nan, (self.start_ms - self.submit_ms) / MS_PER_SECOND)

    @property
    def completion_seconds(self) -> NDArray[np.float64]:
        """[J] float64, from submission to end (the job completion time), in s; NaN: not ended yet."""
        return np.where(self.end_ms == st.NEVER, np.nan, (self.end_ms - self.submit_ms) / MS_PER_SECOND)


def _seconds(times_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(times_ms == st.NEVER, np.nan, times_ms / MS_PER_SECOND)


class Results:
    """What a batch of N clusters shows, by name; `Simulator` is one.

    "A view" is memory that the next `step` or `reset` writes again: copy what must last.
    """

    problem: Problem
    _world: World
    num_clusters: int

    @cached_property
    def observations(self) -> NDArray[np.float32]:
        """[N, observation size] float32, a view: what a policy sees, see `envs.gpu_cluster.codec`."""
        return self._world.outcome.observation

    @cached_property
    def action_masks(self) -> NDArray[np.bool_]:
        """[N, mask size] bool, a view: the valid choices of each component of the action, one after the other."""
        return self._world.outcome.mask

    @cached_property
    def rewards(self) -> NDArray[np.float64]:
        """[N] float64, a view: USD, minus the sum of `cost_terms`."""
        return self._world.outcome.reward

    @cached_property
    def cost_terms(self) -> NDArray[np.float64]:
        """[N, len(COST_TERMS)] float64, a view: USD of the last step; `objective.COST_TERMS` names the columns."""
        return self._world.outcome.terms[:, : st.TERM_SECONDS]

    @cached_property
    def step_seconds(self) -> NDArray[np.float64]:
        """[N] float64, a view: simulated time since the last decision, in s."""
        return self._world.outcome.terms[:, st.TERM_SECONDS]

    @cached_property
    def target_nodes(self) -> NDArray[np.int64]:
        """[N, pools of the codec] int64, a view: the nodes that the last decision aimed at."""
        return self._world.outcome.target_nodes

    @cached_property
    def time_ms(self) -> NDArray[np.int64]:
        """[N] int64, a view: now, in ms of the trace's time."""
        return self._clock[:, st.NOW]

    @cached_property
    def decisions(self) -> NDArray[np.int64]:
        """[N] int64, a view: decisions since the episode began."""
        return self._clock[:, st.DECISIONS]

    @cached_property
    def submitted_jobs(self) -> NDArray[np.int64]:
        """[N] int64, a view: jobs of the trace submitted by now, those before the episode included."""
        return self._clock[:, st.NEXT_JOB]

    @cached_property
    def running_jobs(self) -> NDArray[np.int64]:
        """[N] int64, a view: jobs that run."""
        return self._clock[:, st.RUNNING]

    @cached_property
    def finished_jobs(self) -> NDArray[np.int64]:
        """[N] int64, a view: jobs that ended since the episode began."""
        return self._clock[:, st.FINISHED]

    @cached_property
    def waited_milli_ms(self) -> NDArray[np.int64]:
        """[N] int64, a view: integral of the GPUs of waiting and suspended jobs, in thousandths of a GPU times ms."""
        return self._clock[:, st.WAITED_MILLI_MS]

    @cached_property
    def deadline_misses(self) -> NDArray[np.int64]:
        """[N] int64, a view: jobs that ended after their deadline, where `physics.queue.deadlines` counts them."""
        return self._clock[:, st.DEADLINE_MISSES]

    @property
    def excess_kw_seconds(self) -> NDArray[np.float64]:
        """[N] float64: power above the budget of grid events after their ramps, over time, kW s."""
        return self._clock[:, st.EXCESS_MW_MS] / MW_MS_PER_KW_SECOND

    @property
    def done(self) -> NDArray[np.bool_]:
        """[N] bool: the clusters whose episode is over."""
        return self._clock[:, st.DONE] != 0

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """[N] bool: the clusters whose episode is over though jobs are left."""
        return self._clock[:, st.TRUNCATED] != 0

    @property
    def time_seconds(self) -> NDArray[np.float64]:
        """[N] float64: now, in s of the trace's time."""
        return self.time_ms / MS_PER_SECOND

    @property
    def elapsed_ms(self) -> NDArray[np.int64]:
        """[N] int64: time since the episode began, in ms."""
        return self._clock[:, st.NOW] - self._clock[:, st.EPISODE_START]

    @property
    def waiting_jobs(self) -> NDArray[np.int64]:
        """[N] int64: jobs in the queue."""
        return self._clock[:, st.QUEUE_TAIL] - self._clock[:, st.QUEUE_HEAD]

    @property
    def suspended_jobs(self) -> NDArray[np.int64]:
        """[N] int64: jobs that are suspended; they stand in no queue."""
        return self._clock[:, st.SUSPENDED]

    @property
    def waited_gpu_hours(self) -> NDArray[np.float64]:
        """[N] float64: GPU-hours of waiting jobs since the episode began."""
        return self.waited_milli_ms / MILLI_MS_PER_GPU_HOUR

    @property
    def energy_integrals(self) -> NDArray[np.int64]:
        """[N, P, len(ENERGY_INTEGRALS)] int64: `objective.ENERGY_INTEGRALS` names the columns."""
        return self._world.clusters.pool[:, :, _INTEGRAL_COLUMNS]

    def is_done(self, cluster: int = 0) -> bool:
        """Whether the episode of a cluster is over; quicker than `done` for one cluster."""
        return bool(self._clock[cluster, st.DONE])

    def is_truncated(self, cluster: int = 0) -> bool:
        """Whether the episode of a cluster is over though jobs are left; quicker than `truncated` for one cluster."""
        return bool(self._clock[cluster, st.TRUNCATED])

    def snapshot(self, cluster: int = 0) -> ClusterSnapshot:
        """The snapshot at the last decision, as views: what a policy sees, in plain units."""
        return ClusterSnapshot(*(field[cluster] for field in self._world.snapshots))

    def pool_totals(self, cluster: int = 0) -> tuple[PoolTotals, ...]:
        """What happened in each pool since the episode began."""
        return tuple(PoolTotals(*row) for row in self._world.clusters.pool[cluster][:, _POOL_COLUMNS].tolist())

    def job_times(self, cluster: int = 0) -> JobTimes:
        """When the jobs that are submitted in the episode waited and ran; copies."""
        first, last = self._clock[cluster, [st.FIRST_JOB, st.LAST_JOB]].tolist()
        jobs, queue = slice(first, last), self._world.clusters.queue[cluster, : last - first]
        return JobTimes(
            first_job=first,
            submit_ms=self.problem.submit_ms[jobs].copy(),
            duration_ms=self.problem.duration_ms[jobs].copy(),
            gpu_milli=self.problem.gpu_milli[jobs].copy(),
            start_ms=queue[:, st.JOB_START].copy(),
            end_ms=queue[:, st.JOB_END].copy(),
        )

    def energy(self, cluster: int = 0) -> Waterfall:
        """Energy of the episode so far, in kWh."""
        if self.problem.prices.pue_changes:
            return spending_parts(self.spendings(cluster), "kwh")
        elapsed_ms = int(self.elapsed_ms[cluster])
        pools = zip(self.problem.cluster.pools, self.energy_integrals[cluster], strict=True)
        return Waterfall.sum(pool_energy(pool, integrals, elapsed_ms) for pool, integrals in pools)

    def spendings(self, cluster: int = 0) -> NDArray[np.float64]:
        """[P, len(AMOUNTS), len(SPENDINGS)] float64: what the energy of the episode so far cost and emitted."""
        booked = self._world.outcome.booked[cluster]
        unbooked_ms = int(self.time_ms[cluster] - booked[-1, st.BOOKED_TIME])
        rates = self.problem.prices.tariff.spending_rates[self._clock[cluster, st.PIECE]]
        found = self._world.outcome.spendings[cluster].copy()
        integrals = self._world.clusters.pool[cluster][:, st.IDLE_NODE_MS :][:, : st.PAID_COLUMNS] - booked[:-1]
        for number, pool in enumerate(self.problem.cluster.pools):
            idle, busy, boot, used, _, saved, transferred = integrals[number]
            amounts = energy_units(pool, np.array([idle, busy, boot, used, saved, transferred]), unbooked_ms)
            found[number] += amounts[:, None] * rates[number]
        return found

    def account(self, cluster: int = 0) -> Account:
        """What the episode so far cost and emitted."""
        totals = self.pool_totals(cluster)
        overhead = sum(pool.overhead_milli_ms for pool in totals)
        return account(
            self.problem.cluster.pools,
            self.spendings(cluster),
            [pool.node_hours for pool in totals],
            [pool.transferred_mb for pool in totals],
            delayed_gpu_hours(overhead, int(self.waited_milli_ms[cluster])),
            self.problem.config.objective,
        )

    def decided_usd(self) -> NDArray[np.float64]:
        """What decisions changed of each cluster's cost so far, [N] float64 in USD: minus the sum of its rewards.

        That is the whole cost less the energy of the work itself, as if all of it were done where energy is cheapest.
        """
        costs = []
        for cluster in range(self.num_clusters):
            totals = PoolTotals.sum(self.pool_totals(cluster))
            useful = totals.used_milli_ms - totals.overhead_milli_ms
            whole = self.account(cluster).total_usd
            costs.append(whole - useful * self.problem.settings.usd_per_useful_milli_ms)
        return np.asarray(costs)

    def memory_bytes(self) -> dict[str, int]:
        """Bytes of each array of the batch, the trace's included, by its name."""
        groups = (self._world.clusters, self._world.clusters.detail, self._world.snapshots, self._world.outcome)
        sizes = {
            f"{type(group).__name__}.{name}": array.nbytes
            for group in (*groups, self._world.plans)
            for name, array in group._asdict().items()
            if isinstance(array, np.ndarray)
        }
        return {"jobs": self._world.jobs.nbytes, **sizes}

    @property
    def max_jobs(self) -> int:
        """The most jobs that an episode may have, as far as memory goes."""
        return self._world.clusters.queue.shape[1]

    @property
    def untouched_bytes(self) -> int:
        """Bytes for running jobs that no job has used in this episode, so that no page of them is in memory."""
        run, heap = self._world.clusters.run, self._world.clusters.heap
        slots = run.shape[0] * run.shape[1] - int(self._clock[:, st.SLOTS].sum())
        return slots * (run.itemsize * run.shape[2] + heap.itemsize * heap.shape[2])

    @property
    def _has_caps(self) -> bool:
        """Whether a pool's power is capped now."""
        return bool(self._world.clusters.pool[:, :, st.POWER_CAP].any())

    @cached_property
    def _clock(self) -> NDArray[np.int64]:
        return self._world.clusters.clock
