"""A lower bound on what a window must cost, and with it the part of the cost that decisions can change.

The bound has two parts.

*Work*: each job alone, in the pool and from the moment at which its energy, carbon, share of the node and delay cost
least together, as if its node were always full and at hand. Proof that no policy is below: the cost of a run is the sum
over jobs of what their GPUs use at the tariff of those hours and of what their delay costs, plus terms that are not
negative (idle nodes, boots, nodes that are off, unused GPUs on busy nodes). A job that starts at S in a pool and runs
without being stopped pays `work_usd(S)`, and the minimum over all S and all pools that it may run in is not above
that. `work_usd` is piecewise linear in S, so its minimum lies where a slope changes: at the submission, at the end of
free deferral, or where the start or the end meets a change of the tariff. A job that is stopped and goes on later does
part of its work at other hours, and could fall below; so where jobs are stopped for others or nodes fail, the bound
holds only up to that.

*Transfer*: a job that starts in another region than its data holds its GPUs longer by the time that these take, which
`work_usd(S)` counts as run time and as delay, and pays the network at the price of S, at least at the lowest price from
its submission on. So the minimum over pools weighs the price of each region against the way there, job by job.

*Fragmentation*: the GPUs that no job uses on the fewest nodes that could hold all running jobs if these could be moved
for free at any moment (the migration-packed bound of `autoscaler.evaluation.bounds`), at the least price of the window.
It holds where jobs start when they are submitted; a policy that lets jobs wait could fall slightly below in principle.
Where data are moved it counts as nothing: a job that waits for its data fills GPUs that would be unused without it.

Power caps and elastic width change the work itself, and suspension lets any job do parts of its work at other hours;
with them no bound is known here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscaler.evaluation.bounds import packed_nodes
from autoscaler.evaluation.windows import Window
from envs.gpu_cluster.accounting import AMOUNTS
from envs.gpu_cluster.simulator.problem import Problem

USED, UNUSED = AMOUNTS.index("used_milli_ms"), AMOUNTS.index("unused_milli_ms")
TRANSFERRED = AMOUNTS.index("transferred_mb")
MOST_STARTS = 2_000_000
"""Starts that are tried in one go."""


class CostBound(NamedTuple):
    """The least cost of a window, USD.

    Attributes:
        work_usd: of the jobs, with the delay that pays; NaN: not known.
        fragmentation_usd: of GPUs that cannot be used even if jobs move for free: energy, carbon and nodes.
        fragmentation_energy_usd: the energy alone of these GPUs, where and when it is cheapest.
    """

    work_usd: float
    fragmentation_usd: float
    fragmentation_energy_usd: float

    @property
    def total_usd(self) -> float:
        """Both."""
        return self.work_usd + self.fragmentation_usd


def cost_bound(problem: Problem, window: Window) -> CostBound:
    """The bound of a window; jobs that run when it begins count from then on.

    Args:
        problem: jobs, pools and prices.
        window: the window.
    """
    codec = problem.config.codec
    if codec.power_caps or codec.elastic_width or codec.suspension:
        return CostBound(float("nan"), float("nan"), float("nan"))
    jobs = _alive(problem, window)
    if not jobs.submit_ms.size:
        return CostBound(0.0, 0.0, 0.0)
    least = np.full(len(jobs.submit_ms), np.inf)
    for pool in range(len(problem.cluster.pools)):
        may = (jobs.allowed_bits >> pool & 1).astype(bool)
        least[may] = np.minimum(least[may], _pool_usd(problem, pool, jobs.take(may)))
    fragmentation = (0.0, 0.0) if problem.settings.transfers else _fragmentation_usd(problem, window)
    return CostBound(float(least.sum()), *fragmentation)


class _Jobs(NamedTuple):
    """Jobs of a window, as in `Problem`: [J] int64 each, the last three [J, P]."""

    submit_ms: NDArray[np.int64]
    duration_ms: NDArray[np.int64]
    gpu_milli: NDArray[np.int64]
    allowed_bits: NDArray[np.int64]
    free_until_ms: NDArray[np.int64]
    speed_ppm: NDArray[np.int64]
    transfer_mb: NDArray[np.int64]
    transfer_ms: NDArray[np.int64]

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> _Jobs:
        return _Jobs(*(column[which] for column in self))


def _alive(problem: Problem, window: Window) -> _Jobs:
    """The jobs of a window, those that run when it begins with what is left of them."""
    ends = problem.submit_ms + problem.duration_ms
    alive = np.flatnonzero(ends[: window.last_job] > window.start_ms)
    submit = np.maximum(problem.submit_ms[alive], window.start_ms)
    is_new = problem.submit_ms[alive, None] >= window.start_ms  # the others have their data
    return _Jobs(
        submit,
        ends[alive] - submit,
        problem.gpu_milli[alive],
        problem.allowed_bits[alive],
        problem.free_until_ms[alive],
        problem.speed_ppm[alive],
        np.where(is_new, problem.transfer_mb[alive], 0),
        np.where(is_new, problem.transfer_ms[alive], 0),
    )


def _pool_usd(problem: Problem, pool: int, jobs: _Jobs) -> NDArray[np.float64]:
    """[J] float64, the least cost of each job in a pool."""
    waiting = problem.settings.usd_per_waited_milli_ms
    length = jobs.duration_ms * 1e6 / jobs.speed_ppm[:, pool] + jobs.transfer_ms[:, pool]
    overhead = (length - jobs.duration_ms) * waiting
    tariff, begin = problem.prices.tariff, int(jobs.submit_ms.min(initial=0))
    first = int(np.searchsorted(tariff.edges_ms, begin, side="right")) - 1
    edges = tariff.edges_ms[first:].astype(np.float64)
    rates = tariff.rates[first:, pool, USED]
    edges[0] = max(edges[0], float(begin))  # before it nothing matters, and the first piece has no beginning
    found = [
        _least_energy(edges, rates, jobs.take(part), length[part], waiting)
        for part in _parts(jobs, edges, rates, length, waiting)
    ]
    network = jobs.transfer_mb[:, pool] * tariff.rates[first:, pool, TRANSFERRED].min()
    return np.asarray(jobs.gpu_milli * (np.concatenate(found) + overhead) + network, np.float64)


def _latest_ms(
    jobs: _Jobs, rates: NDArray[np.float64], length: NDArray[np.float64], waiting: float
) -> NDArray[np.float64]:
    """[J] float64: a later start cannot pay, for the delay costs more than the cheapest hours could save."""
    free = np.maximum(jobs.submit_ms, jobs.free_until_ms).astype(np.float64)
    gain = length * (rates.max() - rates.min())
    if waiting == 0.0:
        return np.where(gain > 0.0, np.inf, free)
    return np.asarray(free + gain / waiting, np.float64)


def _parts(
    jobs: _Jobs, edges: NDArray[np.float64], rates: NDArray[np.float64], length: NDArray[np.float64], waiting: float
) -> list[NDArray[np.int64]]:
    """Positions of jobs, some at a time, so that the starts to try fit in memory."""
    latest = _latest_ms(jobs, rates, length, waiting)
    tried = np.searchsorted(edges, latest, side="right") - np.searchsorted(edges, jobs.submit_ms, side="right")
    groups = np.cumsum(2 * tried + 2) // MOST_STARTS
    return np.split(np.arange(len(groups)), np.flatnonzero(np.diff(groups)) + 1)


def _least_energy(
    edges: NDArray[np.float64],
    rates: NDArray[np.float64],
    jobs: _Jobs,
    length: NDArray[np.float64],
    waiting: float,
) -> NDArray[np.float64]:
    """[J] float64, USD per thousandth of a GPU: the least of energy and delay over all starts that could pay."""
    submit = jobs.submit_ms.astype(np.float64)
    free = np.maximum(submit, jobs.free_until_ms)
    latest = _latest_ms(jobs, rates, length, waiting)
    sums = np.concatenate([[0.0], np.cumsum(np.diff(edges) * rates[:-1])])

    def until(times: NDArray[np.float64]) -> NDArray[np.float64]:
        piece = np.searchsorted(edges, times, side="right") - 1
        return np.asarray(sums[piece] + (times - edges[piece]) * rates[piece], np.float64)

    def cost(start: NDArray[np.float64], job: NDArray[np.int64]) -> NDArray[np.float64]:
        energy = until(start + length[job]) - until(start)
        return np.asarray(energy + waiting * np.maximum(start - free[job], 0.0), np.float64)

    numbers = np.arange(len(submit))
    least = np.minimum(cost(submit, numbers), cost(free, numbers))
    for shift in (np.zeros_like(length), length):  # the start, or the end, meets a change of the tariff
        low = np.searchsorted(edges, submit + shift, side="right")
        count = np.maximum(np.searchsorted(edges, latest + shift, side="right") - low, 0)
        job = np.repeat(numbers, count)
        if job.size:
            within = np.arange(job.size) - np.repeat(np.cumsum(count) - count, count)
            start = edges[low[job] + within] - shift[job]
            np.minimum.at(least, job, cost(start, job))
    return least


def _fragmentation_usd(problem: Problem, window: Window) -> tuple[float, float]:
    """Of all that the objective counts, and of energy alone."""
    tariff = problem.prices.tariff
    first, last = np.searchsorted(tariff.edges_ms, [window.start_ms, window.end_ms], side="right").tolist()
    pieces = slice(max(first - 1, 0), max(last, 1))
    prices = np.stack([tariff.rates[pieces, :, UNUSED], tariff.spending_rates[pieces, :, UNUSED, 0]]).min(axis=1)
    usd = np.zeros(2)
    for group in packed_nodes(problem, window):
        unused = max(group.packed_ms * group.node_milli - group.work_milli_ms, 0)
        usd += unused * prices[:, list(group.pools)].min(axis=1)
    whole, energy = usd.tolist()
    return whole, energy
