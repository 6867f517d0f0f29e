"""Settings of the prediction of run times on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PredictionSettings:
    """How run times are predicted where no annotation says them; the group of a job is its namespace.

    Attributes:
        method: `none`; `history`: the median of the last 32 run times of the jobs that are most alike; `rolling`: their
            exponentially weighted geometric mean.
        user_label: label of pods that says whose job it is; empty: nothing does.
        workload_label: label of pods that says what kind of job it is; empty: nothing does.
    """

    method: Literal["none", "history", "rolling"] = "none"
    user_label: str = ""
    workload_label: str = ""
