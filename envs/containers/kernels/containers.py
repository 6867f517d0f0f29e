"""Lists of containers: those of a key with a free slot, those of a node that are idle; their slots. Compiled."""

from __future__ import annotations

from envs.compiled.compiler import helper
from envs.containers import state as st
from envs.containers.state import Problem, World


@helper
def take_slot(world: World) -> int:
    """A slot for a new container: the one freed last, or the first that had none."""
    free = world.clock[st.FREE_SLOT] - 1
    if free >= 0:
        world.clock[st.FREE_SLOT] = world.container[free, st.NEXT_AVAILABLE] + 1
        return free
    world.clock[st.SLOTS] += 1
    return world.clock[st.SLOTS] - 1


@helper
def give_slot(world: World, slot: int) -> None:
    """Give back the slot of a container that is gone."""
    world.container[slot, st.STATE] = st.ABSENT
    world.container[slot, st.NEXT_AVAILABLE] = world.clock[st.FREE_SLOT] - 1
    world.clock[st.FREE_SLOT] = slot + 1


@helper
def add_available(world: World, key: int, slot: int) -> None:
    """Put a container first among those of its key that can take a request."""
    row, first = world.container[slot], world.key[key, st.FIRST_AVAILABLE]
    row[st.IS_AVAILABLE], row[st.NEXT_AVAILABLE], row[st.PREVIOUS_AVAILABLE] = 1, first, -1
    if first >= 0:
        world.container[first, st.PREVIOUS_AVAILABLE] = slot
    world.key[key, st.FIRST_AVAILABLE] = slot


@helper
def remove_available(world: World, key: int, slot: int) -> None:
    """Take a container out of that list."""
    row = world.container[slot]
    before, behind = row[st.PREVIOUS_AVAILABLE], row[st.NEXT_AVAILABLE]
    row[st.IS_AVAILABLE] = 0
    if before >= 0:
        world.container[before, st.NEXT_AVAILABLE] = behind
    else:
        world.key[key, st.FIRST_AVAILABLE] = behind
    if behind >= 0:
        world.container[behind, st.PREVIOUS_AVAILABLE] = before


@helper
def add_idle(problem: Problem, world: World, slot: int) -> None:
    """Put a container last among the idle ones of its node: the one that is idle the longest is first."""
    row = world.container[slot]
    node = world.node[row[st.NODE]]
    last = node[st.LAST_IDLE]
    row[st.PREVIOUS_IDLE], row[st.NEXT_IDLE] = last, -1
    if last >= 0:
        world.container[last, st.NEXT_IDLE] = slot
    else:
        node[st.FIRST_IDLE] = slot
    node[st.LAST_IDLE] = slot
    change_idle(problem, world, slot, 1)


@helper
def remove_idle(problem: Problem, world: World, slot: int) -> None:
    """Take a container out of that list."""
    row = world.container[slot]
    node = world.node[row[st.NODE]]
    before, behind = row[st.PREVIOUS_IDLE], row[st.NEXT_IDLE]
    if before >= 0:
        world.container[before, st.NEXT_IDLE] = behind
    else:
        node[st.FIRST_IDLE] = behind
    if behind >= 0:
        world.container[behind, st.PREVIOUS_IDLE] = before
    else:
        node[st.LAST_IDLE] = before
    change_idle(problem, world, slot, -1)


@helper
def change_idle(problem: Problem, world: World, slot: int, sign: int) -> None:
    """Count what idle containers of a node would free."""
    row = world.container[slot]
    function, node = problem.function[row[st.KEY] // problem.place.shape[0]], world.node[row[st.NODE]]
    node[st.IDLE_MEMORY] += sign * function[st.MEMORY]
    node[st.IDLE_CPU] += sign * function[st.CPU]
    node[st.IDLE_GPU] += sign * function[st.GPU]


@helper
def run_ms_of(problem: Problem, function: int, request: int) -> int:
    """How long a request runs in a container of a share of its function, ms, rounded up."""
    run, ppm = problem.request[request, st.RUN_MS], problem.function[function, st.RUN_PPM]
    return run if ppm == 0 else (run * ppm + 999_999) // 1_000_000


@helper
def reserve(problem: Problem, world: World, function: int, node: int, sign: int) -> None:
    """Reserve what a container holds of its node, or give it back (sign -1)."""
    wanted, row = problem.function[function], world.node[node]
    row[st.FREE_MEMORY] -= sign * wanted[st.MEMORY]
    row[st.FREE_CPU] -= sign * wanted[st.CPU]
    row[st.FREE_GPU] -= sign * wanted[st.GPU]
    row[st.NODE_CONTAINERS] += sign
