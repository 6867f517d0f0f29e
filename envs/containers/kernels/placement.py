"""Which node of a place a new container gets: one that has room, else by eviction, else one that boots. Compiled."""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.containers import state as st
from envs.containers.kernels.accounting import change_rate, flush, spare
from envs.containers.kernels.containers import give_slot, remove_available, remove_idle, reserve
from envs.containers.kernels.heaps import clear_timer, set_timer
from envs.containers.kernels.layers import release_layers
from envs.containers.log import BOOT, EVICT, record
from envs.containers.state import Problem, World


@helper
def node_timer(world: World, node: int) -> int:
    """The timer of a node: of its boot, or of its sleep."""
    return world.container.shape[0] + world.key.shape[0] + node


@helper
def has_room(problem: Problem, world: World, function: int, node: int, with_idle: bool) -> bool:
    """Whether a container fits beside those of a node, or (with_idle) would if its idle ones were gone."""
    wanted, row = problem.function[function], world.node[node]
    memory, cpu, gpu = row[st.FREE_MEMORY], row[st.FREE_CPU], row[st.FREE_GPU]
    if with_idle:
        memory, cpu, gpu = memory + row[st.IDLE_MEMORY], cpu + row[st.IDLE_CPU], gpu + row[st.IDLE_GPU]
    return wanted[st.MEMORY] <= memory and wanted[st.CPU] <= cpu and wanted[st.GPU] <= gpu


@rare
def best_fit(problem: Problem, world: World, function: int, place: int) -> int:
    """The node that has room and then the least memory free, one that is on before one that boots; -1: none has."""
    best, least, best_state = -1, 0, st.OFF
    for node in range(problem.place[place, st.FIRST_NODE], problem.place[place, st.END_NODE]):
        state, free = world.node[node, st.NODE_STATE], world.node[node, st.FREE_MEMORY]
        if state == st.OFF or not has_room(problem, world, function, node, False):
            continue
        if best < 0 or state > best_state or (state == best_state and free < least):
            best, least, best_state = node, free, state
    return best


@rare
def best_to_evict(problem: Problem, world: World, function: int, place: int) -> int:
    """The node on which a container fits once idle ones are evicted, with the most memory free now; -1: none."""
    best, most = -1, -1
    for node in range(problem.place[place, st.FIRST_NODE], problem.place[place, st.END_NODE]):
        free = world.node[node, st.FREE_MEMORY]
        if world.node[node, st.NODE_STATE] == st.ON and free > most and has_room(problem, world, function, node, True):
            best, most = node, free
    return best


@rare
def first_off(problem: Problem, world: World, function: int, place: int) -> int:
    """The first node that is off and large enough; -1: none."""
    for node in range(problem.place[place, st.FIRST_NODE], problem.place[place, st.END_NODE]):
        if world.node[node, st.NODE_STATE] == st.OFF and has_room(problem, world, function, node, False):
            return node
    return -1


@rare
def find_node(problem: Problem, world: World, function: int, place: int, evicts: bool) -> int:
    """The node for a new container; -1: there is none. Nothing is changed."""
    node = best_fit(problem, world, function, place)
    if node < 0 and evicts:
        node = best_to_evict(problem, world, function, place)
    if node < 0:
        node = first_off(problem, world, function, place)
    return node


@rare
def make_room(problem: Problem, world: World, function: int, node: int) -> None:
    """Boot a node, or evict idle containers from it, the one that is idle the longest first."""
    row = world.node[node]
    if row[st.NODE_STATE] == st.OFF:
        boot(problem, world, node)
        return
    while not has_room(problem, world, function, node, False):
        slot = row[st.FIRST_IDLE]
        world.counts[problem.node[node, st.PLACE], st.EVICTIONS] += 1
        record(world, EVICT, world.container[slot, st.KEY], world.container[slot, st.SERIAL], node, 0)
        drop(problem, world, slot)


@rare
def boot(problem: Problem, world: World, node: int) -> None:
    """Switch a node on."""
    row, about = world.node[node], problem.node[node]
    place = about[st.PLACE]
    flush(world, place)
    world.rate[place, st.OFF_UJ] -= about[st.OFF_MW]
    world.rate[place, st.BOOT_UJ] += about[st.BOOT_MW]
    world.counts[place, st.BOOTS] += 1
    row[st.NODE_STATE], row[st.NODE_READY_MS] = st.BOOTING, world.clock[st.NOW] + about[st.BOOT_MS]
    set_timer(world, node_timer(world, node), row[st.NODE_READY_MS], st.NODE_IS_READY, node)
    record(world, BOOT, -1, -1, node, 0)


@rare
def drop(problem: Problem, world: World, slot: int) -> None:
    """Remove an idle container; a node that has none left begins to wait for its sleep."""
    row = world.container[slot]
    key, node = row[st.KEY], row[st.NODE]
    function, place = key // problem.place.shape[0], problem.node[node, st.PLACE]
    remove_idle(problem, world, slot)
    remove_available(world, key, slot)
    clear_timer(world, slot)
    change_rate(world, place, st.WARM_UJ, -problem.function[function, st.WARM_MW])
    spare(problem, world, place, function, -1)
    reserve(problem, world, function, node, -1)
    release_layers(problem, world, function, node)
    world.key[key, st.CONTAINERS] -= 1
    give_slot(world, slot)
    plan_sleep(problem, world, node)


@helper
def plan_sleep(problem: Problem, world: World, node: int) -> None:  # noqa: ARG001 (one signature)
    """Set the timer after which a node sleeps, if it is on and has no container."""
    row = world.node[node]
    if row[st.NODE_CONTAINERS] == 0 and row[st.NODE_STATE] == st.ON:
        at = st.FOREVER if row[st.SLEEP_MS] >= st.FOREVER else world.clock[st.NOW] + row[st.SLEEP_MS]
        set_timer(world, node_timer(world, node), at, st.NODE_SLEEPS, node)
