"""The event log: what happened to requests, containers and nodes, row by row. Compiled, except for the table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.containers import state as st
from envs.containers.state import World

KINDS = (
    *("request", "rejected", "run_start", "run_end"),
    *("container_start", "container_ready", "container_idle", "container_expired", "container_evicted"),
    *("node_boot", "node_ready", "node_sleep"),
    "handed_over",
)
"""What happens, by number."""
(REQUEST, REJECT, RUN_START, RUN_END, START, READY, GO_IDLE, EXPIRE, EVICT, BOOT, NODE_READY, NODE_SLEEP) = range(12)
HAND_OVER = 12


@helper
def record(world: World, kind: int, key: int, container: int, node: int, value: int) -> None:
    """Add a row; where the log is full, only count it.

    Args:
        world: whose log it is.
        kind: what happened, an index of `KINDS`.
        key: of the function and the place, or -1.
        container: its serial number, or -1.
        node: its number, or -1.
        value: the number of the request; of a start the ms until it is ready; of one that goes idle its keep-alive.
    """
    if world.log.shape[0] == 0:
        return
    at = world.clock[st.LOGGED]
    world.clock[st.LOGGED] = at + 1
    if at < world.log.shape[0]:
        row = world.log[at]
        row[0], row[1], row[2], row[3], row[4], row[5] = world.clock[st.NOW], kind, key, container, node, value


def to_table(rows: NDArray[np.int64], num_places: int) -> pa.Table:
    """The rows of a log as a table: time_ms, event, function, place, container, node, value; null where none is meant.

    Args:
        rows: [rows, LOG_COLUMNS] int64, as `record` writes them.
        num_places: places of the problem.
    """
    time_ms, kind, key, container, node, value = rows.T
    return pa.table(
        {
            "time_ms": time_ms.copy(),
            "event": pa.DictionaryArray.from_arrays(pa.array(kind.astype(np.int8)), pa.array(KINDS)),
            "function": pa.array(key // num_places, mask=key < 0),
            "place": pa.array(key % num_places, mask=key < 0),
            "container": pa.array(container.copy(), mask=container < 0),
            "node": pa.array(node.copy(), mask=node < 0),
            "value": value.copy(),
        }
    )
