"""The reference simulator: one world, event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from envs.containers import history
from envs.containers import state as st
from envs.containers.reference import shares
from envs.containers.reference.objects import Container, Key, Node
from envs.containers.state import Problem, Table

Decide = Callable[[int], tuple[int, int, int]]
"""Key of a container that is idle -> how long it is kept, and when after that its key has how many again, ms."""


class ReferenceSimulator:
    """One world that serves the requests of a problem.

    Args:
        problem: as the kernels have it.
        control: [K, CONTROL_COLUMNS] int64.
        route: [Z, F] int64.
        sleep_ms: [N] int64.
        start_ms: when the episode begins; requests before it are left out.
        decide: asked when a container is idle; None: `control` says it.
    """

    def __init__(
        self,
        problem: Problem,
        control: Table,
        route: Table,
        sleep_ms: Table,
        start_ms: int,
        decide: Decide | None = None,
    ) -> None:
        self.problem, self.control, self.route = problem, control, route
        self.now, self.flushed, self.serial = start_ms, start_ms, 0
        places = len(problem.place)
        self.decide = decide or (lambda key: (int(control[key, st.KEEP]), int(control[key, st.PRE_WARM]), 1))
        self.nodes = [
            Node(
                number, int(row[st.PLACE]), [int(row[column]) for column in (st.NODE_MEMORY, st.NODE_CPU, st.NODE_GPU)]
            )
            for number, row in enumerate(problem.node)
        ]
        for node, sleep in zip(self.nodes, sleep_ms, strict=True):
            node.sleep_ms = int(sleep)
        self.keys = [Key(number, number // places, number % places) for number in range(len(problem.function) * places)]
        self.lines: list[list[Key]] = [[] for _ in range(places)]
        self.link_free = [start_ms] * places
        self.access_free = {
            (origin, way): start_ms for origin in range(len(problem.latency_ms)) for way in ("up", "down")
        }
        self.user_origin = problem.first_origin.tolist()
        self.moves = problem.move.tolist()
        while self.moves and self.moves[0][0] <= start_ms:
            _, user, self.user_origin[user] = self.moves.pop(0)
        self.coming: list[tuple[int, int, int]] = []
        """(ms, request, place) of requests that are on their way."""
        self.runs: list[tuple[int, int, Container]] = []
        self.requests = [index for index, row in enumerate(problem.request) if row[st.SENT_MS] >= start_ms]
        self.reached: dict[int, int] = {}
        self.amount = np.zeros((places, st.AMOUNTS), np.int64)
        self.spent = np.zeros((places, 3))
        self.count = np.zeros((places, len(st.COUNTS)), np.int64)
        self.answers = np.zeros((len(problem.request), st.ANSWER_COLUMNS), np.int64)
        for key in self.keys:
            self.apply_reserve(key)

    # What time costs.

    def power(self, place: int) -> list[int]:
        """What a place takes each ms, by part."""
        rates = [0] * st.AMOUNTS
        parts = {
            "off": (st.OFF_UJ, st.OFF_MW),
            "booting": (st.BOOT_UJ, st.BOOT_MW),
            "on": (st.IDLE_NODE_UJ, st.IDLE_MW),
        }
        states = {
            "started": (st.START_UJ, st.START_MW),
            "warm": (st.WARM_UJ, st.WARM_MW),
            "busy": (st.BUSY_UJ, st.BUSY_MW),
        }
        for node in (node for node in self.nodes if node.place == place):
            part, column = parts[node.state]
            rates[part] += int(self.problem.node[node.number, column])
            for container in node.containers:
                function = self.problem.function[self.keys[container.key].function]
                part, column = states[container.state]
                if node.state == "on":
                    rates[part] += int(function[column])
                if container.state != "busy":
                    rates[st.SPARE_MIB_MS] += int(function[st.MEMORY])
                    rates[st.SPARE_MILLI_MS] += int(function[st.GPU])
        return rates

    def pass_time(self, until: int) -> None:
        """Let time pass, piece by piece of the tariff."""
        while self.now < until:
            piece = int(np.searchsorted(self.problem.edges_ms, self.now, side="right")) - 1
            edges = self.problem.edges_ms
            end = min(until, int(edges[piece + 1])) if piece + 1 < len(edges) else until
            for place in range(len(self.amount)):
                gained = [rate * (end - self.now) for rate in self.power(place)]
                self.amount[place] += gained
                energy = sum(gained[: st.ENERGIES])
                self.spent[place, 0] += energy * self.problem.usd_per_uj[piece, place]
                self.spent[place, 2] += gained[st.BUSY_UJ] * self.problem.usd_per_uj[piece, place]
                self.spent[place, 1] += energy * self.problem.g_per_uj[piece, place]
            self.now = end

    # Starting and dropping containers.

    def wanted(self, key: Key) -> list[int]:
        """Memory, CPUs and GPUs of a container."""
        return [int(self.problem.function[key.function, column]) for column in (st.MEMORY, st.CPU, st.GPU)]

    def fits(self, key: Key, node: Node, with_idle: bool = False) -> bool:
        """Whether a container fits on a node, or would if its idle ones were gone."""
        free = list(node.free)
        for container in node.idle if with_idle else []:
            free = [have + held for have, held in zip(free, self.wanted(self.keys[container.key]), strict=True)]
        return all(want <= have for want, have in zip(self.wanted(key), free, strict=True))

    def find_node(self, key: Key, evicts: bool) -> Node | None:
        """The node of a new container."""
        nodes = [node for node in self.nodes if node.place == key.place]
        for state in ("on", "booting"):
            room = [node for node in nodes if node.state == state and self.fits(key, node)]
            if room:
                return min(room, key=lambda node: (node.free[0], node.number))
        evictable = [node for node in nodes if node.state == "on" and self.fits(key, node, with_idle=True)]
        if evicts and evictable:
            return min(evictable, key=lambda node: (-node.free[0], node.number))
        off = [node for node in nodes if node.state == "off" and self.fits(key, node)]
        return off[0] if off else None

    def start(self, key: Key, evicts: bool) -> bool:
        """Start a container, if there is capacity."""
        node = self.find_node(key, evicts)
        if node is None:
            return False
        if self.problem.admission == st.ADMITS_SHARE:
            end = max(shares.ready_from(self, key, node, self.now), self.now + 1)
            if shares.is_in_the_way(self, key, node, self.now, end):
                return False
        self.start_on(key, node)
        return True

    def start_on(self, key: Key, node: Node) -> Container:
        """Start a container on a node."""
        if node.state == "off":
            node.state = "booting"
            node.ready_ms = self.now + int(self.problem.node[node.number, st.BOOT_MS])
            self.add(key.place, st.BOOTS)
        while not self.fits(key, node):
            self.add(key.place, st.EVICTIONS)
            self.drop(node.idle[0])
        node.sleeps_at = None
        node.free = [have - want for have, want in zip(node.free, self.wanted(key), strict=True)]
        self.serial += 1
        container = Container(self.serial, key.number, node, 0)
        node.containers.append(container)
        container.ready_ms = self.pull(key, node) + int(self.problem.function[key.function, st.START_MS])
        key.containers.append(container)
        key.pre_warm_at = None
        self.add(key.place, st.STARTS)
        return container

    def layers(self, function: int) -> list[int]:
        """The layers of a function's image."""
        first, end = self.problem.layer_first[function : function + 2]
        return [int(layer) for layer in self.problem.layer_of[first:end]]

    def pull(self, key: Key, node: Node) -> int:
        """Pull the layers that a node lacks; returns when all are there."""
        base, about = max(self.now, node.ready_ms), self.problem.node[node.number]
        done = base
        lacking = [layer for layer in self.layers(key.function) if layer not in node.cached]
        for layer in self.layers(key.function):
            if layer in node.cached:
                done = max(done, node.cached[layer])
        if not lacking:
            return done
        size = sum(int(self.problem.layer_bytes[layer]) for layer in lacking)
        node.pull_free_ms = max(base, node.pull_free_ms) + -(-size // int(about[st.PULL_RATE]))
        node.cached.update(dict.fromkeys(lacking, node.pull_free_ms))
        self.add(key.place, st.PULLED_BYTES, size)
        used = self.used_layers(node)
        for layer in list(node.cached):
            if sum(int(self.problem.layer_bytes[each]) for each in node.cached) <= about[st.CACHE_BYTES]:
                break
            if layer not in used:
                del node.cached[layer]
        return max(done, node.pull_free_ms)

    def used_layers(self, node: Node) -> set[int]:
        """The layers that containers of a node use."""
        return {layer for each in node.containers for layer in self.layers(self.keys[each.key].function)}

    def drop(self, container: Container) -> None:
        """Remove an idle container."""
        key, node = self.keys[container.key], container.node
        node.containers.remove(container)
        used = self.used_layers(node)
        for layer in self.layers(self.keys[container.key].function):
            if layer not in used:  # the use of it ends now: of those that nobody uses it is dropped last
                node.cached[layer] = node.cached.pop(layer)
        node.idle.remove(container)
        key.containers.remove(container)
        key.available.remove(container)
        node.free = [have + want for have, want in zip(node.free, self.wanted(key), strict=True)]
        self.plan_sleep(node)

    def plan_sleep(self, node: Node) -> None:
        """A node without containers sleeps after its idle time-out."""
        if not node.containers and not node.promises and node.state == "on":
            node.sleeps_at = None if node.sleep_ms >= st.FOREVER else self.now + node.sleep_ms

    # The life of a request.

    def add(self, place: int, column: int, value: int = 1) -> None:
        """Count something."""
        self.count[place, column] += value

    def send(self, request: int) -> None:
        """A request is sent to the place that the route says."""
        about = self.problem.request[request]
        origin = self.origin_of(request)
        place = int(self.route[origin, about[st.FUNCTION]])
        arrives = self.over_link(origin, "up", self.now, int(about[st.UP_MS])) + int(
            self.problem.latency_ms[origin, place]
        )
        size = int(self.problem.function[about[st.FUNCTION], st.REQUEST_BYTES])
        rate = int(self.problem.place[place, st.LINK_RATE])
        if size and rate:
            arrives = self.link_free[place] = max(arrives, self.link_free[place]) + -(-size // rate)
        if arrives == self.now:
            self.reach(request, place)
        else:
            self.coming.append((arrives, request, place))

    def origin_of(self, request: int) -> int:
        """Where the user of a request is."""
        user = int(self.problem.request[request, st.USER])
        return int(self.user_origin[user] if user >= 0 else self.problem.request[request, st.ORIGIN])

    def over_link(self, origin: int, way: str, time: int, taken_ms: int) -> int:
        """When something is over the link of an origin."""
        if not taken_ms:
            return time
        self.access_free[origin, way] = max(time, self.access_free[origin, way]) + taken_ms
        return self.access_free[origin, way]

    def move_on(self) -> None:
        """A user moves on, and its requests that wait may go where they are served now."""
        _, user, self.user_origin[user] = self.moves.pop(0)
        for key in self.keys if self.problem.hand_over != st.STAYS else []:
            goes_to = self.keys[key.function * len(self.lines) + int(self.route[self.user_origin[user], key.function])]
            for request in list(key.queue):
                if self.problem.request[request, st.USER] != user or goes_to is key:
                    continue
                if self.problem.hand_over == st.FOLLOWS or goes_to.available:
                    self.note_end(key)
                    key.queue.remove(request)
                    self.add(key.place, st.HANDED_OVER)
                    self.add(key.place, st.WAITED_MS, self.now - self.reached[request])
                    self.send(request)

    def reach(self, request: int, place: int) -> None:
        """A request has reached its place."""
        key = self.keys[int(self.problem.request[request, st.FUNCTION]) * len(self.lines) + place]
        self.reached[request] = self.now
        self.add(place, st.REQUESTS)
        if self.problem.admission == st.ADMITS_SHARE:
            shares.reach(self, key, request)
            return
        self.note_arrival(key)
        if key.available:
            self.run(key.available[0], request, is_cold=False)
        elif self.problem.admission == st.ADMITS_NOW and shares.misses_deadline(self, key, request):
            self.reject(key, request)
        else:
            key.queue.append(request)
            if self.needs_container(key) and not self.start(key, evicts=True) and key not in self.lines[place]:
                self.lines[place].append(key)

    def reject(self, key: Key, request: int) -> None:
        """A request is rejected."""
        self.add(key.place, st.REJECTED)
        self.answers[request] = key.place, 0, self.now, st.WAS_REJECTED

    def note_arrival(self, key: Key) -> None:
        """Count the gap that a request ends."""
        demand = key.running + len(key.queue) + 1
        if demand in key.last_above:
            level = next(
                number for number, most in enumerate((1, 2, 4, 8, 16, len(self.problem.request))) if demand <= most
            )
            where = level, history.bin_of(self.now - key.last_above[demand])
            key.gaps[where] = key.gaps.get(where, 0) + 1

    def needs_container(self, key: Key) -> bool:
        """Whether more requests wait than the containers that start can take."""
        return key.starting * int(self.problem.function[key.function, st.CONCURRENCY]) < len(key.queue)

    def run(self, container: Container, request: int, is_cold: bool) -> None:
        """A container begins to run a request."""
        key = self.keys[container.key]
        if not container.running and container in container.node.idle:
            container.node.idle.remove(container)
        if not container.was_used and not is_cold:
            self.add(key.place, st.PRE_WARMED_USED)
        container.state, container.was_used = "busy", True
        container.running.append(request)
        key.running += 1
        if len(container.running) == self.problem.function[key.function, st.CONCURRENCY] and container in key.available:
            key.available.remove(container)
        self.add(key.place, st.COLD, int(is_cold))
        self.add(key.place, st.WAITED_MS, self.now - self.reached[request])
        container.ends_ms = self.now + shares.run_ms(self, key, request)
        self.runs.append((container.ends_ms, request, container))
        self.answers[request] = key.place, self.now, 0, st.WAS_COLD if is_cold else 0

    def end_run(self, request: int, container: Container) -> None:
        """A run ends."""
        key, about = self.keys[container.key], self.problem.request[request]
        function = self.problem.function[key.function]
        origin = self.origin_of(request)
        back = int(self.problem.latency_ms[origin, key.place])
        answered = self.over_link(origin, "down", self.now + back, int(about[st.DOWN_MS]))
        response, is_elsewhere = answered - int(about[st.SENT_MS]), origin != about[st.ORIGIN]
        is_late = bool(about[st.DEADLINE_MS]) and response > about[st.DEADLINE_MS]
        self.add(key.place, st.FINISHED)
        self.add(key.place, st.LATE, int(is_late))
        self.add(key.place, st.FOLLOWED, int(is_elsewhere))
        self.add(key.place, st.RESPONSE_MS, response)
        self.add(key.place, st.BUSY_MILLI_MS, shares.run_ms(self, key, request) * int(function[st.GPU]))
        flags = st.WAS_FINISHED | (st.WAS_LATE if is_late else 0) | (st.WAS_FOLLOWED if is_elsewhere else 0)
        self.answers[request, st.ANSWER_END_MS] = answered
        self.answers[request, st.ANSWER_FLAGS] |= flags
        self.note_end(key)
        key.running -= 1
        container.running.remove(request)
        if key.queue and self.problem.admission != st.ADMITS_SHARE:
            self.run(container, key.queue.pop(0), is_cold=False)
            return
        if container not in key.available:
            key.available.insert(0, container)
        if not container.running:
            container.state = "warm"
            container.node.idle.append(container)
            if shares.stays_idle(self, container):
                self.rest(container)

    def note_end(self, key: Key) -> None:
        """Note that the demand of a key falls by one."""
        demand = key.running + len(key.queue)
        if demand <= history.DEMANDS:
            key.last_above[demand] = self.now

    def become_ready(self, container: Container) -> None:
        """A container has started."""
        key = self.keys[container.key]
        container.state = "warm"
        key.available.insert(0, container)
        container.node.idle.append(container)
        if self.problem.admission == st.ADMITS_SHARE:
            if container.bound is not None:
                key.queue.remove(container.bound)
                self.run(container, container.bound, is_cold=True)
                container.bound = None
            elif shares.stays_idle(self, container):
                self.rest(container)
            return
        while key.queue and len(container.running) < self.problem.function[key.function, st.CONCURRENCY]:
            self.run(container, key.queue.pop(0), is_cold=True)
        if not container.running:
            self.rest(container)

    def rest(self, container: Container) -> None:
        """A container is idle: how long is it kept?"""
        keep_ms, container.pre_warm_ms, container.count = self.decide(container.key)
        container.is_held = False
        container.expires = None if keep_ms >= st.FOREVER else self.now + keep_ms
        if keep_ms <= 0:
            self.expire(container)
        else:
            self.serve_line(container.node.place)

    def expire(self, container: Container) -> None:
        """The keep-alive of a container is over."""
        key = self.keys[container.key]
        container.expires = None
        if len(key.containers) <= self.control[key.number, st.RESERVE]:
            container.is_held = True
            return
        self.add(key.place, st.EXPIRED)
        self.drop(container)
        if len(key.containers) < container.count and not key.queue and container.pre_warm_ms < st.FOREVER:
            key.pre_warm_count = container.count
            key.pre_warm_at = self.now + max(container.pre_warm_ms, 1)
        self.serve_line(key.place)

    def serve_line(self, place: int) -> None:
        """Keys that wait for capacity get it, in their order."""
        line = self.lines[place]
        while line:
            if not self.needs_container(line[0]):
                line.pop(0)
            elif not self.start(line[0], evicts=True):
                return

    def apply_reserve(self, key: Key) -> None:
        """Bring a key's reserve into force."""
        while len(key.containers) < self.control[key.number, st.RESERVE]:
            if not self.start(key, evicts=False):
                return
            self.add(key.place, st.PRE_WARMED)
        while len(key.containers) > self.control[key.number, st.RESERVE]:
            held = [each for each in key.available if each.is_held and each.state == "warm"]
            if not held:
                return
            self.expire(min(held, key=lambda each: each.serial))

    # Time.

    def next_event(self) -> tuple[int, int, int, Callable[[], None]] | None:
        """The first event: time, kind, number, and what to do."""
        events: list[tuple[int, int, int, Callable[[], None]]] = [
            *((run[0], st.RUN_ENDS, run[1], partial(self._end, run)) for run in self.runs),
            *((way[0], st.REACHES, way[1], partial(self._arrive, way)) for way in self.coming),
            *(event for node in self.nodes for event in self._node_events(node)),
        ]
        if self.moves:
            events.append((self.moves[0][0], st.MOVES, 0, self.move_on))
        if self.requests:
            sent = int(self.problem.request[self.requests[0], st.SENT_MS])
            events.append((sent, st.SENT, self.requests[0], lambda: self.send(self.requests.pop(0))))
        for key in self.keys:
            if key.pre_warm_at is not None:
                events += [(key.pre_warm_at, st.PRE_WARM_IS_DUE, key.number, partial(self._pre_warm, key))]
        return min(events, key=lambda event: event[:3], default=None)

    def _node_events(self, node: Node) -> Iterator[tuple[int, int, int, Callable[[], None]]]:
        """What comes next for a node and each of its containers."""
        if node.state == "booting":
            yield node.ready_ms, st.NODE_IS_READY, node.number, partial(self._boot, node)
        if node.sleeps_at is not None:
            yield node.sleeps_at, st.NODE_SLEEPS, node.number, partial(self._sleep, node)
        for promise in node.promises:
            yield promise.begin_ms, st.PROMISE_IS_DUE, promise.request, partial(shares.promise_is_due, self, promise)
        for each in node.containers:
            if each.state == "started":
                yield each.ready_ms, st.CONTAINER_IS_READY, each.serial, partial(self.become_ready, each)
            elif each.state == "warm" and each.expires is not None:
                yield each.expires, st.KEEP_IS_OVER, each.serial, partial(self.expire, each)

    def run_until(self, until: int) -> None:
        """Carry out all events up to a moment, and count the waiting of those that still wait."""
        while (event := self.next_event()) is not None and event[0] <= until:
            self.pass_time(event[0])
            event[3]()
        self.pass_time(until)
        for key in self.keys:
            for request in key.queue:
                self.add(key.place, st.WAITED_MS, self.now - self.reached[request])
                self.reached[request] = self.now

    def _end(self, entry: tuple[int, int, Container]) -> None:
        self.runs.remove(entry)
        self.end_run(entry[1], entry[2])

    def _arrive(self, entry: tuple[int, int, int]) -> None:
        self.coming.remove(entry)
        self.reach(entry[1], entry[2])

    def _boot(self, node: Node) -> None:
        node.state = "on"
        self.plan_sleep(node)

    def _sleep(self, node: Node) -> None:
        node.state, node.sleeps_at = "off", None

    def _pre_warm(self, key: Key) -> None:
        key.pre_warm_at = None
        while len(key.containers) < key.pre_warm_count and self.start(key, evicts=False):
            self.add(key.place, st.PRE_WARMED)
