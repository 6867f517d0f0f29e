"""The event log: what happened in a cluster and when, row by row. Compiled, except for the table at the end.

It is off where `Cluster.log` has no rows. Python drains it between two calls of a
kernel, see `envs.gpu_cluster.simulator.simulator.Simulator.replay`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from configs.files import atomic_path
from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.state import Cluster, Table

KINDS = (
    *("job_start", "job_end", "job_move", "job_preempt", "job_resize"),
    *("node_order", "node_ready", "node_off", "decision"),
    *("node_boot_fail", "node_fail", "node_reclaim", "node_gone", "node_return"),
    *("job_suspend", "job_resume"),
)
"""What happens, by number."""

JOB_START, JOB_END, JOB_MOVE, JOB_PREEMPT, JOB_RESIZE, NODE_ORDER, NODE_READY, NODE_OFF, DECISION = range(9)
NODE_BOOT_FAIL, NODE_FAIL, NODE_RECLAIM, NODE_GONE, NODE_RETURN, JOB_SUSPEND, JOB_RESUME = range(9, len(KINDS))


@helper
def record(cluster: Cluster, kind: int, pool: int, job: int, node: int, value: int) -> None:
    """Add a row; where the log is full, only count it."""
    if cluster.log.shape[0] == 0:
        return
    at = cluster.clock[st.LOGGED]
    cluster.clock[st.LOGGED] += 1
    if at < cluster.log.shape[0]:
        row = cluster.log[at]
        row[0], row[1], row[2] = cluster.clock[st.NOW], (node + 1) << 24 | pool << 8 | kind, (job + 1) << 32 | value


@helper
def record_parts(cluster: Cluster, jobs: Table, pools: Table, kind: int, slot: int) -> None:
    """Add a row for each node that a running job has GPUs of, with their number in thousandths."""
    if cluster.log.shape[0] == 0:
        return
    run = cluster.run[slot]
    job, pool, gpus = run[st.RUN_JOB], run[st.RUN_POOL], pools[run[st.RUN_POOL], st.GPUS]
    node = run[st.RUN_CHAIN]
    while node >= 0:
        record(cluster, kind, pool, job, node, gpus * 1000)
        node = cluster.node[node, st.NEXT_NODE]
    if run[st.RUN_SHARE] >= 0:
        record(cluster, kind, pool, job, cluster.share[run[st.RUN_SHARE], st.SHARE_NODE], jobs[job, st.MILLI])
    elif run[st.RUN_GPUS] > 0:
        record(cluster, kind, pool, job, run[st.RUN_NODE], run[st.RUN_GPUS] * 1000)


@helper
def is_log_filling(cluster: Cluster) -> bool:
    """Whether the log should be drained before the next decision."""
    return 2 * cluster.clock[st.LOGGED] > cluster.log.shape[0] > 0


class LogRows:
    """The drained rows of a log, in memory that grows and is used again: new memory costs more than writing to it."""

    def __init__(self) -> None:
        self._memory = np.empty((0, st.LOG_COLUMNS), np.int64)
        self._count = 0

    @property
    def rows(self) -> NDArray[np.int64]:
        """[L, LOG_COLUMNS] int64, until more are added."""
        return self._memory[: self._count]

    def add(self, rows: NDArray[np.int64]) -> None:
        """Add rows behind those that are there."""
        end = self._count + len(rows)
        if end > len(self._memory):
            memory = np.empty((max(end, 2 * len(self._memory)), st.LOG_COLUMNS), np.int64)
            memory[: self._count] = self.rows
            self._memory = memory
        self._memory[self._count : end] = rows
        self._count = end

    def clear(self) -> None:
        """Forget all rows."""
        self._count = 0


SCHEMA = pa.schema(
    [
        pa.field("time_ms", pa.int64(), nullable=False),
        pa.field("event", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("pool", pa.int32(), nullable=False),
        pa.field("job", pa.int64()),
        pa.field("node", pa.int64()),
        pa.field("value", pa.int64(), nullable=False),
    ]
)
"""The log as a table.

==============  =========================================================================================
event           rows, and the meaning of `value`
==============  =========================================================================================
job_start       one for each node that the job got: thousandths of its GPUs
job_end         one for each node that it had: likewise
job_preempt     likewise: it was stopped and waits again
job_suspend     likewise: it is suspended
job_resume      one: it waits to go on; `value` 0
job_move        one for each part that moved: `node` is the new one, `value` thousandths of its GPUs
job_resize      one: `node` is the node where the width changed, `value` the thousandths that it has there now
node_order      one: ordered, not ready yet; `value` 0
node_ready      one: ready and idle; `value` 0
node_off        one: switched off; `value` 0
node_boot_fail  one: its boot failed, it is off; `value` 0
node_fail       one: it failed, and is in repair; `value` 0
node_reclaim    one: its owner said when it must go, it drains; `value` 0
node_gone       one: its owner took it; `value` 0
node_return     one: repaired or given back, it is off; `value` 0
decision        one for each pool: `value` is the target number of nodes
==============  =========================================================================================

`job` is the row of the job in the trace, `node` a number that is unique in the cluster; null where none is meant.
"""


def to_table(rows: NDArray[np.int64]) -> pa.Table:
    """The rows of a log as a table of `SCHEMA`.

    Args:
        rows: [L, state.LOG_COLUMNS] int64, as `record` packs them.
    """
    time_ms, place, what = rows[:, 0], rows[:, 1], rows[:, 2]
    job, node = (what >> 32) - 1, (place >> 24) - 1
    columns = [
        pa.array(time_ms.copy()),
        pa.DictionaryArray.from_arrays(pa.array((place & 0xFF).astype(np.int8)), pa.array(KINDS)),
        pa.array((place >> 8 & 0xFFFF).astype(np.int32)),
        pa.array(job, mask=job < 0),
        pa.array(node, mask=node < 0),
        pa.array(what & 0xFFFFFFFF),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def write_log(table: pa.Table, path: str | Path, facts: Mapping[str, str] | None = None) -> None:
    """Write a log as Parquet; the file appears whole or not at all.

    Args:
        table: of `SCHEMA`.
        path: the file.
        facts: what else a reader should know, kept as the metadata of the file's schema.

    Raises:
        OutputFileError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(dict(facts or {})), temporary, compression="zstd")
