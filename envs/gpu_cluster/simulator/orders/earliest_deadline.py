"""The earliest deadline first; jobs without one come last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.simulator.orders import JobFacts, QueueOrder


def by_deadline(facts: JobFacts) -> NDArray[np.int64]:
    """Rank jobs by their deadline."""
    return facts.deadline_ms


ORDER = QueueOrder(by_deadline)
