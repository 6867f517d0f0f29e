"""A bound on what a city costs in an episode, whatever is decided: a relaxed assignment of requests to places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.containers import state as st
from envs.edge.city import City
from envs.edge.tables import Numbers

Rows = NDArray[np.int64]


def relaxed_usd(city: City, start_ms: int) -> float:
    """USD below which no policy can come in the episode that begins at a moment.

    Each request goes, on its own, where it is cheapest: there it runs at once in a container that is warm, on a part of
    a node that sleeps whenever it has nothing to do. It costs the energy that its container adds while it runs, its
    share of the node's idle power (the GPU thousandths that it holds, or of memory where it needs no GPU: what runs at
    once on a node holds at most all of them), and its price of lateness where it is late even so, on links of its own.
    Left out are cold starts, boots, idle containers and nodes, queues, those of links too, and the energy of what runs
    over the ends; a request that may be left waiting at the end costs the wait where that is less. So the bound is not
    tight.
    """
    problem, config = city.problem, city.config
    end_ms = start_ms + round(1000 * config.episode_seconds)
    sent = problem.request[:, st.SENT_MS]
    chosen = problem.request[(sent >= start_ms) & (sent < end_ms)]
    function, origin = problem.function[chosen[:, st.FUNCTION]], chosen[:, st.ORIGIN]
    ran = np.minimum(chosen[:, st.RUN_MS], np.maximum(end_ms - chosen[:, st.SENT_MS], 0)).astype(np.float64)
    there = problem.latency_ms[origin] + chosen[:, [st.UP_MS]] + _link_ms(city, function)
    back = problem.latency_ms.min(axis=0)  # users move, and waiting may bring one nearer
    deadline = chosen[:, [st.DEADLINE_MS]]
    late = (deadline > 0) & (there + back + chosen[:, [st.RUN_MS]] + chosen[:, [st.DOWN_MS]] > deadline)
    ends = chosen[:, [st.SENT_MS]] + there + chosen[:, [st.RUN_MS]]
    power = function[:, [st.BUSY_MW]] + _idle_share(city, function)
    # The cheapest piece of the tariff in the episode, for every moment of it.
    pieces = np.flatnonzero(problem.edges_ms < end_ms)
    first = max(int(np.searchsorted(problem.edges_ms, start_ms, side="right")) - 1, 0)
    usd_per_uj = problem.usd_per_uj[first : pieces[-1] + 1].min(axis=0)
    cost = ran[:, None] * power * usd_per_uj + late * config.prices.usd_per_late * (ends <= end_ms)
    waits = np.maximum(end_ms - chosen[:, [st.SENT_MS]] - there, 0) * city.tables.prices[0]
    return float(np.minimum(cost, waits).min(axis=1).sum())


def _link_ms(city: City, function: Rows) -> Rows:
    """[I, P] int64 ms: how long each request takes the link on which requests come to each place."""
    rate, size = city.problem.place[:, st.LINK_RATE], function[:, [st.REQUEST_BYTES]]
    taken: Rows = np.where(rate > 0, -(-size // np.maximum(rate, 1)), 0)
    return taken


def _idle_share(city: City, function: Rows) -> Numbers:
    """[I, P] float64 mW: the least share of a node's idle power that each request accounts for in each place."""
    problem = city.problem
    found = np.zeros((len(function), len(problem.place)))
    for place, (first, end, *_) in enumerate(problem.place.tolist()):
        nodes = problem.node[first:end].astype(np.float64)
        by_gpu = function[:, [st.GPU]] * (nodes[:, st.IDLE_MW] / np.maximum(nodes[:, st.NODE_GPU], 1))[None]
        by_memory = function[:, [st.MEMORY]] * (nodes[:, st.IDLE_MW] / nodes[:, st.NODE_MEMORY])[None]
        has_gpus = bool((nodes[:, st.NODE_GPU] > 0).all()) and bool((problem.function[:, st.GPU] > 0).all())
        found[:, place] = (by_gpu if has_gpus else by_memory).min(axis=1)
    return found
