"""The least money and the least carbon of a window where capacity is finite: a linear program over hours and pools.

Work is a fluid. A group of jobs has an amount of work W (GPU time at reference speed) that may be done in the pieces of
time from its submission on, in the pools that it may run in. With x[g, b, p] the work of group g in piece b and pool p:

    minimise   sum cost[g, b, p] * x[g, b, p]
    subject to sum over b and p of x[g, b, p]             = W[g]                      the work is done
               sum over p of x[g, b, p] / speed[g, p]    <= GPUs of g * length of b   a job has so many GPUs
               sum over g of x[g, b, p] / speed[g, p]    <= GPUs of p * length of b   a pool has so many

*Proof that no policy is below.* Take any run and let x be the work that was really done. Work that is lost and done
again is counted once, so all constraints hold: jobs use at most their GPUs and pools at most theirs, and the window is
over when every job is done. The run pays for each unit of x the energy and carbon of a GPU that works there and then
(power caps: the cheapest cap), which is `rate / speed`; what it pays beside that (idle nodes, unused GPUs, boots, nodes
that are off, moves) is not negative. *Delay:* a job that starts at S, holds its GPUs for h and requests g of them pays
`w * g * (max(S - free, 0) + h - d)` for run time d at reference speed. With L = d / (least speed), and h at least the
time its work takes, every moment t of its work has t <= S + h, so that this is at least
`w * g * (max(t - L - free, 0) + work time - d)`; the mean of that over its work is the sum of the costs
`w * (max(edge[b] - L - free, 0) / d + 1 / speed - 1)` per unit, for t >= edge[b], where piece b begins. A job that is
stopped and goes on later is delayed by as much in all, so the bound holds for divisible work too. Deferral that is free
has `free` at the latest start. So x is feasible and costs no more than the run: the minimum is a bound.

*Transfer.* A job that does any work in a region other than that of its data has waited there for all of them, once,
and paid the network: at least T = network at the lowest price + GPUs * wait * (lowest price of GPUs + w), by the
cheapest pool of the region. If it does a share f <= 1 of its work there that is at least f * T, so T / W is added to
the cost per unit; for several regions these sums add up as the waits do. The waits are part of h, so that L becomes L +
all waits that the job could have: then t - L - free + work time + waits <= S - free + h as before. Of T only what is
not negative is counted.

*Groups.* Jobs join a group where piece of submission, piece of L + free, pools, speeds and, within a factor, run time
and T / W are the same. The sum of their x is feasible for the group (constraints add up), and its costs are the least
of any member, so the bound holds; for members that are equal in all of this nothing is lost.
Pieces later than `LOOKAHEAD_HOURS` after L + free are one, without a limit of capacity and at the least price to come.

*Carbon* has no price of delay, so that work might be put off for ever: there a job must end by its latest end, the
later of latest start and `max_hold_seconds` after the submission, plus its run time. It bounds the runs in which every
job did. Elastic width changes the work itself; with it no bound is known here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.sparse import coo_array, vstack

from autoscaler.evaluation.windows import Window
from envs.gpu_cluster.accounting import AMOUNTS, MS_PER_HOUR, SPENDINGS
from envs.gpu_cluster.simulator.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

USED, SAVED = AMOUNTS.index("used_milli_ms"), AMOUNTS.index("saved_milli_ms")
TRANSFERRED = AMOUNTS.index("transferred_mb")
CARBON = SPENDINGS.index("carbon_g")
PPM = 1e6
LOOKAHEAD_HOURS = 48
RUN_TIME_FACTOR = 1.25
"""Run times within this factor may be of one group."""
TINY = 1e-300
"""Less than any cost of a transfer, so that no transfer has a logarithm."""
UNIT = MS_PER_HOUR * 1000.0
"""The program counts GPU-hours; the simulator thousandths of a GPU times ms."""


class NoSolutionError(ValueError):
    """The jobs of a window do not all fit into the cluster before their latest ends."""


class FluidJobs(NamedTuple):
    """Jobs of a window: [J] each, and [J, P] from `speed` on.

    Attributes:
        submit_ms: submission, or the beginning of the window.
        free_ms: until when delay costs nothing.
        end_ms: latest end, where there is one; infinite: none.
        duration_ms: run time at reference speed.
        gpu_milli: requested, thousandths.
        workload: row of the curves.
        speed: in each pool, 0 where it may not run.
        transfer_mb: data that it would have to bring to each pool.
        transfer_ms: for how long it waits for them.
    """

    submit_ms: Floats
    free_ms: Floats
    end_ms: Floats
    duration_ms: Floats
    gpu_milli: Floats
    workload: Ints
    speed: Floats
    transfer_mb: Ints
    transfer_ms: Ints


class Program(NamedTuple):
    """A linear program: groups, pieces of time and pools.

    Attributes:
        edges_ms: [B + 1] float64, pieces of time; the last one has no end.
        first: [G] int64, first piece in which a group's work may be done.
        last: [G] int64, last piece; the group's `later` comes after it.
        work: [G] float64, GPU-hours.
        gpus: [G] float64.
        first_gpu_hours: [G] float64, GPU-hours that the group can use in its first piece.
        speed: [G, P] float64, 0 where it may not run.
        cost: [G, P, B] float64, per GPU-hour of work, without delay.
        delay: [G, B] float64, of delay, likewise.
        later: [G] float64, per GPU-hour of work after the last piece; infinite: none may be left then.
        capacity: [P] float64, GPUs.
    """

    edges_ms: Floats
    first: Ints
    last: Ints
    work: Floats
    gpus: Floats
    first_gpu_hours: Floats
    speed: Floats
    cost: Floats
    delay: Floats
    later: Floats
    capacity: Floats


def fluid_usd(problem: Problem, window: Window) -> float:
    """The least USD of the work of a window; NaN with elastic width.

    Args:
        problem: jobs, pools and prices.
        window: the window; jobs that run when it begins count from then on.
    """
    jobs = fluid_jobs(problem, window)
    return _least(problem, window, jobs, problem.prices.tariff.rates, problem.settings.usd_per_waited_milli_ms)


def fluid_carbon_g(problem: Problem, window: Window, patience_seconds: float = 0.0) -> float:
    """The least gCO2e of the energy of a window in which every job ends by its latest end.

    NaN with elastic width, and where the cluster is too small for every job to end in time.

    Args:
        problem: jobs, pools and signals.
        window: the window.
        patience_seconds: added to each latest end.
    """
    jobs = fluid_jobs(problem, window)
    jobs = jobs._replace(end_ms=latest_ends_ms(problem, jobs) + 1000.0 * patience_seconds)
    try:
        return _least(problem, window, jobs, problem.prices.tariff.spending_rates[..., CARBON], None)
    except NoSolutionError:
        return float("nan")


def latest_ends_ms(problem: Problem, jobs: FluidJobs) -> Floats:
    """[J] float64, when each job ends that is put off for as long as it may be and then is where it takes longest."""
    hold = 1000.0 * problem.config.codec.max_hold_seconds
    slowest = np.where(jobs.speed > 0.0, jobs.speed, np.inf).min(axis=1)
    if problem.config.codec.power_caps:
        slowest = slowest * problem.curves.cap_speed.min() / PPM
    waits = jobs.transfer_ms.max(axis=1)
    return np.asarray(np.maximum(jobs.free_ms, jobs.submit_ms + hold) + waits + jobs.duration_ms / slowest, np.float64)


def fluid_jobs(problem: Problem, window: Window) -> FluidJobs:
    """The jobs of a window, those that run when it begins with what is left of them."""
    ends = problem.submit_ms + problem.duration_ms
    alive = np.flatnonzero(ends[: window.last_job] > window.start_ms)
    submit = np.maximum(problem.submit_ms[alive], window.start_ms)
    may = (problem.allowed_bits[alive, None] >> np.arange(len(problem.pools)) & 1).astype(bool)
    is_new = problem.submit_ms[alive, None] >= window.start_ms  # the others have their data
    return FluidJobs(
        submit_ms=submit.astype(np.float64),
        free_ms=np.maximum(submit, problem.free_until_ms[alive]).astype(np.float64),
        end_ms=np.full(len(alive), np.inf),
        duration_ms=(ends[alive] - submit).astype(np.float64),
        gpu_milli=problem.gpu_milli[alive].astype(np.float64),
        workload=problem.workload[alive],
        speed=np.where(may, problem.speed_ppm[alive] / PPM, 0.0),
        transfer_mb=np.where(is_new, problem.transfer_mb[alive], 0),
        transfer_ms=np.where(is_new, problem.transfer_ms[alive], 0),
    )


def _least(problem: Problem, window: Window, jobs: FluidJobs, rates: Floats, usd_per_waited: float | None) -> float:
    if problem.config.codec.elastic_width:
        return float("nan")
    if not jobs.submit_ms.size:
        return 0.0
    return solve(make_program(problem, window, jobs, rates, usd_per_waited))


def make_program(
    problem: Problem, window: Window, jobs: FluidJobs, rates: Floats, usd_per_waited: float | None
) -> Program:
    """The linear program of a window.

    Args:
        problem: pools and tariff.
        window: the window.
        jobs: its jobs.
        rates: [pieces of the tariff, P, len(AMOUNTS)] float64, cost per unit of an amount.
        usd_per_waited: price of delay per thousandth of a GPU and ms; None: none, and jobs have a latest end.
    """
    price = usd_per_waited or 0.0
    slowest = np.where(jobs.speed > 0.0, jobs.speed, np.inf).min(axis=1)
    until = jobs.free_ms + jobs.duration_ms / slowest + jobs.transfer_ms.sum(axis=1)  # free + L
    transfer = _transfer(problem, jobs, rates, price)
    edges = _edges(problem, window, jobs, until, usd_per_waited is None)
    first = np.searchsorted(edges, jobs.submit_ms, side="right") - 1
    if usd_per_waited is None:
        last = np.searchsorted(edges, jobs.end_ms, side="left") - 1
    else:
        last = np.searchsorted(edges, until + LOOKAHEAD_HOURS * MS_PER_HOUR, side="left") - 1
    last = np.clip(last, first, len(edges) - 1)
    class_of_run_time = np.floor(np.log(np.maximum(jobs.duration_ms, 1.0)) / np.log(RUN_TIME_FACTOR)).astype(np.int64)
    if price == 0.0:
        class_of_run_time[:] = 0  # it does not matter then
    piece_until = np.searchsorted(edges, until, side="right") if price > 0.0 else np.zeros_like(first)
    speeds = np.unique(np.rint(jobs.speed * PPM), axis=0, return_inverse=True)[1].reshape(-1)
    ways = np.unique(np.floor(np.log2(transfer + TINY)), axis=0, return_inverse=True)[1].reshape(-1)
    keys = np.stack([first, last, piece_until, class_of_run_time, speeds, jobs.workload, ways])
    _, some, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    group, size = group.reshape(-1), len(some)
    gpu_ms = jobs.gpu_milli * jobs.duration_ms

    def largest(values: Floats) -> Floats:
        found = np.zeros(size)
        np.maximum.at(found, group, values)
        return found

    ends = np.append(edges[1:], np.inf)
    begun = np.minimum(jobs.duration_ms / np.where(slowest > 0.0, slowest, 1.0), ends[first] - jobs.submit_ms)
    least_transfer = np.full((size, transfer.shape[1]), np.inf)
    np.minimum.at(least_transfer, group, transfer)
    cost = _cost(problem, edges, rates, price, jobs.workload[some], jobs.speed[some])
    cost = cost + UNIT * least_transfer[:, :, None]
    delay = (
        price
        * np.maximum(edges[None, :] - largest(until)[:, None], 0.0)
        / largest(np.maximum(jobs.duration_ms, 1.0))[:, None]
        * UNIT
    )
    later = np.full(size, np.inf)
    if usd_per_waited is not None:
        coming = np.minimum.accumulate(cost.min(axis=1)[:, ::-1], axis=1)[:, ::-1]  # [G, B], least of a piece and later
        later = np.take_along_axis(coming + delay, last[some][:, None], axis=1)[:, 0]
    return Program(
        edges_ms=edges,
        first=first[some],
        last=last[some],
        work=np.bincount(group, gpu_ms, size) / UNIT,
        gpus=np.bincount(group, jobs.gpu_milli, size) / 1000.0,
        first_gpu_hours=np.bincount(group, jobs.gpu_milli * begun, size) / UNIT,
        speed=jobs.speed[some],
        cost=cost,
        delay=delay,
        later=later,
        capacity=problem.pool_gpus.astype(np.float64),
    )


def _edges(problem: Problem, window: Window, jobs: FluidJobs, until: Floats, has_ends: bool) -> Floats:
    """[B] float64, where pieces begin: hours from the window's start, and changes of the tariff."""
    end = jobs.end_ms.max() if has_ends else until.max() + LOOKAHEAD_HOURS * MS_PER_HOUR
    hours = np.arange(float(window.start_ms), float(end) + MS_PER_HOUR, MS_PER_HOUR)
    changes = problem.prices.tariff.edges_ms
    inside = changes[(changes > window.start_ms) & (changes < end)].astype(np.float64)
    return np.unique(np.concatenate([hours, inside]))


def _transfer(problem: Problem, jobs: FluidJobs, rates: Floats, price: float) -> Floats:
    """[J, P] float64, T / W: what it costs at least to have the data in the region of a pool, per unit of all work."""
    caps = slice(None) if problem.config.codec.power_caps else slice(1)
    watts = problem.curves.cap_watts[jobs.workload][:, :, caps].min(axis=2) / PPM  # [J, P]
    used, saved = rates[:, :, USED].min(axis=0), rates[:, :, SAVED].min(axis=0)
    held = jobs.gpu_milli[:, None] * jobs.transfer_ms * (used - saved * (1.0 - watts) + price)
    paid = np.maximum(held + jobs.transfer_mb * rates[:, :, TRANSFERRED].min(axis=0), 0.0)
    regions = problem.region_bits
    paid = np.stack([paid[:, regions == region].min(axis=1) for region in regions], axis=1)
    return np.asarray(paid / (jobs.gpu_milli * jobs.duration_ms)[:, None], np.float64)


def _cost(problem: Problem, edges: Floats, rates: Floats, price: float, workload: Ints, speed: Floats) -> Floats:
    """[G, P, B] float64, what a GPU-hour of work costs in each pool and piece; infinite where it may not be done."""
    tariff = problem.prices.tariff.edges_ms
    pieces = np.searchsorted(tariff, edges, side="right") - 1
    own = rates[pieces]  # [B, P, amounts]
    own[-1] = rates[pieces[-1] :].min(axis=0)  # the last piece has no end
    caps = problem.curves.cap_speed.shape[2] if problem.config.codec.power_caps else 1
    least = np.full((len(workload), speed.shape[1], len(edges)), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        for cap in range(caps):
            cap_speed, watts = (
                table[workload, :, cap, None] / PPM for table in (problem.curves.cap_speed, problem.curves.cap_watts)
            )
            rate = own[None, :, :, USED] - own[None, :, :, SAVED] * (1.0 - watts.transpose(0, 2, 1))  # [G, B, P]
            total = speed[:, :, None] * cap_speed
            cost = rate.transpose(0, 2, 1) / total + price * (1.0 / total - 1.0)
            least = np.where(speed[:, :, None] > 0.0, np.minimum(least, cost), np.inf)
    return least * UNIT


def solve(program: Program) -> float:
    """The least cost, in the unit of the costs.

    Raises:
        NoSolutionError: jobs with a latest end do not all fit into the cluster before it.
    """
    count = program.last - program.first + 1
    group = np.repeat(np.arange(len(count)), count)
    piece = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(program.first, count)
    pools = len(program.capacity)
    g, b, p = (np.repeat(part, pools) for part in (group, piece, np.zeros_like(group)))
    p = np.tile(np.arange(pools), len(group))
    may = program.speed[g, p] > 0.0
    g, b, p = g[may], b[may], p[may]
    cost = program.cost[g, p, b] + program.delay[g, b]
    late = np.flatnonzero(np.isfinite(program.later))
    columns, size = np.arange(len(g)), len(g) + len(late)
    done = coo_array((np.ones(size), (np.concatenate([g, late]), np.arange(size))), shape=(len(count), size))
    time = 1.0 / program.speed[g, p]
    hours = np.diff(np.append(program.edges_ms, np.inf)) / MS_PER_HOUR
    held = coo_array((time, (b * pools + p, columns)), shape=(len(hours) * pools, size)).tocsr()
    limit = (hours[:, None] * program.capacity[None, :]).ravel()
    real = np.isfinite(limit)
    # A group's own GPUs, in the pieces where its work would not all fit on them.
    own = np.where(b == program.first[g], program.first_gpu_hours[g], program.gpus[g] * hours[b])
    binds = program.work[g] * time > own * (1.0 + 1e-12)
    pair, row = np.unique(g[binds] * len(hours) + b[binds], return_inverse=True)
    parallel = coo_array((time[binds], (row.reshape(-1), columns[binds])), shape=(len(pair), size)).tocsr()
    pair_g, pair_b = pair // len(hours), pair % len(hours)
    most = np.where(
        pair_b == program.first[pair_g], program.first_gpu_hours[pair_g], program.gpus[pair_g] * hours[pair_b]
    )
    found = linprog(
        np.concatenate([cost, program.later[late]]),
        A_ub=vstack([held[real], parallel]),
        b_ub=np.concatenate([limit[real], most]),
        A_eq=done.tocsr(),
        b_eq=program.work,
        method="highs",
    )
    if found.status != 0:
        raise NoSolutionError(f"the linear program of the window has no solution: {found.message}")
    return float(found.fun)
