"""A lower bound of what the containers of a workload cost beside running their requests.

There are at least as many containers as the demand of their function needs, at any time. Whenever the demand rises to a
level, its container was kept since the demand last fell below that level, or was started since. The cheaper of the two,
for each function by itself, with nodes that cost nothing and starts that nobody waits for, is what a policy that knows
all requests could come down to.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.containers import state as st
from envs.containers.state import Table
from envs.serverless.problem import ServerlessProblem


def least_usd(problem: ServerlessProblem, window: NDArray[np.int64]) -> float:
    """The bound for one window; it holds where no request waits for capacity and none is rejected.

    Args:
        problem: functions, requests and prices.
        window: [4] int64, a row of `ServerlessProblem.windows`; costs count after its warm-up.
    """
    begin, end, first, last = window.tolist()
    counted_from = min(begin + problem.serverless.warm_up_ms, end)
    request = problem.containers.request[first:last]
    usd_per_uj = float(problem.containers.usd_per_uj.min())
    total = 0.0
    order = np.argsort(request[:, st.FUNCTION], kind="stable")
    functions, starts = np.unique(request[order, st.FUNCTION], return_index=True)
    for function, rows in zip(functions.tolist(), np.split(order, starts[1:]), strict=True):
        about, prices = problem.containers.function[function], problem.serverless.prices
        held = about[st.MEMORY] * prices[0] + about[st.GPU] * prices[1]
        start = about[st.START_MS] * (about[st.START_MW] * usd_per_uj + held)
        keep = about[st.WARM_MW] * usd_per_uj + held
        gaps = idle_gaps(request[rows], int(about[st.CONCURRENCY]), counted_from)
        total += float(np.minimum(gaps * keep, start).sum())
    return total


def idle_gaps(request: Table, concurrency: int, counted_from: int) -> NDArray[np.int64]:
    """How long each container that a function needs was not needed before, ms, from `counted_from` on.

    Args:
        request: [N, REQUEST_COLUMNS] int64, of one function, by time.
        concurrency: requests that a container runs at once.
        counted_from: containers that are needed before this are left out, and time before it does not count.
    """
    begins = request[:, st.SENT_MS]
    times = np.concatenate([begins + request[:, st.RUN_MS], begins])
    steps = np.repeat([-1, 1], len(request))
    gaps: list[int] = []
    fell: list[float] = []  # when the demand fell below the level of each container
    demand = 0
    for index in np.lexsort((steps, times)).tolist():  # runs end before requests come
        now, before = int(times[index]), -(-demand // concurrency)
        demand += int(steps[index])
        needed = -(-demand // concurrency)
        if needed < before:
            fell[needed] = now
        elif needed > before:
            if needed > len(fell):
                fell.append(-math.inf)
            if now >= counted_from:
                gaps.append(now - int(max(fell[before], counted_from)))
    return np.array(gaps, np.int64)
