"""The engine for many machines: tasks on a Ray cluster, or on a Ray of this machine."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray

from autoscaler.bench.engine import TRIES, Outcome, given_up
from autoscaler.bench.errors import BenchError
from autoscaler.bench.local import outcome_of
from autoscaler.bench.tasks import Task

SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # tasks use no accelerator; without it each start warns about a default
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
}


class RayEngine:
    """Runs each task on one core of a Ray cluster.

    Args:
        workers: cores of a Ray that is started here.
        address: of a cluster, such as `auto` or `ray://head:10001`; None: one is started here.
    """

    def __init__(self, workers: int, address: str | None) -> None:
        self._workers, self._address = workers, address

    def run(self, tasks: Sequence[Task], folder: str, note: Callable[[str], None]) -> Iterator[Outcome]:
        """See `Engine.run`."""
        self._start()
        try:
            yield from _run(tasks, folder, note)
        finally:
            ray.shutdown()

    def _start(self) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            if self._address is not None:
                ray.init(address=self._address, **quiet)
            else:
                ray.init(address="local", num_cpus=self._workers, include_dashboard=False, **quiet)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            where = "here" if self._address is None else f"at {self._address}"
            reason = " ".join(str(error).split())
            raise BenchError(f"Ray cannot be reached {where} ({reason}); check --address, or leave it out") from error


def _run(tasks: Sequence[Task], folder: str, note: Callable[[str], None]) -> Iterator[Outcome]:
    # Ray's own retries would not say so, and begin before others had their turn.
    remote: Any = ray.remote(num_cpus=1, max_retries=0)(outcome_of)
    running = {remote.remote(task, folder): task for task in tasks}
    tries = Counter[str]()
    while running:
        ready, _ = ray.wait(list(running), num_returns=1)
        task = running.pop(ready[0])
        try:
            yield ray.get(ready[0])
        except ray.exceptions.RayTaskError:
            raise  # what the task itself raised: a fault of ours
        except ray.exceptions.RayError:  # its worker, or its whole node, is gone
            tries[task.key] += 1
            if tries[task.key] >= TRIES:
                yield given_up(task)
                continue
            note(f"a worker was killed; its task runs again: {task.describe()}")
            running[remote.remote(task, folder)] = task
