"""Batches of worlds, and the kernels by which Python runs them. Compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel
from envs.containers import state as st
from envs.containers.kernels import events
from envs.containers.kernels.accounting import book
from envs.containers.kernels.life import apply_reserve, go_idle
from envs.containers.kernels.placement import plan_sleep
from envs.containers.state import Problem, World


@helper
def world_of(batch: World, index: int) -> World:
    """One world of a batch: the same fields without their first dimension."""
    return World(
        batch.clock[index],
        batch.control[index],
        batch.route[index],
        batch.user_origin[index],
        batch.user_waiting[index],
        batch.access[index],
        batch.key[index],
        batch.history[index],
        batch.container[index],
        batch.node[index],
        batch.layer[index],
        batch.run[index],
        batch.timer[index],
        batch.timer_at[index],
        batch.next_request[index],
        batch.reached_ms[index],
        batch.rate[index],
        batch.amount[index],
        batch.booked[index],
        batch.spent[index],
        batch.counts[index],
        batch.response[index],
        batch.answer[index],
        batch.log[index],
    )


@kernel
def begin_world(problem: Problem, batch: World, index: int, start_ms: int, first: int, end: int) -> None:
    """Begin an episode in a world of a batch."""
    events.begin(problem, world_of(batch, index), start_ms, first, end)


@kernel
def run_worlds(problem: Problem, batch: World, until: NDArray[np.int64]) -> None:
    """Run each world to its moment, by what its `control` says; then charge energy and waiting up to it."""
    for index in range(until.shape[0]):
        world = world_of(batch, index)
        events.advance(problem, world, until[index], False)
        book(problem, world)
        events.charge_waiting(problem, world)


@kernel
def run_to_idle(problem: Problem, batch: World, index: int, until: int) -> int:
    """Run a world until a container is idle (`IDLE`, and `clock[PENDING]` is its slot), or to a moment (`UNTIL`)."""
    world = world_of(batch, index)
    found = events.advance(problem, world, until, True)
    if found == st.UNTIL:
        book(problem, world)
        events.charge_waiting(problem, world)
    return found


@kernel
def answer_idle(problem: Problem, batch: World, index: int, keep_ms: int, pre_warm_ms: int, count: int) -> None:
    """Say what becomes of the idle container that `run_to_idle` came back with."""
    world = world_of(batch, index)
    go_idle(problem, world, world.clock[st.PENDING], keep_ms, pre_warm_ms, count)


@kernel
def apply_controls(problem: Problem, batch: World, index: int) -> None:
    """Bring reserves and the idle time-outs of nodes into force that were changed."""
    world = world_of(batch, index)
    for key in range(world.key.shape[0]):
        apply_reserve(problem, world, key)
    for node in range(world.node.shape[0]):
        plan_sleep(problem, world, node)
