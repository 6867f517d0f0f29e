"""What the memory of submissions says now. Compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.kernels.compiled_codec import codec
from envs.gpu_cluster.simulator.state import Cluster

write_arrivals = codec["write_arrivals"]


@helper
def fill_arrivals(cluster: Cluster, memories: NDArray[np.float64], signals: NDArray[np.float64]) -> None:
    """Write what the memory of submissions says now, where the layout shows it."""
    if memories.shape[0] > 0:
        write_arrivals(memories[cluster.clock[st.NEXT_JOB]], cluster.clock[st.NOW] * 1.0, signals)
