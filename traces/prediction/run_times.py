"""Predicted run times of the jobs of a trace, and the option of a URI that fills them in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from traces.arrow import nullable
from traces.prediction.predictors import PREDICTORS, JobTraits, RunTimePredictor
from traces.schema import SCHEMA
from traces.trace import Trace


@dataclass(frozen=True, slots=True)
class Predicting:
    """The option of a URI that predicts run times: `itp:x.csv?predict=history`.

    Attributes:
        predict: which of `PREDICTORS` fills `predicted_duration_seconds` where the data do not say it.
    """

    predict: Literal["none", "history", "rolling"] = field(
        default="none", metadata={"help": "predict run times from jobs that ended before: median or rolling mean"}
    )


def traits_of(trace: Trace) -> list[JobTraits]:
    """What was known of each job of a trace when it was submitted."""
    texts = (trace.table.column(name).to_pylist() for name in ("user", "group", "workload"))
    rows = zip(*texts, trace.gpu_milli.tolist(), strict=True)
    return [JobTraits(user or "", group or "", workload or "", gpus) for user, group, workload, gpus in rows]


def predict_run_times(trace: Trace, predictor: RunTimePredictor) -> NDArray[np.float64]:
    """What a predictor says of each job of a trace at its submission, [jobs] float64, seconds; 0.0: nothing.

    Jobs are taken to start at once, as a trace does not say how long they wait in the cluster that it is replayed on. A
    job that ends in the very moment of a submission is known.

    Args:
        trace: jobs in the order of their submission.
        predictor: one that has seen none of them.
    """
    jobs, run_seconds = traits_of(trace), trace.duration_seconds.tolist()
    ends = trace.submit_time_seconds + trace.duration_seconds
    by_end = np.argsort(ends, kind="stable").tolist()
    end_seconds = ends.tolist()
    predicted, ended = np.zeros(trace.num_jobs), 0
    for index, submitted in enumerate(trace.submit_time_seconds.tolist()):
        while ended < len(by_end) and end_seconds[by_end[ended]] <= submitted:
            old = by_end[ended]
            predictor.observe(jobs[old], run_seconds[old])
            ended += 1
        predicted[index] = predictor.predict(jobs[index])
    return predicted


def with_predictions(trace: Trace, options: Predicting) -> Trace:
    """The trace with predicted run times where it says none; the column is named in `metadata.synthetic_columns`."""
    column = trace.table.column("predicted_duration_seconds")
    if options.predict == "none" or (trace.num_jobs and not column.null_count):
        return trace
    predicted = predict_run_times(trace, PREDICTORS[options.predict]())
    columns = {name: trace.table.column(name) for name in SCHEMA.names}
    columns["predicted_duration_seconds"] = pc.coalesce(column, nullable(predicted, predicted > 0.0))
    known = {*trace.metadata.synthetic_columns, "predicted_duration_seconds"}
    synthetic = tuple(name for name in SCHEMA.names if name in known)
    return Trace.from_columns(columns, uri=trace.uri, metadata=replace(trace.metadata, synthetic_columns=synthetic))
