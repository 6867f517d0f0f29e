"""Run times predicted from jobs that have ended: the same code in traces, and on a live cluster.

A predictor is told of each job that ends, and asked when one is submitted. So it knows nothing that its cluster does
not know at that time. Jobs are alike where they share the most of user, workload, group and GPUs; the first kind of
likeness with enough ended jobs counts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Final, NamedTuple

LEAST_RUNS: Final = 3
"""Jobs of one kind that must have ended before they say anything."""


class JobTraits(NamedTuple):
    """What is known of a job when it is submitted; "" where it is not.

    Attributes:
        user: who submitted it.
        group: team or virtual cluster.
        workload: class or name of the job.
        gpu_milli: GPUs requested by the whole job, thousandths.
    """

    user: str
    group: str
    workload: str
    gpu_milli: int


def likenesses(job: JobTraits) -> Iterator[Hashable]:
    """Keys of the kinds of jobs that a job belongs to, the narrowest first."""
    if job.user and job.workload:
        yield "user, workload, GPUs", job.user, job.workload, job.gpu_milli
    if job.user:
        yield "user, GPUs", job.user, job.gpu_milli
        yield "user", job.user
    if job.workload:
        yield "workload, GPUs", job.workload, job.gpu_milli
    if job.group:
        yield "group, GPUs", job.group, job.gpu_milli
    yield "GPUs", job.gpu_milli
    yield "all"


class RunTimePredictor(ABC):
    """Predicts how long jobs will run on the GPUs that they request."""

    @abstractmethod
    def observe(self, job: JobTraits, run_seconds: float) -> None:
        """A job has ended after so many seconds of run time, > 0."""
        ...

    @abstractmethod
    def predict(self, job: JobTraits) -> float:
        """The run time of a job that is submitted now, seconds; 0.0: too few jobs have ended."""
        ...


class HistoryQuantile(RunTimePredictor):
    """A quantile of the last run times of the jobs that are most alike.

    Args:
        quantile: in (0, 1); 0.5 is the median.
        remembered: run times that are kept of each kind of jobs.

    Source: Tsafrir, Etsion and Feitelson, "Backfilling Using System-Generated Predictions Rather than User Runtime
        Estimates" (TPDS 2007) predict from the last jobs of the same user; quantiles of longer histories are ours.
    """

    def __init__(self, quantile: float = 0.5, remembered: int = 32) -> None:
        self._quantile, self._remembered = quantile, remembered
        self._last: dict[Hashable, deque[float]] = {}
        self._sorted: dict[Hashable, list[float]] = {}

    def observe(self, job: JobTraits, run_seconds: float) -> None:
        """See `RunTimePredictor`."""
        for key in likenesses(job):
            last, in_order = self._last.setdefault(key, deque()), self._sorted.setdefault(key, [])
            if len(last) == self._remembered:
                del in_order[bisect_left(in_order, last.popleft())]
            last.append(run_seconds)
            insort(in_order, run_seconds)

    def predict(self, job: JobTraits) -> float:
        """See `RunTimePredictor`."""
        for key in likenesses(job):
            found = self._sorted.get(key, [])
            if len(found) >= LEAST_RUNS:
                return found[math.ceil(self._quantile * len(found)) - 1]
        return 0.0


class RollingMean(RunTimePredictor):
    """An exponentially weighted geometric mean of the run times of the jobs that are most alike.

    Args:
        weight: of the newest run time, in (0, 1].

    Source: Hu et al., "Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters"
        (Helios, SC 2021): their QSSF service weighs the last jobs of the same user in this way. Their second estimate,
        boosted trees over job names, needs names that most traces lack.
    """

    def __init__(self, weight: float = 0.3) -> None:
        self._weight = weight
        self._means: dict[Hashable, tuple[int, float]] = {}

    def observe(self, job: JobTraits, run_seconds: float) -> None:
        """See `RunTimePredictor`."""
        value = math.log(run_seconds)
        for key in likenesses(job):
            runs, mean = self._means.get(key, (0, value))
            # A plain mean until there are as many runs as the weights reach back.
            weight = max(self._weight, 1.0 / (runs + 1))
            self._means[key] = runs + 1, mean + weight * (value - mean)

    def predict(self, job: JobTraits) -> float:
        """See `RunTimePredictor`."""
        for key in likenesses(job):
            runs, mean = self._means.get(key, (0, 0.0))
            if runs >= LEAST_RUNS:
                return math.exp(mean)
        return 0.0


PREDICTORS: Final[Mapping[str, Callable[[], RunTimePredictor]]] = {
    "history": HistoryQuantile,
    "rolling": RollingMean,
}
"""Name -> a predictor that has seen nothing yet."""
