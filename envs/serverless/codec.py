"""What a policy observes of the function whose container is idle, and what its actions mean. Compiled.

Every observation is about one function, by its own history, so a policy has the same weights for all functions, and any
number of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, rare
from envs.containers import state as st
from envs.containers.history import BINS, bin_start, level_of
from envs.containers.state import Problem, World
from envs.serverless import state as sv
from envs.serverless.rules import hazard_windows, idle_age
from envs.serverless.state import Serverless

MINUTE = 60_000


class Feature(NamedTuple):
    """An entry of the observation.

    Attributes:
        name: of the entry.
        meaning: in words; "scaled by s" means x / (x + s).
    """

    name: str
    meaning: str


SUMMARY = (
    Feature("arrivals", "requests of the function so far, scaled by 20"),
    Feature("recent_requests", "requests in this and the last window of 10 minutes, scaled by 5"),
    Feature("gap_p10", "quantile of the function's gaps, scaled by 10 min; 1: not known"),
    Feature("gap_p25", "likewise"),
    Feature("gap_p50", "likewise"),
    Feature("gap_p75", "likewise"),
    Feature("gap_p90", "likewise"),
    Feature("last_gap", "its last gap, scaled by 10 min"),
    Feature("gap_before", "the one before, scaled by 10 min"),
    Feature("modal_share", "share of its gaps in the fullest bin: 1 for a timer"),
    Feature("gaps", "number of its gaps, scaled by 10"),
    Feature("running", "its requests that run or wait, scaled by 2"),
    Feature("containers", "its containers, scaled by 4"),
    Feature("idle_age", "how long it is idle already, scaled by 10 min: above 0 where it was pre-warmed"),
    Feature("memory", "of a container, GiB, scaled by 4"),
    Feature("gpus", "of a container, scaled by 1"),
    Feature("cold_start", "time of a cold start, scaled by 30 s"),
    Feature("cold_minutes", "minutes that a container could be kept for what a cold start costs, scaled by 20"),
    Feature("hour_sine", "of the hour of the day, (1 + sin) / 2"),
    Feature("hour_cosine", "(1 + cos) / 2"),
    Feature("pool_memory", "share of the pool's memory that is reserved"),
    Feature("nodes_on", "share of the pool's nodes that are on or boot"),
    Feature("energy_price", "price of energy now over its mean, with carbon, scaled by 1"),
    Feature("hazard_keep", "keep-alive that the hazard rule would choose, scaled by 10 min"),
    Feature("hazard_pre_warm", "1 where the hazard rule would pre-warm"),
)
"""The function and the pool in a few numbers: what small policies read."""

GAPS_SCALE = 10.0
HISTOGRAM = tuple(
    Feature(
        f"gaps_from_{bin_start(index) // 1000}s",
        f"gaps of {bin_start(index) / 1000:g} s "
        + (f"to {bin_start(index + 1) / 1000:g} s" if index < BINS - 1 else "and more")
        + f" at the demand that the container is for, scaled by {GAPS_SCALE:g}",
    )
    for index in range(BINS)
)
"""The histogram that the hazard rule decides by, bin by bin."""

FEATURES = (*SUMMARY, *HISTOGRAM)
"""Entries of the observation, in this order, all from 0 to 1."""
FIRST_GAPS = len(SUMMARY)

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
KEEP_MS = (0, 10_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 60 * MINUTE, 240 * MINUTE, st.FOREVER)
HALF_OCTAVES = 8
MULTIPLIERS = tuple(2.0 ** (step / 2.0) for step in range(-HALF_OCTAVES, HALF_OCTAVES + 1))
"""Of what a cold start costs in the hazard rule."""
FIRST_END = len(KEEP_MS) + len(MULTIPLIERS)
"""Choices of a keep-alive from here on: until the function was idle for as long as where a bin begins, one for each."""
KEEP_CHOICES = FIRST_END + BINS
DEFAULT_KEEP = len(KEEP_MS) + MULTIPLIERS.index(1.0)
AS_IT_IS, BREAK_EVEN = -1, -2
SLEEP_MS = (AS_IT_IS, 0, MINUTE, 5 * MINUTE, 15 * MINUTE, st.FOREVER, BREAK_EVEN)
"""Idle time-outs of the pool's nodes: as they are; for as long as a boot costs (see `envs.serverless.problem`)."""
PRE_WARM_COUNTS = (1, 2, 4, 8)
"""Containers that a function is to have when it is pre-warmed, by the levels of demand of its histograms."""
AS_THE_RULE, NEVER, FIRST_BEGIN = range(3)
"""Choices of a pre-warm: as the hazard rule says where that was chosen, never, and from `FIRST_BEGIN` on for the time
where a bin begins; never, where the container is still kept then."""
PRE_WARM_CHOICES = FIRST_BEGIN + BINS
ACTION_SIZES = (KEEP_CHOICES, PRE_WARM_CHOICES, len(SLEEP_MS), len(PRE_WARM_COUNTS))
KEEP_TABLE, SLEEP_TABLE = np.array(KEEP_MS, np.int64), np.array(SLEEP_MS, np.int64)
COUNT_TABLE = np.array(PRE_WARM_COUNTS, np.int64)
MULTIPLIER_TABLE, QUANTILE_TABLE = np.array(MULTIPLIERS), np.array(QUANTILES)


@helper
def scaled(value: float, scale: float) -> float:
    """From 0 for nothing to 1 for infinity; a half at the scale."""
    return value / (value + scale)


@rare
def fill_gaps(world: World, key: int, level: int, out: NDArray[np.float32]) -> None:
    """Write the quantiles of the gaps of a level, the share of the fullest bin, and the number of gaps."""
    row = world.history[key, level]
    total, most = 0, 0
    for index in range(BINS):
        total += row[index]
        most = max(most, row[index])
    out[9] = most / total if total > 0 else 0.0
    out[10] = scaled(total, 10.0)
    seen, index = 0.0, -1
    for which in range(len(QUANTILES)):
        if total == 0:
            out[2 + which] = 1.0
            continue
        while seen < QUANTILE_TABLE[which] * total:
            index += 1
            seen += row[index]
        out[2 + which] = scaled(bin_start(index) + 0.5 * (bin_start(index + 1) - bin_start(index)), 10.0 * MINUTE)


@rare
def summarise(problem: Problem, world: World, about: Serverless, slot: int, out: NDArray[np.float32]) -> None:
    """Write the first part of the observation of an idle container's function, `SUMMARY`.

    Args:
        problem: what does not change.
        world: what changes.
        about: of functions and prices.
        slot: the idle container.
        out: [len(FEATURES)] float32.
    """
    key, now = world.container[slot, st.KEY], world.clock[st.NOW]
    row, function = world.key[key], about.about[key]
    demand = row[st.RUNNING] + row[st.QUEUED]
    out[0] = scaled(row[st.ARRIVED], 20.0)
    out[1] = scaled(row[st.RECENT] + row[st.RECENT_BEFORE], 5.0)
    fill_gaps(world, key, level_of(demand + 1), out)
    out[7] = scaled(row[st.LAST_GAP], 10.0 * MINUTE)
    out[8] = scaled(row[st.GAP_BEFORE], 10.0 * MINUTE)
    out[11] = scaled(demand, 2.0)
    out[12] = scaled(row[st.CONTAINERS], 4.0)
    out[13] = scaled(idle_age(world, key), 10.0 * MINUTE)
    out[14] = scaled(function[sv.MEMORY_GIB], 4.0)
    out[15] = scaled(function[sv.GPUS], 1.0)
    out[16] = scaled(function[sv.COLD_MS], 30_000.0)
    out[17] = scaled(function[sv.COLD_USD] / function[sv.KEEP_USD_PER_MS] / MINUTE, 20.0)
    angle = 2.0 * math.pi * ((now + about.day_offset_ms) % 86_400_000) / 86_400_000.0
    out[18], out[19] = 0.5 + 0.5 * math.sin(angle), 0.5 + 0.5 * math.cos(angle)
    free, memory, is_on = 0, 0, 0
    for node in range(problem.node.shape[0]):
        free += world.node[node, st.FREE_MEMORY]
        memory += problem.node[node, st.NODE_MEMORY]
        is_on += int(world.node[node, st.NODE_STATE] != st.OFF)
    out[20], out[21] = 1.0 - free / memory, is_on / problem.node.shape[0]
    price = problem.usd_per_uj[world.clock[st.PIECE], 0]
    out[22] = scaled(price / about.mean_usd_per_uj if about.mean_usd_per_uj > 0.0 else 1.0, 1.0)
    keep, pre_warm = hazard_windows(world, about, key, 1.0, 1.0)
    out[23] = 1.0 if keep >= st.FOREVER else scaled(keep, 10.0 * MINUTE)
    out[24] = 1.0 if pre_warm < st.FOREVER else 0.0


@rare
def observe(problem: Problem, world: World, about: Serverless, slot: int, out: NDArray[np.float32]) -> None:
    """Write the whole observation, `FEATURES`; see `summarise`."""
    summarise(problem, world, about, slot, out)
    row = world.key[world.container[slot, st.KEY]]
    counted = world.history[world.container[slot, st.KEY], level_of(row[st.RUNNING] + row[st.QUEUED] + 1)]
    for index in range(BINS):
        out[FIRST_GAPS + index] = scaled(counted[index], GAPS_SCALE)
