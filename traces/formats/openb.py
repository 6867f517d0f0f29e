"""Alibaba's GPU cluster of 2023 ("openb"): Kubernetes pods that share GPUs."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traces.arrow import from_numpy, is_null, nullable, strings, to_numpy
from traces.format import Format, has_columns
from traces.rows import read_rows
from traces.tables import TextOptions
from traces.trace import Trace, TraceMetadata

LICENCE = "research and study use (Alibaba clusterdata)"
CITATION = "Weng et al., Beware of Fragmentation, ATC 2023"

_COLUMNS = {
    "name": pa.string(),
    "cpu_milli": pa.int64(),
    "memory_mib": pa.int64(),
    "num_gpu": pa.int64(),
    "gpu_milli": pa.int64(),
    "gpu_spec": pa.string(),
    "qos": pa.string(),
    "pod_phase": pa.string(),
    "creation_time": pa.float64(),
    "deletion_time": pa.float64(),
    "scheduled_time": pa.float64(),
}
_NAMES = {
    "job_id": "name",
    "submit_time_seconds": "creation_time",
    "duration_seconds": "deletion_time",
    "scheduled_time_seconds": "scheduled_time",
    "num_gpus": "num_gpu",
    "gpu_milli": "gpu_milli",
    "cpu_milli": "cpu_milli",
    "memory_mib": "memory_mib",
    "group": "qos",
    "gpu_models": "gpu_spec",
    "status": "pod_phase",
}
_PRIORITIES = {"BE": 0, "LS": 1, "Burstable": 1, "Guaranteed": 1}
_REQUIRED = ("job_id", "num_gpus", "gpu_milli", "submit_time_seconds", "duration_seconds")


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of openb."""

    pending: Literal["keep", "drop"] = field(
        default="keep", metadata={"help": "pods that never ran: keep them with the life they had, or drop them"}
    )


def load(path: str, options: Options) -> Trace:
    """The GPU pods of a list of pods; seconds from the start of the collection, whose date is not known.

    - Submit time is `creation_time`. Duration is `deletion_time` minus `scheduled_time`: the time on the node.
    - 897 pods are Pending and have no `scheduled_time`. Their demand was real, so they are kept, with the life that
      they had (deletion minus creation; median 94 s) as duration, as the simulator of the paper replays them.
      `pending=drop` leaves them out.
    - GPUs are `num_gpu` times `gpu_milli` (which is 1000 for pods with several GPUs).
    - `gpu_spec` ("A|B") lists the GPU models allowed, without a repeated one; empty: any.
    - `qos` is our `group`, `pod_phase` our `status`. Priority is 0 for best effort (BE), 1 for those that it
      gives way to (latency-sensitive LS, Burstable, Guaranteed); how these rank among each other is not said. Another
      class has none.
    - CPUs and memory are those of the pod. It says neither estimates, deadlines, checkpoints nor images.
    - Dropped and counted: pods without a GPU (CPU pods), and pods that were deleted in the second of their start (one,
      which is Pending; it never held a GPU).
    - A life ends at the latest with the collection (second 12,902,960), so the longest are cut there.

    Source: Weng et al., "Beware of Fragmentation" (ATC 2023); github.com/alibaba/clusterdata, cluster-trace-gpu-v2023.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    rows = read_rows(path, _COLUMNS, _NAMES, options)
    for name in _REQUIRED:
        rows.require(name)
    start = pc.coalesce(rows["scheduled_time_seconds"], rows["submit_time_seconds"])
    rows.set("duration_seconds", pc.subtract(rows["duration_seconds"], start))
    rows.drop(to_numpy(rows["num_gpus"]) == 0, "it requests no GPU")
    if options.pending == "drop":
        rows.drop(is_null(rows["scheduled_time_seconds"]), "it never ran (Pending, pending=drop)")
    rows.drop(to_numpy(rows["duration_seconds"]) == 0, "it was deleted in the second of its start")
    rows.set("gpu_milli", pc.multiply(rows["num_gpus"], rows["gpu_milli"]))
    rows.set("gpu_models", _models(rows["gpu_models"]))
    rows.set("priority", _priorities(rows["group"]))
    rows.table = rows.table.drop_columns(["scheduled_time_seconds", "num_gpus"])
    return rows.trace(TraceMetadata("Alibaba GPU cluster 2023 (openb)", LICENCE))


def _priorities(qos: pa.ChunkedArray) -> pa.Array:
    """The priority of each class of service, [rows] int64; null where it is unknown."""
    levels = [_PRIORITIES.get(name, -1) for name in qos.to_pylist()]
    values = np.array(levels, dtype=np.int64)
    return nullable(values, values >= 0)


def _models(specs: pa.ChunkedArray) -> pa.Array:
    """Lists of models without repeated ones, [rows] list<string>, from texts such as "A|B"; null stays null."""
    coded = specs.combine_chunks().dictionary_encode()
    lists = [list(dict.fromkeys(spec.split("|"))) for spec in coded.dictionary.to_pylist()]
    ends = np.cumsum([0, *map(len, lists)], dtype=np.int32)
    values = strings([model for models in lists for model in models])
    return pa.ListArray.from_arrays(from_numpy(ends), values).take(coded.indices)


FORMAT = Format(
    name="openb",
    kind="jobs",
    description="Alibaba GPU cluster 2023: pods that share GPUs, with GPU models",
    options=Options,
    load=load,
    licence=LICENCE,
    citation=CITATION,
    example="openb:openb_pod_list_default.csv",
    url="https://github.com/alibaba/clusterdata/tree/master/cluster-trace-gpu-v2023",
    detect=has_columns("name", "num_gpu", "gpu_milli", "pod_phase"),
)
