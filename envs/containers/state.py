"""The flat memory of the container simulator: columns by number, read-only problems and mutable worlds.

Time is in ms, memory in MiB, power in mW and energy in mW times ms, which are uJ: all int64, so that sums are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.containers.history import BINS, DEMANDS, LEVELS

Table = NDArray[np.int64]

FOREVER = 1 << 60
"""A time that never comes: a keep-alive or an idle time-out without end, a pre-warm that is off."""

# Problem.function
MEMORY, CPU, GPU, START_MS, CONCURRENCY, REQUEST_BYTES, START_MW, WARM_MW, BUSY_MW, NEXT_SHARE, RUN_PPM = range(11)
FUNCTION_COLUMNS = 11
"""A function that may run at several shares has a row for each: `NEXT_SHARE` is that of the next larger one, 0: there
is none; `RUN_PPM` is the run time there, in millionths of what requests say, 0: as they say."""
# Problem.node
PLACE, NODE_MEMORY, NODE_CPU, NODE_GPU, OFF_MW, IDLE_MW, BOOT_MW, BOOT_MS, PULL_RATE, CACHE_BYTES = range(10)
NODE_COLUMNS = 10
# Problem.place
FIRST_NODE, END_NODE, LINK_RATE = range(3)
PLACE_COLUMNS = 3
# Problem.request
SENT_MS, FUNCTION, RUN_MS, ORIGIN, USER, DEADLINE_MS, UP_MS, DOWN_MS = range(8)
REQUEST_COLUMNS = 8
NOBODY = -1
"""The user of a request that is answered where it was sent from."""
# Problem.move
MOVE_MS, MOVE_USER, MOVE_ORIGIN = range(3)
MOVE_COLUMNS = 3
# What becomes of a request that waits for a container when its user moves to where another place serves it.
STAYS, FOLLOWS, FOLLOWS_IF_FREE = range(3)
HAND_OVERS = ("stay", "follow", "if_free")
# Which requests are taken.
ADMITS_ALL, ADMITS_NOW, ADMITS_SHARE = range(3)
ADMISSIONS = ("all", "now", "minimum-share")
"""All; those that can be answered by their deadline with what can be had now; those for which some share of their
function can be, now or once what is reserved has ended: see `envs.containers.kernels.shares`."""

# World.clock
(NOW, NEXT_REQUEST, END_REQUEST, RUNS, TIMERS, BORN, SLOTS, FREE_SLOT, PENDING, PIECE, LOGGED, EVENTS) = range(12)
NEXT_MOVE = 12
CLOCK_COLUMNS = 13
# World.key
(FIRST_AVAILABLE, QUEUE_FIRST, QUEUE_LAST, QUEUED, RUNNING, STARTING, CONTAINERS, IN_LINE, NEXT_IN_LINE) = range(9)
(ARRIVED, LAST_GAP, GAP_BEFORE, RECENT_FROM, RECENT, RECENT_BEFORE, PRE_WARM_COUNT, LAST_ABOVE) = range(9, 17)
KEY_COLUMNS = LAST_ABOVE + DEMANDS
"""From `LAST_ABOVE` on: when the demand was last 1, 2, ... or more; -1: never, or it is now."""
# World.control
KEEP, PRE_WARM, RESERVE = range(3)
CONTROL_COLUMNS = 3
# World.container
(KEY, NODE, SERIAL, STATE, USED_SLOTS, IDLE_SINCE, EXPIRES, PRE_WARM_AFTER) = range(8)
(NEXT_AVAILABLE, PREVIOUS_AVAILABLE, NEXT_IDLE, PREVIOUS_IDLE, IS_AVAILABLE, PULLED_MS, READY_MS, WAS_USED) = range(
    8, 16
)
HELD, COUNT_AFTER, BOUND, ENDS_MS = range(16, 20)
CONTAINER_COLUMNS = 20
ABSENT, STARTED, WARM, BUSY, PROMISED = range(5)
"""States of a container; one that is STARTED is pulling its layers until `PULLED_MS`, and ready at `READY_MS`.
One that is PROMISED is there on paper only: it is to be started at `READY_MS` for the request `BOUND`, -1: for none."""
# World.node
(NODE_STATE, FREE_MEMORY, FREE_CPU, FREE_GPU, NODE_CONTAINERS, NODE_READY_MS, PULL_FREE_MS, CACHED) = range(8)
(FIRST_IDLE, LAST_IDLE, IDLE_MEMORY, IDLE_CPU, IDLE_GPU, FIRST_LAYER, LAST_LAYER, COMING_MW) = range(8, 16)
SLEEP_MS = 16
NODE_STATE_COLUMNS = 17
OFF, BOOTING, ON = range(3)
# World.layer
AVAILABLE_MS, LAYER_USERS, NEXT_LAYER, PREVIOUS_LAYER = range(4)
LAYER_COLUMNS = 4
MISSING = -1

# World.rate, World.amount: what time is integrated over, by place.
(OFF_UJ, IDLE_NODE_UJ, BOOT_UJ, START_UJ, WARM_UJ, BUSY_UJ, SPARE_MIB_MS, SPARE_MILLI_MS) = range(8)
AMOUNTS, ENERGIES = 8, 6
ENERGY_PARTS = ("off", "idle_nodes", "boot", "starting", "warm", "busy")
"""Energy of a place by part: nodes that are off, on (their idle power) and booting, and what containers add to it."""
# World.counts, by place.
(REQUESTS, FINISHED, COLD, REJECTED, LATE, WAITED_MS, RESPONSE_MS, BUSY_MILLI_MS) = range(8)
(EVICTIONS, EXPIRED, STARTS, PRE_WARMED, PRE_WARMED_USED, PULLED_BYTES, BOOTS) = range(8, 15)
HANDED_OVER, FOLLOWED = 15, 16
(LINK_FREE_MS, FIRST_IN_LINE, LAST_IN_LINE, FLUSHED_MS) = range(17, 21)
COUNT_COLUMNS = 21
COUNTS = (
    *("requests", "finished", "cold", "rejected", "late", "waited_ms", "response_ms", "busy_gpu_milli_ms"),
    *("evictions", "expired", "starts", "pre_warmed", "pre_warmed_used", "pulled_bytes", "boots"),
    *("handed_over", "followed"),
)
"""Names of the first columns of `World.counts`. `handed_over`: requests that waited here and went on to another place
as their user moved; `followed`: answers that went elsewhere than their request came from."""
# World.access
UP_FREE_MS, DOWN_FREE_MS = range(2)
# World.answer
ANSWER_PLACE, ANSWER_START_MS, ANSWER_END_MS, ANSWER_FLAGS = range(4)
ANSWER_COLUMNS = 4
WAS_COLD, WAS_REJECTED, WAS_LATE, WAS_FINISHED, WAS_FOLLOWED = 1, 2, 4, 8, 16
LOG_COLUMNS = 6
RESPONSE_BINS = 128
"""Response times are counted by quarter octaves, from 1 ms on."""

# Order of events at the same ms.
(MOVES, RUN_ENDS, REACHES, NODE_IS_READY, CONTAINER_IS_READY, PROMISE_IS_DUE, SENT) = range(7)
(KEEP_IS_OVER, PRE_WARM_IS_DUE, NODE_SLEEPS) = range(7, 10)
KIND_SHIFT = 48

# What `advance` returns.
UNTIL, IDLE = range(2)


class Problem(NamedTuple):
    """What does not change: F functions, L layers, N nodes, P places, Z origins, I requests, B pieces of the tariff.

    U users make M moves. A key is function * P + place.

    Attributes:
        function: [F, FUNCTION_COLUMNS] int64.
        layer_first: [F + 1] int64, where a function's layers begin in `layer_of`.
        layer_of: int64, numbers of layers.
        layer_bytes: [L] int64.
        node: [N, NODE_COLUMNS] int64, those of a place one after the other.
        place: [P, PLACE_COLUMNS] int64.
        request: [I, REQUEST_COLUMNS] int64, by the time at which they are sent; `ORIGIN` is where from, `DEADLINE_MS`
            how long after that the answer may come, 0: it has no deadline; `UP_MS` and `DOWN_MS` how long it and its
            answer take the link of an origin for themselves.
        first_origin: [U] int64, where each user is before its first move.
        move: [M, MOVE_COLUMNS] int64, by time: a user moves on to another origin.
        hand_over: an index of `HAND_OVERS`.
        latency_ms: [Z, P] int64, from an origin to a place, one way.
        edges_ms: [B] int64, when each piece of the tariff begins; the first before every time.
        usd_per_uj: [B, P] float64, energy and its carbon.
        g_per_uj: [B, P] float64, gCO2e.
        admission: an index of `ADMISSIONS`.
    """

    function: Table
    layer_first: NDArray[np.int64]
    layer_of: NDArray[np.int64]
    layer_bytes: NDArray[np.int64]
    node: Table
    place: Table
    request: Table
    first_origin: NDArray[np.int64]
    move: Table
    hand_over: int
    latency_ms: Table
    edges_ms: NDArray[np.int64]
    usd_per_uj: NDArray[np.float64]
    g_per_uj: NDArray[np.float64]
    admission: int


class World(NamedTuple):
    """What changes; C slots for containers, K keys, A = C + K + N timers.

    Attributes:
        clock: [CLOCK_COLUMNS] int64, time and positions.
        control: [K, CONTROL_COLUMNS] int64, what a policy sets by key.
        route: [Z, F] int64, the place of a request, which a policy may change.
        user_origin: [U] int64, where each user is.
        user_waiting: [U] int64, its requests that wait for a container.
        access: [Z, 2] int64, when the link of an origin is free for requests and for answers.
        key: [K, KEY_COLUMNS] int64.
        history: [K, LEVELS, BINS] int32, idle gaps counted, see `envs.containers.history`; without rows where none are.
        container: [C, CONTAINER_COLUMNS] int64.
        node: [N, NODE_STATE_COLUMNS] int64.
        layer: [N, L, LAYER_COLUMNS] int64, what each node has cached.
        run: [R, 3] int64, heap of (ms, kind and request, container) of requests that run or are on their way.
        timer: [A, 3] int64, heap of (ms, kind and number, timer); timers are of containers, keys, nodes, in this order.
        timer_at: [A] int64, 1 + position of a timer in the heap; 0: it is not set.
        next_request: [I] int64, the request behind one in its queue, and once it is on its way its place.
        reached_ms: [I] int64, when a request reached its place.
        rate: [P, AMOUNTS] int64, what is added to `amount` each ms.
        amount: [P, AMOUNTS] int64, integrals up to `FLUSHED_MS`.
        booked: [P, ENERGIES] int64, `amount` at the beginning of the piece of the tariff that is in force.
        spent: [P, 3] float64, USD and gCO2e of energy, and the USD of what busy containers add, up to the last `book`.
        counts: [P, COUNT_COLUMNS] int64.
        response: [P, RESPONSE_BINS] int64, histogram of response times.
        answer: [I, ANSWER_COLUMNS] int64, what became of each request; without rows where nobody asks.
        log: [rows, LOG_COLUMNS] int64, see `envs.containers.log`; without rows where nothing is logged.
    """

    clock: NDArray[np.int64]
    control: Table
    route: Table
    user_origin: NDArray[np.int64]
    user_waiting: NDArray[np.int64]
    access: Table
    key: Table
    history: NDArray[np.int32]
    container: Table
    node: Table
    layer: NDArray[np.int64]
    run: Table
    timer: Table
    timer_at: NDArray[np.int64]
    next_request: NDArray[np.int64]
    reached_ms: NDArray[np.int64]
    rate: Table
    amount: Table
    booked: Table
    spent: NDArray[np.float64]
    counts: Table
    response: Table
    answer: Table
    log: Table


class Capacity(NamedTuple):
    """Sizes of the memory of a batch; `answers` and `log_rows` of 0 leave these out, `keeps_history` the histograms."""

    worlds: int
    containers: int
    runs: int
    keys: int
    functions: int
    nodes: int
    layers: int
    places: int
    origins: int
    users: int
    requests: int
    keeps_history: bool
    answers: int
    log_rows: int


def allocate(size: Capacity) -> World:
    """Zeroed memory of a batch, each field with a leading dimension."""
    timers = size.containers + size.keys + size.nodes
    shapes: dict[str, tuple[int, ...]] = {
        "clock": (CLOCK_COLUMNS,),
        "control": (size.keys, CONTROL_COLUMNS),
        "route": (size.origins, size.functions),
        "user_origin": (size.users,),
        "user_waiting": (size.users,),
        "access": (size.origins, 2),
        "key": (size.keys, KEY_COLUMNS),
        "history": (size.keys if size.keeps_history else 0, LEVELS, BINS),
        "container": (size.containers, CONTAINER_COLUMNS),
        "node": (size.nodes, NODE_STATE_COLUMNS),
        "layer": (size.nodes, size.layers, LAYER_COLUMNS),
        "run": (size.runs, 3),
        "timer": (timers, 3),
        "timer_at": (timers,),
        "next_request": (size.requests,),
        "reached_ms": (size.requests,),
        "rate": (size.places, AMOUNTS),
        "amount": (size.places, AMOUNTS),
        "booked": (size.places, ENERGIES),
        "spent": (size.places, 3),
        "counts": (size.places, COUNT_COLUMNS),
        "response": (size.places, RESPONSE_BINS),
        "answer": (size.answers, ANSWER_COLUMNS),
        "log": (size.log_rows, LOG_COLUMNS),
    }
    kinds = {"history": np.int32, "spent": np.float64}
    memory = {name: np.zeros((size.worlds, *shape), kinds.get(name, np.int64)) for name, shape in shapes.items()}
    return World(**memory)
