"""Cached layers of images; those that no container uses in the order in which their use ended. Compiled.

Layers in use are in no list: a node with thousands of containers would look at all of them to find one to drop.
"""

from __future__ import annotations

from envs.compiled.compiler import helper, rare
from envs.containers import state as st
from envs.containers.state import Problem, World


@helper
def unlink_layer(world: World, node: int, layer: int) -> None:
    """Take a layer out of the list of those that no container uses."""
    row = world.layer[node, layer]
    before, behind = row[st.PREVIOUS_LAYER], row[st.NEXT_LAYER]
    if before >= 0:
        world.layer[node, before, st.NEXT_LAYER] = behind
    else:
        world.node[node, st.FIRST_LAYER] = behind
    if behind >= 0:
        world.layer[node, behind, st.PREVIOUS_LAYER] = before
    else:
        world.node[node, st.LAST_LAYER] = before


@helper
def link_layer(world: World, node: int, layer: int) -> None:
    """Put a layer last in that list, as the one used last."""
    row, last = world.layer[node, layer], world.node[node, st.LAST_LAYER]
    row[st.PREVIOUS_LAYER], row[st.NEXT_LAYER] = last, -1
    if last >= 0:
        world.layer[node, last, st.NEXT_LAYER] = layer
    else:
        world.node[node, st.FIRST_LAYER] = layer
    world.node[node, st.LAST_LAYER] = layer


@helper
def start_base(world: World, node: int) -> int:
    """When a start on a node can begin: now, or when its boot ends."""
    return max(world.clock[st.NOW], world.node[node, st.NODE_READY_MS])


@rare
def ready_ms(problem: Problem, world: World, function: int, node: int, begin: int) -> int:
    """When a container would be ready whose start on a node began at a moment, as its layers and pulls are now."""
    missing, latest = 0, begin
    for index in range(problem.layer_first[function], problem.layer_first[function + 1]):
        layer = problem.layer_of[index]
        available = world.layer[node, layer, st.AVAILABLE_MS]
        if available == st.MISSING:
            missing += problem.layer_bytes[layer]
        else:
            latest = max(latest, available)
    return max(latest, pull_end(problem, world, node, missing, begin)) + problem.function[function, st.START_MS]


@helper
def pull_end(problem: Problem, world: World, node: int, missing: int, begin: int) -> int:
    """When so many bytes are pulled that are asked for at a moment, one pull after the other."""
    if missing == 0:
        return begin
    rate = problem.node[node, st.PULL_RATE]
    return max(begin, world.node[node, st.PULL_FREE_MS]) + (missing + rate - 1) // rate


@rare
def pull_layers(problem: Problem, world: World, function: int, node: int) -> int:
    """Pull what a node lacks of an image and use all of it; returns when all layers are there."""
    first, end = problem.layer_first[function], problem.layer_first[function + 1]
    missing, latest = 0, start_base(world, node)
    for index in range(first, end):
        layer = problem.layer_of[index]
        row = world.layer[node, layer]
        if row[st.AVAILABLE_MS] == st.MISSING:
            missing += problem.layer_bytes[layer]
        else:
            latest = max(latest, row[st.AVAILABLE_MS])
            if row[st.LAYER_USERS] == 0:
                unlink_layer(world, node, layer)
        row[st.LAYER_USERS] += 1
    if missing == 0:
        return latest
    done = pull_end(problem, world, node, missing, start_base(world, node))
    world.node[node, st.PULL_FREE_MS] = done
    for index in range(first, end):
        layer = problem.layer_of[index]
        if world.layer[node, layer, st.AVAILABLE_MS] == st.MISSING:
            world.layer[node, layer, st.AVAILABLE_MS] = done
    world.node[node, st.CACHED] += missing
    world.counts[problem.node[node, st.PLACE], st.PULLED_BYTES] += missing
    drop_layers(problem, world, node)
    return max(latest, done)


@rare
def drop_layers(problem: Problem, world: World, node: int) -> None:
    """Drop layers that no container uses, the least recently used first, until the cache is within its size."""
    layer = world.node[node, st.FIRST_LAYER]
    while world.node[node, st.CACHED] > problem.node[node, st.CACHE_BYTES] and layer >= 0:
        unlink_layer(world, node, layer)
        world.layer[node, layer, st.AVAILABLE_MS] = st.MISSING
        world.node[node, st.CACHED] -= problem.layer_bytes[layer]
        layer = world.node[node, st.FIRST_LAYER]


@helper
def release_layers(problem: Problem, world: World, function: int, node: int) -> None:
    """A container that used an image is gone; its layers stay cached."""
    for index in range(problem.layer_first[function], problem.layer_first[function + 1]):
        layer = problem.layer_of[index]
        world.layer[node, layer, st.LAYER_USERS] -= 1
        if world.layer[node, layer, st.LAYER_USERS] == 0:
            link_layer(world, node, layer)
