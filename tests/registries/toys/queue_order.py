"""A queue order: the jobs that request the most GPUs first."""

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.simulator import JobFacts, QueueOrder


def widest(facts: JobFacts) -> NDArray[np.int64]:
    """Rank jobs by the GPUs that they request, the most first."""
    return -facts.gpu_milli


ORDER = QueueOrder(widest)
