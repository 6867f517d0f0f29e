"""Integrals of power and of reserved memory over time, by place, exact; and what they cost by the tariff. Compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, rare
from envs.containers import state as st
from envs.containers.state import Problem, World


@helper
def flush(world: World, place: int) -> None:
    """Bring the integrals of a place up to now."""
    count = world.counts[place]
    elapsed = world.clock[st.NOW] - count[st.FLUSHED_MS]
    if elapsed == 0:
        return
    count[st.FLUSHED_MS] = world.clock[st.NOW]
    amount, rate = world.amount[place], world.rate[place]
    for part in range(st.AMOUNTS):
        amount[part] += rate[part] * elapsed


@helper
def change_rate(world: World, place: int, part: int, by: int) -> None:
    """Change what a place takes from now on."""
    flush(world, place)
    world.rate[place, part] += by


@helper
def spare(problem: Problem, world: World, place: int, function: int, sign: int) -> None:
    """Reserve memory and GPUs for a container that serves no request, or no longer."""
    row = problem.function[function]
    world.rate[place, st.SPARE_MIB_MS] += sign * row[st.MEMORY]
    world.rate[place, st.SPARE_MILLI_MS] += sign * row[st.GPU]


@rare
def book(problem: Problem, world: World) -> None:
    """Charge what the piece of the tariff that ends now, or is looked at now, has taken."""
    piece = world.clock[st.PIECE]
    for place in range(problem.place.shape[0]):
        flush(world, place)
        energy, busy = 0, world.amount[place, st.BUSY_UJ] - world.booked[place, st.BUSY_UJ]
        for part in range(st.ENERGIES):
            energy += world.amount[place, part] - world.booked[place, part]
            world.booked[place, part] = world.amount[place, part]
        world.spent[place, 0] += energy * problem.usd_per_uj[piece, place]
        world.spent[place, 2] += busy * problem.usd_per_uj[piece, place]
        world.spent[place, 1] += energy * problem.g_per_uj[piece, place]


@helper
def usd_of(world: World, prices: NDArray[np.float64]) -> float:
    """What a world cost up to the last `book`, without the energy of requests that run, which no decision changes.

    Args:
        world: what changes.
        prices: `envs.containers.objective.ContainerPrices.flat()`.
    """
    usd = 0.0
    for place in range(world.spent.shape[0]):
        count, amount = world.counts[place], world.amount[place]
        usd += world.spent[place, 0] - world.spent[place, 2]
        usd += amount[st.SPARE_MIB_MS] * prices[0] + amount[st.SPARE_MILLI_MS] * prices[1]
        usd += count[st.WAITED_MS] * prices[2] + count[st.LATE] * prices[3] + count[st.REJECTED] * prices[4]
        usd -= count[st.BUSY_MILLI_MS] * prices[5]
    return usd


@helper
def next_edge(problem: Problem, world: World) -> int:
    """When the next piece of the tariff begins."""
    piece = world.clock[st.PIECE] + 1
    if piece >= problem.edges_ms.shape[0]:
        return st.FOREVER
    return problem.edges_ms[piece]
