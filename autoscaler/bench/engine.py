"""What runs tasks: here, in processes, or on Ray. Each engine gives the same rows; a killed worker costs its tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from autoscaler.bench.errors import BenchError
from autoscaler.bench.tasks import Row, Task

TRIES = 3
"""A task whose worker is killed so often is given up: it is likely what kills it, by its memory for example."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended.

    Attributes:
        task: which.
        rows: one for each window; empty where it failed.
        error: why it failed, in one line.
    """

    task: Task
    rows: list[Row] = field(default_factory=list)
    error: str | None = None


class Engine(Protocol):
    """Runs tasks."""

    def run(self, tasks: Sequence[Task], folder: str, note: Callable[[str], None]) -> Iterator[Outcome]:
        """The outcome of each task, as they end.

        Args:
            tasks: in the order in which they should begin.
            folder: where trainings are kept.
            note: told of workers that were killed.
        """
        ...


def given_up(task: Task) -> Outcome:
    """The outcome of a task whose worker was killed `TRIES` times."""
    reason = f"its worker was killed {TRIES} times; it may need more memory than there is, so try fewer --workers"
    return Outcome(task, error=f"{task.describe()}: {reason}")


def make_engine(name: str, workers: int, address: str | None) -> Engine:
    """The engine that a user names.

    Args:
        name: local or ray.
        workers: tasks at once; 1 with `local`: in this process.
        address: of a Ray cluster; None: one is started here.

    Raises:
        BenchError: an address without Ray, or Ray cannot be reached.
    """
    if name == "ray":
        from autoscaler.bench.ray_engine import RayEngine

        return RayEngine(workers, address)
    if address is not None:
        raise BenchError(f"--address {address} is of a Ray cluster; add --engine ray")
    from autoscaler.bench.local import HereEngine, ProcessEngine

    return HereEngine() if workers == 1 else ProcessEngine(workers)
