"""Engines of one machine: this process, or several."""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from autoscaler.bench.engine import TRIES, Outcome, given_up
from autoscaler.bench.tasks import Row, Task, run_task
from configs.errors import UserError


class HereEngine:
    """Runs one task after the other in this process."""

    def run(self, tasks: Sequence[Task], folder: str, note: Callable[[str], None]) -> Iterator[Outcome]:
        """See `Engine.run`."""
        for task in tasks:
            yield outcome_of(task, folder)


class ProcessEngine:
    """Runs tasks in processes, which are started anew where one is killed.

    Args:
        workers: processes.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, tasks: Sequence[Task], folder: str, note: Callable[[str], None]) -> Iterator[Outcome]:
        """See `Engine.run`."""
        waiting, suspects, tries = deque(tasks), deque[Task](), Counter[str]()
        while waiting or suspects:
            # A pool does not say whose process was killed: all tasks that ran are tried again, one at a time.
            queue, workers = (suspects, 1) if suspects else (waiting, self._workers)
            running: dict[Future[Outcome], Task] = {}
            # Spawned, not forked: threads of torch and numba do not survive a fork.
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(min(workers, len(queue)), context, initializer=_leave_interrupts)
            try:
                yield from _until_broken(pool, queue, running, folder, workers)
            except BrokenProcessPool:
                lost = list(running.values())
                note(f"a worker was killed; its tasks run again: {', '.join(task.describe() for task in lost)}")
                tries.update(task.key for task in lost if len(lost) == 1)
                yield from (given_up(task) for task in lost if tries[task.key] >= TRIES)
                suspects.extend(task for task in lost if tries[task.key] < TRIES)
            finally:
                _stop(pool)


def _until_broken(
    pool: ProcessPoolExecutor, queue: deque[Task], running: dict[Future[Outcome], Task], folder: str, workers: int
) -> Iterator[Outcome]:
    """No more tasks are handed out than there are workers, so that a kill costs as few."""
    while queue or running:
        while queue and len(running) < workers:
            running[pool.submit(outcome_of, queue[0], folder)] = queue[0]
            queue.popleft()
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            outcome = future.result()
            del running[future]
            yield outcome


def _leave_interrupts() -> None:
    """Ctrl-C reaches the whole group of processes; the one that handed out the tasks ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def outcome_of(task: Task, folder: str) -> Outcome:
    """Run a task; what a user can fix becomes a part of the outcome, anything else is raised."""
    try:
        rows: list[Row] = run_task(task, folder)
    except UserError as error:
        return Outcome(task, error=f"{task.describe()}: {' '.join(str(error).split())}")
    return Outcome(task, rows)


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers now, also those in the middle of a task that nobody waits for any more."""
    for process in list((pool._processes or {}).values()):  # noqa: SLF001 (terminate_workers is new in Python 3.14)
        with suppress(OSError):
            process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)
