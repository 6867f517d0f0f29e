"""Queue orders, one file each: whose turn is first among the jobs that wait.

An order is a function from what is known of the jobs to one number each, the lowest first. Both simulators sort by it,
so an order is plain numpy and nothing is compiled anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.errors import EnvironmentConfigError


class JobFacts(NamedTuple):
    """What is known of J jobs when they are submitted, each [J] int64.

    Attributes:
        submit_ms: when.
        gpu_milli: thousandths of a GPU requested.
        predicted_ms: the run time that is expected, `state.NEVER` where nothing is known.
        deadline_ms: by when it should have ended, `traces.trace.NO_DEADLINE` where there is none.
    """

    submit_ms: NDArray[np.int64]
    gpu_milli: NDArray[np.int64]
    predicted_ms: NDArray[np.int64]
    deadline_ms: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class QueueOrder:
    """An order of the queue.

    Attributes:
        rank: from facts to [J] int64; the job with the lowest number has its turn first, of equals the one that was
            submitted first. None: by submission alone.
        by_usage: whether before that the jobs come first whose user or group has used the least GPU time so far.
    """

    rank: Callable[[JobFacts], NDArray[np.int64]] | None = None
    by_usage: bool = False


def check_order(name: str, order: Any) -> None:
    """Refuse what cannot be a queue order.

    Raises:
        EnvironmentConfigError: it is none, or its rank is no function.
    """
    if not isinstance(order, QueueOrder):
        raise EnvironmentConfigError(f"queue order {name!r} is a {type(order).__name__}; write QueueOrder(rank)")
    if order.rank is not None and not callable(order.rank):
        raise EnvironmentConfigError(
            f"queue order {name!r}: rank is {order.rank!r}; it must be a function of the facts of jobs"
        )
