"""The shortest expected run time first; jobs of which nothing is known come last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.simulator.orders import JobFacts, QueueOrder


def by_expected_run_time(facts: JobFacts) -> NDArray[np.int64]:
    """Rank jobs by their expected run time."""
    return facts.predicted_ms


ORDER = QueueOrder(by_expected_run_time)
