"""Who used the energy of a run, and what that cost: attribution to jobs and pools, from its event log.

The log says what each job held, where and when. Its own energy, money and carbon follow from that exactly: thousandths
of a GPU times ms in each piece of the tariff, times the rates of that piece. The rest is shared by a rule:

- What no job holds (fragmentation, idle, boot, off) and what power caps save is spread over the jobs of each pool in
  proportion to their GPU time; node-hours with their price and embodied carbon likewise. In a pool without jobs it
  stays unattributed.
- Data from other regions belong to the job that brought them. Whether a job that was stopped had to bring them again is
  not in the log: what came in this way is spread over the later starts of such jobs by the size of their data.
- Waiting belongs to the job, and so does the overhead of a job that has ended: what it held beyond its work. The rest
  of the overhead, of jobs that have not ended and of rounded rates, is spread over those by GPU time, or over all jobs.

A job that was in several pools has a row for each; its waiting and overhead are split by its GPU time there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from envs.errors import SimulatorError
from envs.gpu_cluster.accounting import (
    AMOUNTS,
    GRAMS_PER_TONNE,
    MB_PER_GB,
    MILLI_MS_PER_GPU_HOUR,
    SPENDINGS,
)
from envs.gpu_cluster.simulator import log as events
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.results import JobTimes, Results
from envs.gpu_cluster.simulator.tariff import Tariff

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

COLUMNS = (
    *("gpu_hours", "waited_gpu_hours", "overhead_gpu_hours", "node_hours"),
    *("own_kwh", "shared_kwh", "transfer_kwh", "kwh"),
    *("energy_usd", "carbon_g", "embodied_g", "carbon_usd", "node_usd", "transfer_usd", "delay_usd", "total_usd"),
)
"""What is known of each row of a `Usage`; `kwh` is the sum of its three parts, `total_usd` of the five other USD."""

_USED, _TRANSFERRED = AMOUNTS.index("used_milli_ms"), AMOUNTS.index("transferred_mb")
_STOPS = (events.JOB_END, events.JOB_PREEMPT, events.JOB_SUSPEND)
_WAITS = (events.JOB_START, events.JOB_PREEMPT, events.JOB_SUSPEND, events.JOB_RESUME)


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """What a run spent, by job and pool: K rows, a job in as many of them as it was in pools.

    Attributes:
        job: [K] int64, row of the job in the trace; -1: no job, what is left unattributed of a pool without any.
        pool: [K] int64, number of the pool; -1: the job held no GPU anywhere.
        columns: [K] float64 each, by the names of `COLUMNS`.
    """

    job: Ints
    pool: Ints
    columns: Mapping[str, Floats]

    def sums(self, group: Ints, count: int) -> dict[str, Floats]:
        """The columns summed by group.

        Args:
            group: [K] int64, the group of each row; below 0: in none.
            count: how many groups there are.

        Returns:
            [count] float64 by name.
        """
        kept = group >= 0
        return {
            name: np.bincount(group[kept], values[kept], minlength=count).astype(np.float64)
            for name, values in self.columns.items()
        }


class _Rows(NamedTuple):
    """The rows of an event log that are about jobs, [L] int64 each."""

    time: Ints
    kind: Ints
    pool: Ints
    job: Ints
    node: Ints
    value: Ints

    def where(self, mask: NDArray[np.bool_]) -> _Rows:
        return _Rows(*(column[mask] for column in self))


class _Held(NamedTuple):
    """What jobs held: a row for each job and pool, ascending."""

    key: Ints
    job: Ints
    pool: Ints
    milli_ms: Ints
    spent: Floats


class _Amounts(NamedTuple):
    """What each row of a `Usage` has of everything that is paid.

    Attributes:
        milli_ms: [K] int64, GPU time held, in thousandths of a GPU times ms.
        waited: [K] float64, likewise of waiting.
        overhead: [K] float64, likewise beyond the work.
        node_hours: [K] float64.
        own: [K, len(SPENDINGS)] float64, of what it held.
        shared: [K, len(SPENDINGS)] float64, its share of the rest.
        transfer: [K, len(SPENDINGS)] float64, of data.
        megabytes: [K] float64, of data.
    """

    milli_ms: Ints
    waited: Floats
    overhead: Floats
    node_hours: Floats
    own: Floats
    shared: Floats
    transfer: Floats
    megabytes: Floats


def attribute_usage(simulator: Results, log: pa.Table, cluster: int = 0) -> Usage:
    """Attribute what the episode of a cluster spent so far to its jobs and pools.

    Args:
        simulator: that ran it.
        log: all of its event log, a table of `log.SCHEMA`.
        cluster: which of the batch.

    Raises:
        SimulatorError: the log does not have all that jobs held.
    """
    problem, totals, times = simulator.problem, simulator.pool_totals(cluster), simulator.job_times(cluster)
    end_ms = int(simulator.time_ms[cluster])
    begin_ms = end_ms - int(simulator.elapsed_ms[cluster])
    rows, used = _read(log), np.array([pool.used_milli_ms for pool in totals])
    held = _held(rows, problem.prices.tariff, len(totals), end_ms)
    _check(held, used)
    spendings, megabytes = simulator.spendings(cluster), np.array([pool.transferred_mb for pool in totals])
    brought, transfer = _transfers(rows, held, problem, spendings[:, _TRANSFERRED], megabytes, times)
    waited = _waited(rows, problem, times, begin_ms, end_ms)
    overhead, left = _overhead(held, problem, times, sum(pool.overhead_milli_ms for pool in totals))
    # Jobs that held nothing only wait; pools in which no job held anything have what they spent to themselves.
    others, empty = np.setdiff1d(_jobs_of(problem, times, begin_ms), held.job), np.flatnonzero(used == 0)
    rest, nothing = len(others) + len(empty), np.zeros((len(others) + len(empty), len(SPENDINGS)))
    job = np.concatenate([held.job, others, np.full(len(empty), -1)])
    pool = np.concatenate([held.pool, np.full(len(others), -1), empty])
    milli_ms = np.append(held.milli_ms, np.zeros(rest, np.int64))
    share = np.where(used[pool] > 0, milli_ms / np.maximum(used[pool], 1), job < 0) * (pool >= 0)
    of_job = np.where(job >= 0, _part_of_job(job, milli_ms, problem.num_jobs), 0.0)
    late = of_job * np.append(overhead, 0.0)[job]  # the last one: of no job
    if left:
        late[-1] += left
    shared = np.delete(spendings, [_USED, _TRANSFERRED], axis=1).sum(axis=1)
    amounts = _Amounts(
        milli_ms=milli_ms,
        waited=of_job * np.append(waited, 0)[job],
        overhead=late,
        node_hours=share * np.array([each.node_hours for each in totals])[pool],
        own=np.append(held.spent, nothing, axis=0),
        shared=share[:, None] * shared[pool],
        transfer=np.append(transfer, nothing, axis=0),
        megabytes=np.append(brought, np.zeros(rest)),
    )
    return Usage(job, pool, _priced(problem, pool, amounts))


def _read(log: pa.Table) -> _Rows:
    log = log.filter(pc.is_valid(log["job"]))
    kind = log["event"].combine_chunks().indices
    columns = [log["time_ms"], kind, log["pool"], log["job"], pc.fill_null(log["node"], -1), log["value"]]
    return _Rows(*(np.asarray(column).astype(np.int64) for column in columns))


def _held(rows: _Rows, tariff: Tariff, pools: int, end_ms: int) -> _Held:
    """What each job held in each pool, and what that energy cost; where it runs still, until the end."""
    change = _changes(rows)
    kept = change != 0  # a move leaves a job as many GPUs as it had
    rows, change = rows.where(kept), change[kept]
    order = np.argsort(rows.job * pools + rows.pool, kind="stable")
    key, change = (rows.job * pools + rows.pool)[order], change[order]
    starts = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
    sums = np.cumsum(change)
    level = sums - np.repeat((sums - change)[starts], np.diff(np.append(starts, len(key))))
    since = rows.time[order]
    until = np.append(since[1:], end_ms)[: len(key)]
    until[np.append(starts[1:], len(key))[: len(starts)] - 1] = end_ms
    spent = level[:, None] * _rate_integrals(tariff, rows.pool[order], since, until)
    keys = key[starts]
    if len(keys) == 0:
        return _Held(keys, keys, keys, keys, np.zeros((0, len(SPENDINGS))))
    milli_ms = np.add.reduceat(level * (until - since), starts)
    return _Held(keys, keys // pools, keys % pools, milli_ms, np.add.reduceat(spent, starts))


def _changes(rows: _Rows) -> Ints:
    """[L] int64, by how many thousandths of GPUs each row changes what its job holds in its pool."""
    change = np.where(rows.kind == events.JOB_START, rows.value, 0)
    change = np.where(np.isin(rows.kind, _STOPS), -rows.value, change)
    # A new width is told as that on its node; what the job had there is what its last row about the node says.
    tells = np.flatnonzero(np.isin(rows.kind, (events.JOB_START, events.JOB_MOVE, events.JOB_RESIZE)))
    order = tells[np.lexsort((rows.node[tells], rows.job[tells]))]
    resized = rows.kind[order] == events.JOB_RESIZE
    before = np.append(0, rows.value[order[:-1]])[: len(order)]
    change[order[resized]] = (rows.value[order] - before)[resized]
    return change


def _rate_integrals(tariff: Tariff, pool: Ints, since: Ints, until: Ints) -> Floats:
    """[S, len(SPENDINGS)] float64, what a thousandth of a GPU of a job spends from one time to another."""
    edges, rates = tariff.edges_ms, tariff.spending_rates[:, :, _USED]
    whole = np.zeros_like(rates)  # from the second edge to each edge: the first piece has no beginning
    whole[2:] = np.cumsum(np.diff(edges[1:])[:, None, None] * rates[1:-1], axis=0)
    first = np.searchsorted(edges, since, side="right") - 1
    last = np.searchsorted(edges, until, side="right") - 1
    crosses, second = last > first, np.minimum(first + 1, len(edges) - 1)
    head = np.where(crosses, edges[second], until) - since
    tail = np.where(crosses, until - np.where(crosses, edges[last], 0), 0)
    between = np.where(crosses[:, None], whole[last, pool] - whole[second, pool], 0.0)
    return np.asarray(head[:, None] * rates[first, pool] + between + tail[:, None] * rates[last, pool], np.float64)


def _check(held: _Held, used: Ints) -> None:
    found = np.zeros(len(used), np.int64)
    np.add.at(found, held.pool, held.milli_ms)
    if not np.array_equal(found, used):
        raise SimulatorError(
            f"the event log has {found.sum()} of {used.sum()} thousandths of a GPU times ms that jobs held; log all of "
            "the episode, from its reset on"
        )


def _transfers(
    rows: _Rows, held: _Held, problem: Problem, spent: Floats, megabytes: Ints, times: JobTimes
) -> tuple[Floats, Floats]:
    """MB that each row of `held` brought, and what their energy cost.

    Args:
        rows: of the log.
        held: what jobs held.
        problem: of the run.
        spent: [P, len(SPENDINGS)] float64, of all data that came to each pool.
        megabytes: [P] int64, of all.
        times: of the jobs.
    """
    brought, cost = np.zeros(len(held.key)), np.zeros((len(held.key), len(SPENDINGS)))
    if not megabytes.any():
        return brought, cost
    pools, tariff = len(megabytes), problem.prices.tariff
    starts = _once(rows.where(rows.kind == events.JOB_START))
    size = problem.transfer_mb[starts.job, starts.pool] * (starts.job >= times.first_job)
    at = np.searchsorted(held.key, starts.job * pools + starts.pool)
    is_first = np.zeros(len(size), np.bool_)
    is_first[np.unique(starts.job, return_index=True)[1]] = True
    piece = np.searchsorted(tariff.edges_ms, starts.time, side="right") - 1
    paid = size[:, None] * tariff.spending_rates[piece, starts.pool, _TRANSFERRED]
    np.add.at(brought, at[is_first], size[is_first])
    np.add.at(cost, at[is_first], paid[is_first])
    later, pool = ~is_first, starts.pool
    known, weight = (np.bincount(pool[mask], size[mask], minlength=pools) for mask in (is_first, later))
    known_cost = np.zeros((pools, len(SPENDINGS)))
    np.add.at(known_cost, pool[is_first], paid[is_first])
    share = size[later] / np.maximum(weight[pool[later]], 1)
    np.add.at(brought, at[later], share * (megabytes - known)[pool[later]])
    np.add.at(cost, at[later], share[:, None] * (spent - known_cost)[pool[later]])
    return brought, cost


def _once(rows: _Rows) -> _Rows:
    """The rows without those that say the same of further nodes of the job."""
    same = (rows.job[1:] == rows.job[:-1]) & (rows.kind[1:] == rows.kind[:-1]) & (rows.time[1:] == rows.time[:-1])
    return rows.where(np.append(True, ~same)[: len(rows.job)])


def _jobs_of(problem: Problem, times: JobTimes, begin_ms: int) -> Ints:
    """The jobs of an episode: those that are submitted in it, and those that ran when it began, ascending."""
    early = np.arange(times.first_job)
    ran = problem.submit_ms[early] + problem.duration_ms[early] > begin_ms
    return np.append(early[ran], times.first_job + np.arange(len(times.submit_ms)))


def _waited(rows: _Rows, problem: Problem, times: JobTimes, begin_ms: int, end_ms: int) -> Ints:
    """[J] int64, thousandths of GPUs times ms for which each job waited or was suspended, as far as that is paid."""
    free_until = problem.free_until_ms
    waited, waits, suspended = (np.zeros(problem.num_jobs, np.int64) for _ in range(3))

    def add(job: Ints, sign: int, time: Ints) -> None:
        np.add.at(waited, job, sign * np.maximum(time, free_until[job]))
        np.add.at(waits, job, -sign)

    jobs = _jobs_of(problem, times, begin_ms)
    jobs = jobs[problem.submit_ms[jobs] <= end_ms]
    add(jobs, -1, np.maximum(problem.submit_ms[jobs], begin_ms))
    rows = _once(rows.where(np.isin(rows.kind, _WAITS)))
    for kind, sign in ((events.JOB_START, 1), (events.JOB_PREEMPT, -1), (events.JOB_RESUME, -1)):
        found = rows.kind == kind
        add(rows.job[found], sign, rows.time[found])
    left = np.flatnonzero(waits)
    add(left, 1, np.full(len(left), end_ms))
    paying = np.ones(problem.num_jobs, np.bool_)
    if problem.settings.queue.waits_free:  # then they are suspended for nothing too
        paying = problem.jobs[:-1, st.LATEST_MS] == 0
    for kind, sign in ((events.JOB_SUSPEND, -1), (events.JOB_RESUME, 1)):
        found = (rows.kind == kind) & paying[rows.job]
        np.add.at(waited, rows.job[found], sign * rows.time[found])
        np.add.at(suspended, rows.job[found], -sign)
    return waited * problem.gpu_milli + suspended * end_ms * problem.gpu_milli


def _overhead(held: _Held, problem: Problem, times: JobTimes, total: int) -> tuple[Floats, float]:
    """[J] float64, GPU time of each job beyond its work, in thousandths of a GPU times ms, and what no job has."""
    milli_ms = np.zeros(problem.num_jobs, np.int64)
    np.add.at(milli_ms, held.job, held.milli_ms)
    ended = np.zeros(problem.num_jobs, np.bool_)
    ended[times.first_job : times.first_job + len(times.end_ms)] = times.end_ms != st.NEVER
    own = np.where(ended, milli_ms - problem.gpu_milli * problem.duration_ms, 0)
    weight = np.where(ended, 0, milli_ms)
    if not weight.any():
        weight = milli_ms
    rest = float(total - int(own.sum()))
    if not weight.any():
        return own.astype(np.float64), rest
    return own + rest * (weight / weight.sum()), 0.0


def _part_of_job(job: Ints, milli_ms: Ints, num_jobs: int) -> Floats:
    """[K] float64, which part of its job's GPU time each row has; rows of a job that has none are equal."""
    own = np.maximum(job, 0)
    whole, rows = np.zeros(num_jobs + 1, np.int64), np.zeros(num_jobs + 1, np.int64)
    np.add.at(whole, own, milli_ms)
    np.add.at(rows, own, job >= 0)
    return np.where(whole[own] > 0, milli_ms / np.maximum(whole[own], 1), 1.0 / np.maximum(rows[own], 1))


def _priced(problem: Problem, pool: Ints, amounts: _Amounts) -> dict[str, Floats]:
    """The columns of a `Usage`; `pool` as there."""
    pools, objective = problem.cluster.pools, problem.config.objective
    usd, grams, kwh = (SPENDINGS.index(name) for name in ("energy_usd", "carbon_g", "kwh"))

    def of_pool(values: list[float]) -> Floats:
        return np.append(values, 0.0)[pool]  # the last one: in no pool

    own, shared, transfer = amounts.own, amounts.shared, amounts.transfer
    spent = own + shared + transfer
    embodied = amounts.node_hours * of_pool([each.embodied_g_per_node_hour for each in pools])
    delayed = (amounts.waited + amounts.overhead) / MILLI_MS_PER_GPU_HOUR
    money = {
        "energy_usd": spent[:, usd],
        "carbon_usd": (spent[:, grams] + embodied) * (objective.usd_per_tonne / GRAMS_PER_TONNE),
        "node_usd": amounts.node_hours * of_pool([each.usd_per_node_hour for each in pools]),
        "transfer_usd": amounts.megabytes * of_pool([each.transfer.usd_per_gb / MB_PER_GB for each in pools]),
        "delay_usd": delayed * objective.usd_per_gpu_hour,
    }
    found = {
        "gpu_hours": amounts.milli_ms / MILLI_MS_PER_GPU_HOUR,
        "waited_gpu_hours": amounts.waited / MILLI_MS_PER_GPU_HOUR,
        "overhead_gpu_hours": amounts.overhead / MILLI_MS_PER_GPU_HOUR,
        "node_hours": amounts.node_hours,
        "own_kwh": own[:, kwh],
        "shared_kwh": shared[:, kwh],
        "transfer_kwh": transfer[:, kwh],
        "kwh": spent[:, kwh],
        "carbon_g": spent[:, grams],
        "embodied_g": embodied,
        **money,
        "total_usd": np.sum(list(money.values()), axis=0),
    }
    return {name: found[name] for name in COLUMNS}
