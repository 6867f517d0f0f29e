"""Threads that share the clusters of a batch: kernels hold no lock of Python, and clusters share no memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

import numba

CLUSTERS_PER_THREAD = 128
"""Fewer are not worth a thread: waking one takes some tens of microseconds, a step of a cluster one or two."""

Task = Callable[[int, int], Any]
"""Does something for the clusters from the first number up to, and without, the second."""


def default_threads(num_clusters: int, clusters_per_thread: int = CLUSTERS_PER_THREAD) -> int:
    """All threads that numba may use (`NUMBA_NUM_THREADS`, else the cores), while each has clusters enough."""
    return max(1, min(int(numba.get_num_threads()), num_clusters // clusters_per_thread))


class _Worker:
    """One daemon thread that runs what it is given, one thing at a time."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        threading.Thread(target=self._run, name="autoscaler-simulator", daemon=True).start()

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                self._results.put((task(), None))
            except BaseException as error:
                self._results.put((None, error))

    def begin(self, task: Callable[[], Any]) -> None:
        self._tasks.put(task)

    def end(self) -> tuple[Any, BaseException | None]:
        """What the task returned, or the error that it raised; waits for it."""
        return self._results.get()


_workers: list[_Worker] = []
_lock = threading.Lock()


def _forget() -> None:
    """Threads do not survive a fork."""
    global _lock  # noqa: PLW0603 (a child of fork needs a lock that nobody holds)
    _workers.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_forget)


def share(task: Task, num_clusters: int, threads: int) -> list[Any]:
    """Run a task for all clusters, in equal parts on so many threads; on one where another simulator uses them now.

    A pool of `concurrent.futures` takes 50 microseconds longer to wake, a third of a step of 64 clusters.

    Returns:
        What the task returned for each part.
    """
    if threads <= 1:
        return [task(0, num_clusters)]
    lock = _lock
    if not lock.acquire(blocking=False):
        return [task(0, num_clusters)]
    try:
        while len(_workers) < threads - 1:
            _workers.append(_Worker())
        edges = [num_clusters * part // threads for part in range(threads + 1)]
        busy = _workers[: threads - 1]
        for worker, first, end in zip(busy, edges[1:-1], edges[2:], strict=True):
            worker.begin(partial(task, first, end))
        try:
            results = [task(edges[0], edges[1])]
        finally:  # all are waited for, so that none goes on, or leaves its result to the next task
            others = [worker.end() for worker in busy]
        for error in (error for _, error in others if error is not None):
            raise error
        return results + [result for result, _ in others]
    finally:
        lock.release()
