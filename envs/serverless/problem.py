"""The inputs of Serverless-v0, checked and as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

import traces
from envs.containers import state as st
from envs.containers.config import PlaceConfig
from envs.containers.history import BINS, bin_start
from envs.containers.problem import Tariff, constant_tariff, make_problem, sleep_ms
from envs.containers.state import Problem
from envs.errors import EnvironmentConfigError
from envs.serverless import state as sv
from envs.serverless.config import ServerlessConfig
from envs.serverless.state import Serverless
from envs.serverless.workload import check_overrides, functions_of, requests_of, select_part, with_shares
from traces.invocations import Invocations

KWH_PER_MWH = 1000.0
LONGEST_BREAK_EVEN_MS = 1 << 40
"""Idle time-outs from here on, 35 years, are without end."""
PRIOR_MS = 600_000.0
"""Median of the gaps that are expected of a function of which none is known."""


@dataclass(frozen=True, slots=True, eq=False)
class ServerlessProblem:
    """Everything that kernels read, and where it came from.

    Attributes:
        config: the settings.
        invocations: of the chosen functions.
        containers: for the container simulator.
        serverless: for the rules and the codec.
        function_names: [F] of the functions as kernels number them: those of the invocations, then their larger shares.
    """

    config: ServerlessConfig
    invocations: Invocations
    containers: Problem
    serverless: Serverless
    function_names: tuple[str, ...]

    @property
    def span_ms(self) -> int:
        """Length of the workload."""
        return self.invocations.span_ms

    @property
    def episode_ms(self) -> int:
        """Length of an episode."""
        return min(self.span_ms, round(1000 * self.config.episode_seconds))

    def episode(self, start_ms: int, end_ms: int) -> tuple[int, int, int, int]:
        """Begin, end, first request and the one behind the last."""
        first, end = np.searchsorted(self.invocations.time_ms, [start_ms, end_ms]).tolist()
        return start_ms, end_ms, first, end

    def windows(self, count: int) -> NDArray[np.int64]:
        """[count, 4] int64, equal windows of the workload."""
        edges = [self.span_ms * number // count for number in range(count + 1)]
        return np.array([self.episode(low, high) for low, high in pairwise(edges)], np.int64)


def serverless_problem(invocations: Invocations, config: ServerlessConfig) -> ServerlessProblem:
    """The problem of a workload on a pool.

    Raises:
        EnvironmentConfigError: a function fits no node, `overrides` names none, or a signal cannot be used.
    """
    check_overrides(config.overrides, invocations.function_id)
    chosen = select_part(invocations, config)
    functions, layers = functions_of(chosen, config)
    functions, shares = with_shares(functions, config)
    prices = config.prices
    containers = make_problem(
        functions,
        layers,
        [PlaceConfig("pool", config.pool)],
        requests_of(chosen),
        _tariff(chosen, config),
        usd_per_tonne=prices.usd_per_tonne,
        admission=config.admission,
        shares=shares,
    )
    mean = float(containers.usd_per_uj.mean())
    mass, tail = _prior(config.prior_gaps)
    serverless = Serverless(
        about=_about(containers, prices.flat(), mean),
        prior_mass=mass,
        prior_tail=tail,
        prices=prices.flat(),
        mean_usd_per_uj=mean,
        day_offset_ms=chosen.day_offset_ms,
        sleep_ms=sleep_ms([PlaceConfig("pool", config.pool)]),
        break_even_ms=_break_even_ms(containers, prices.flat(), mean),
        warm_up_ms=round(1000 * config.warm_up_seconds),
    )
    return ServerlessProblem(config, chosen, containers, serverless, tuple(function.name for function in functions))


def _prior(gaps: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gaps of the prior by bin, and those of all bins from one on."""
    starts = np.array([bin_start(index) for index in range(BINS)], np.float64)
    tail = np.append(gaps * PRIOR_MS / (starts + PRIOR_MS), 0.0)
    return tail[:-1] - tail[1:], tail


def _about(problem: Problem, prices: NDArray[np.float64], usd_per_uj: float) -> NDArray[np.float64]:
    """What a warm container costs a ms, with its share of a node that is on for it; and what a cold start costs."""
    function, node = problem.function, problem.node[0]
    memory, gpus = function[:, st.MEMORY], function[:, st.GPU]
    share = np.maximum(memory / node[st.NODE_MEMORY], gpus / max(node[st.NODE_GPU], 1))
    held = memory * prices[0] + gpus * prices[1]
    rows = np.zeros((len(function), sv.ABOUT_COLUMNS))
    rows[:, sv.KEEP_USD_PER_MS] = (function[:, st.WARM_MW] + share * node[st.IDLE_MW]) * usd_per_uj + held
    rows[:, sv.COLD_MS] = function[:, st.START_MS]
    starting = function[:, st.START_MW] * usd_per_uj + held
    rows[:, sv.COLD_USD] = function[:, st.START_MS] * (prices[2] + starting)
    rows[:, sv.MEMORY_GIB], rows[:, sv.GPUS] = memory / 1024.0, gpus / 1000.0
    # A price of 0 for everything would make every ratio of them meaningless.
    rows[:, sv.KEEP_USD_PER_MS] = np.maximum(rows[:, sv.KEEP_USD_PER_MS], 1e-18)
    return rows


def _break_even_ms(problem: Problem, prices: NDArray[np.float64], usd_per_uj: float) -> NDArray[np.int64]:
    """[N] for how long each node can be idle for what a boot costs: its energy, and that one request waits for it.

    Source: Karlin et al., "Competitive Snoopy Caching", Algorithmica 1988: a node that sleeps after this long costs at
    most twice what it would with the best time-out in hindsight.
    """
    node = problem.node
    boot_usd = node[:, st.BOOT_MS] * (node[:, st.BOOT_MW] * usd_per_uj + prices[2])
    idle_usd_per_ms = (node[:, st.IDLE_MW] - node[:, st.OFF_MW]) * usd_per_uj
    longest = boot_usd >= idle_usd_per_ms * float(LONGEST_BREAK_EVEN_MS)
    found = boot_usd / np.where(longest, 1.0, idle_usd_per_ms)
    return np.where(longest, st.FOREVER, found).astype(np.int64)


def _tariff(invocations: Invocations, config: ServerlessConfig) -> Tariff:
    """The tariff of the pool: constants where there are no signals, and hours of the signals else."""
    prices, signals = config.prices, config.signals
    constants = {"price": prices.usd_per_kwh, "carbon": prices.carbon_g_per_kwh}
    given = {"price": signals.price, "carbon": signals.carbon}
    if not any(given.values()):
        return constant_tariff(constants["price"], constants["carbon"], 1)
    hours = np.arange(invocations.span_ms // 3_600_000 + 2)
    columns = {}
    for quantity, uri in given.items():
        columns[quantity] = np.full(len(hours), constants[quantity])
        if uri is None:
            continue
        signal = traces.load_signal(uri)
        if signal.quantity != quantity:
            raise EnvironmentConfigError(
                f"signals.{quantity}: {uri} is a signal of {signal.quantity}; give one of {quantity}"
            )
        seconds = signal.first_seconds + 3600.0 * (signals.start_hours + hours)
        at = np.searchsorted(signal.start_seconds, seconds, side="right") - 1
        if seconds[-2] >= signal.end_seconds:
            length, needed = (signal.end_seconds - signal.first_seconds) / 3600.0, signals.start_hours + hours[-2]
            raise EnvironmentConfigError(
                f"signals.{quantity}: {uri} ends after {length:g} h, and the workload needs {needed:g} h; give a "
                "longer one, or less start_hours"
            )
        columns[quantity] = signal.values[np.minimum(at, len(signal.values) - 1)]
    return Tariff(hours * 3_600_000, columns["price"][:, None], columns["carbon"][:, None])
