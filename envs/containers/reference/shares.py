"""Which requests are admitted; what is held and promised where the minimum share admits them, see `kernels.shares`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from envs.containers import state as st
from envs.containers.reference.objects import Container, Key, Node, Promise

if TYPE_CHECKING:
    from envs.containers.reference.simulator import ReferenceSimulator


def misses_deadline(sim: ReferenceSimulator, key: Key, request: int) -> bool:
    """Whether a new container would answer too late."""
    about = sim.problem.request[request]
    if not about[st.DEADLINE_MS]:
        return False
    node = sim.find_node(key, evicts=True)
    if node is None:
        return True
    end = ready_from(sim, key, node, sim.now) + int(about[st.RUN_MS]) + way_back(sim, key, request)
    return bool(end > about[st.SENT_MS] + about[st.DEADLINE_MS])


def way_back(sim: ReferenceSimulator, key: Key, request: int) -> int:
    """How long the answer to a request is on its way."""
    origin, down_ms = sim.origin_of(request), int(sim.problem.request[request, st.DOWN_MS])
    return int(sim.problem.latency_ms[origin, key.place]) + down_ms


def ready_from(sim: ReferenceSimulator, key: Key, node: Node, begin: int) -> int:
    """When a container would be ready whose start on a node is asked for at a moment."""
    boots_ms = int(sim.problem.node[node.number, st.BOOT_MS])
    base = begin + boots_ms if node.state == "off" else max(begin, sim.now, node.ready_ms)
    lacking = [layer for layer in sim.layers(key.function) if layer not in node.cached]
    ready = max([base, *(node.cached[layer] for layer in sim.layers(key.function) if layer in node.cached)])
    if lacking:
        size = sum(int(sim.problem.layer_bytes[layer]) for layer in lacking)
        pulled = max(base, node.pull_free_ms) + -(-size // int(sim.problem.node[node.number, st.PULL_RATE]))
        ready = max(ready, pulled)
    return ready + int(sim.problem.function[key.function, st.START_MS])


def run_ms(sim: ReferenceSimulator, key: Key, request: int) -> int:
    """How long a request runs in a container of a key."""
    run, ppm = int(sim.problem.request[request, st.RUN_MS]), int(sim.problem.function[key.function, st.RUN_PPM])
    return -(-run * ppm // 1_000_000) if ppm else run


def holds(sim: ReferenceSimulator, node: Node, but: Promise | None) -> list[tuple[int, int, Key]]:
    """From when until when which parts of a node are held."""
    held = [(each.begin_ms, each.ends_ms, each.key) for each in node.promises if each is not but]
    for each in node.containers:
        if each.state != "warm":
            is_free = each.state == "started" and each.bound is None
            held.append((sim.now, each.ready_ms if is_free else each.ends_ms, each.key))
    return [(begin, max(end, sim.now + 1), sim.keys[key]) for begin, end, key in held]


def is_in_the_way(
    sim: ReferenceSimulator, key: Key, node: Node, begin: int, end: int, but: Promise | None = None
) -> bool:
    """Whether a container on a node from one moment to another would take what others hold or are promised."""
    held = holds(sim, node, but)
    about = sim.problem.node[node.number]
    has = [int(about[column]) for column in (st.NODE_MEMORY, st.NODE_CPU, st.NODE_GPU)]
    for moment in [begin, *(first for first, _, _ in held if begin < first < end)]:
        taken = [sim.wanted(other) for first, last, other in held if first <= moment < last]
        if (np.sum([sim.wanted(key), *taken], axis=0) > has).any():
            return True
    return False


def earliest(sim: ReferenceSimulator, key: Key, node: Node, run_ms: int, but: Promise | None = None) -> int | None:
    """When a container can first be started on a node."""
    begins = sorted({sim.now, *(end for _, end, _ in holds(sim, node, but))})
    for begin in begins:
        if not is_in_the_way(sim, key, node, begin, ready_from(sim, key, node, begin) + run_ms, but):
            return begin
    return None


def warm_container(
    sim: ReferenceSimulator, key: Key, run_ms: int, node: Node | None = None, but: Promise | None = None
) -> Container | None:
    """An idle container that may be used now."""
    for each in key.available:
        end = sim.now + max(run_ms, 1)
        if node in (None, each.node) and not is_in_the_way(sim, key, each.node, sim.now, end, but):
            return each
    return None


def reach(sim: ReferenceSimulator, key: Key, request: int) -> None:
    """A request has reached its place: the smallest share that meets its deadline is chosen."""
    about, base = sim.problem.request[request], key
    latest = int(about[st.SENT_MS] + about[st.DEADLINE_MS]) - way_back(sim, key, request)
    if not about[st.DEADLINE_MS]:
        latest = st.FOREVER
    while True:
        run = run_ms(sim, key, request)
        warm = warm_container(sim, key, run)
        if warm is not None and sim.now + run <= latest:
            sim.note_arrival(key)
            sim.run(warm, request, is_cold=False)
            return
        found = []
        for node in (node for node in sim.nodes if node.place == key.place):
            begin = earliest(sim, key, node, run)
            if begin is not None:
                end = ready_from(sim, key, node, begin) + run
                found.append((end, node.state == "off", node.number, begin, node))
        if found and min(found)[0] <= latest:
            sim.note_arrival(key)
            key.queue.append(request)
            _, _, _, begin, node = min(found)
            if begin == sim.now:
                bind(sim, sim.start_on(key, node), request)
            else:
                promise = Promise(key.number, node, request)
                node.promises.append(promise)
                plan(sim, promise, begin)
            return
        larger = int(sim.problem.function[key.function, st.NEXT_SHARE])
        if not larger:
            sim.note_arrival(base)
            sim.reject(base, request)
            return
        key = sim.keys[larger * len(sim.lines) + key.place]


def bind(sim: ReferenceSimulator, container: Container, request: int) -> None:
    """A container that starts is for a request alone."""
    container.bound = request
    container.ends_ms = container.ready_ms + run_ms(sim, sim.keys[container.key], request)


def plan(sim: ReferenceSimulator, promise: Promise, begin: int) -> None:
    """A promise is for a moment."""
    key = sim.keys[promise.key]
    promise.begin_ms = begin
    promise.ends_ms = ready_from(sim, key, promise.node, begin) + run_ms(sim, key, promise.request)


def keep_promise(sim: ReferenceSimulator, promise: Promise) -> bool:
    """Begin what is promised, if that is possible."""
    key, node, request = sim.keys[promise.key], promise.node, promise.request
    run = run_ms(sim, key, request)
    warm = warm_container(sim, key, run, node, promise)
    end = max(ready_from(sim, key, node, sim.now) + run, sim.now + 1)
    if warm is None and is_in_the_way(sim, key, node, sim.now, end, promise):
        return False
    node.promises.remove(promise)
    if warm is not None:
        key.queue.remove(request)
        sim.run(warm, request, is_cold=False)
    else:
        bind(sim, sim.start_on(key, node), request)
    return True


def promise_is_due(sim: ReferenceSimulator, promise: Promise) -> None:
    """The time of a promise has come."""
    if not keep_promise(sim, promise):
        key = sim.keys[promise.key]
        begin = earliest(sim, key, promise.node, run_ms(sim, key, promise.request), promise)
        assert begin is not None
        plan(sim, promise, begin)


def stays_idle(sim: ReferenceSimulator, container: Container) -> bool:
    """Begin what is promised on the node of a container that is idle now; whether it is idle still."""
    promises = container.node.promises
    if sim.problem.admission == st.ADMITS_SHARE:
        while promises and keep_promise(sim, min(promises, key=lambda each: (each.begin_ms, each.request))):
            pass
    return container.state == "warm" and container in container.node.containers
