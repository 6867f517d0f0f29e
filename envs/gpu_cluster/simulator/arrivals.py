"""The memory of submissions of a trace, which is the same whatever a policy does, so that it is made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import compiled_copy, kernel
from envs.gpu_cluster.codec import Signal, arrivals, empty_habits
from envs.gpu_cluster.codec.arrivals import MEMORY_COLUMNS
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.state import Table
from traces.trace import Trace

if TYPE_CHECKING:
    from envs.gpu_cluster.simulator.problem import Problem

_compiled: dict[str, Any] = {}
for _name in ("faded", "habit", "note_user", "fade", "note_submission", "write_arrivals"):
    _compiled[_name] = compiled_copy(getattr(arrivals, _name), dict(_compiled))
note_submission, write_arrivals = _compiled["note_submission"], _compiled["write_arrivals"]


@kernel
def remember_jobs(
    jobs: Table, users: NDArray[np.int64], habits: NDArray[np.float64], memories: NDArray[np.float64]
) -> None:
    """Write the memory after each job.

    Args:
        jobs: [J + 1, columns] int64, the trace; its last row is no job.
        users: [J] int64, whose job each is.
        habits: [users, HABIT_COLUMNS] float64, zeros; changed.
        memories: [J + 1, MEMORY_COLUMNS] float64, row j is that of the first j jobs; row 0 is zeros, the rest written.
    """
    for job in range(users.shape[0]):
        for column in range(memories.shape[1]):
            memories[job + 1, column] = memories[job, column]
        gpus = jobs[job, st.MILLI] / 1000.0
        note_submission(memories[job + 1], habits[users[job]], jobs[job, st.SUBMIT_MS] * 1.0, gpus)


@kernel
def recall(
    memories: NDArray[np.float64], rows: NDArray[np.int64], moments_ms: NDArray[np.int64], signals: NDArray[np.float64]
) -> None:
    """Write what the memory says at each moment.

    Args:
        memories: of `remember_jobs`.
        rows: [M] int64, jobs that were submitted by each moment.
        moments_ms: [M] int64.
        signals: [M, len(Signal)] float64, written where the memory has something to say.
    """
    for index in range(rows.shape[0]):
        write_arrivals(memories[rows[index]], moments_ms[index] * 1.0, signals[index])


def users_of(trace: Trace) -> NDArray[np.int64]:
    """[J] int64, whose job each is: the user, else the group; all jobs of which neither is known are one user's."""
    names: dict[str, int] = {}
    columns = (trace.table.column(name).to_pylist() for name in ("user", "group"))
    found = [names.setdefault(user or group or "", len(names)) for user, group in zip(*columns, strict=True)]
    return np.array(found, np.int64)


def memories_of(jobs: Table, users: NDArray[np.int64]) -> NDArray[np.float64]:
    """[J + 1, MEMORY_COLUMNS] float64: row j is the memory of the first j jobs.

    Args:
        jobs: of `Problem.jobs`.
        users: [J] int64, of `users_of`.
    """
    memories = np.zeros((len(jobs), MEMORY_COLUMNS))
    remember_jobs(jobs, users, empty_habits(int(users.max(initial=-1)) + 1), memories)
    return memories


def signals_at(problem: Problem, moments_ms: NDArray[np.int64]) -> NDArray[np.float64]:
    """[M, len(Signal)] float64: what the memory of submissions says at moments; other signals are zero.

    Args:
        problem: with the layout's `arrival_features`.
        moments_ms: [M] int64.
    """
    signals = np.zeros((len(moments_ms), len(Signal)))
    recall(problem.memories, np.searchsorted(problem.submit_ms, moments_ms, side="right"), moments_ms, signals)
    return signals
