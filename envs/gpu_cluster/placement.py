"""How the price of a place in a pool changes with the state, where the default placement compares pools."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from configs.checks import check_number
from envs.errors import ClusterError
from envs.gpu_cluster.codec import SLOPES

MOST_SLOPE = 1e6


@dataclass(frozen=True, slots=True)
class PriceSlopes:
    """USD per node-hour by which the price of a place rises from where a quantity is 0 to where it is 1; no cost.

    A job takes a place that a later one may need more. How likely that is hangs on how full the pool is and on what was
    submitted lately. See `envs.gpu_cluster.codec.write_price`.

    Attributes:
        busy: share of the pool's nodes that run a job.
        idle: share that is ready and runs none.
        booting: share that is on its way.
        queue_gpus: GPUs that waiting jobs request, as `queue_gpus` in the observation.
        submitted_gpus_600s: GPUs submitted in the last 10 minutes, as in the observation.
        submitted_gpus_3600s: in the last hour, likewise.
    """

    busy: float = 0.0
    idle: float = 0.0
    booting: float = 0.0
    queue_gpus: float = 0.0
    submitted_gpus_600s: float = 0.0
    submitted_gpus_3600s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            ClusterError: a slope is not finite or out of range.
        """
        for name, value in zip(SLOPES, astuple(self), strict=True):
            check_number(f"placement_slopes.{name}", value, ClusterError, low=-MOST_SLOPE, high=MOST_SLOPE)

    @property
    def row(self) -> NDArray[np.float64]:
        """[len(SLOPES)] float64, the slopes in order; empty where all are 0, for the price is a constant then."""
        values = np.array(astuple(self), np.float64)
        return values if values.any() else values[:0]
