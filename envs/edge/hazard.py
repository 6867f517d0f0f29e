"""What a cold start costs and what keeping a container takes: the prices of the hazard rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.containers import state as st
from envs.containers.objective import MS_PER_HOUR
from envs.containers.problem import UJ_PER_KWH
from envs.containers.state import Problem
from envs.edge.config import CityConfig
from envs.edge.tables import Numbers


def hazard_prices(config: CityConfig, problem: Problem) -> tuple[Numbers, Numbers]:
    """What a cold start of each function costs, USD, and what an idle container takes, mW; [F, 2] float64 each.

    The first column is for a container whose node is on anyway, the second for one that alone keeps its node on: that
    takes the idle power of the node, and saves its boot. A cold start waits for the container, takes energy, and makes
    some requests late that would not have been; how many follows from the run times of the function's calls. Layers are
    pulled again only where the node's cache does not hold those of all functions.
    """
    node, prices = problem.node[0], config.prices
    usd_per_uj = (prices.usd_per_kwh + prices.carbon_g_per_kwh * prices.usd_per_tonne / 1e6) / UJ_PER_KWH
    cold, keep = np.zeros((len(problem.function), 2)), np.zeros((len(problem.function), 2))
    for number, function in enumerate(problem.function):
        starts = function[st.START_MS] + _pull_ms(problem, number)
        request = problem.request[problem.request[:, st.FUNCTION] == number]
        answered = request[:, st.RUN_MS] + 2 * int(problem.latency_ms[0, 0])
        for alone in (0, 1):
            waits = starts + alone * node[st.BOOT_MS]
            uj = starts * function[st.START_MW] + alone * node[st.BOOT_MS] * node[st.BOOT_MW]
            late = _late_share(request, answered + waits) - _late_share(request, answered)
            usd = waits / MS_PER_HOUR * prices.usd_per_waited_hour + late * prices.usd_per_late + uj * usd_per_uj
            cold[number, alone] = usd
            keep[number, alone] = function[st.WARM_MW] + alone * node[st.IDLE_MW]
    return cold, keep


def _late_share(request: NDArray[np.int64], response_ms: NDArray[np.int64]) -> float:
    """Share of requests that such response times make late."""
    deadline = request[:, st.DEADLINE_MS]
    return float(((deadline > 0) & (response_ms > deadline)).mean()) if len(request) else 0.0


def _pull_ms(problem: Problem, function: int) -> int:
    """How long a node of the first site pulls the layers of a function that it has run before."""
    node = problem.node[0]
    if problem.layer_bytes.sum() <= node[st.CACHE_BYTES]:
        return 0
    layers = problem.layer_of[problem.layer_first[function] : problem.layer_first[function + 1]]
    return int(-(-problem.layer_bytes[layers].sum() // node[st.PULL_RATE]))
