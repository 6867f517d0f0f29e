"""Alibaba's GPU cluster of 2023 ("openb"): Kubernetes pods that share GPUs."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from traces.arrow import from_numpy, is_null, nullable, strings, to_numpy
from traces.registry import Format
from traces.tables import read_csv
from traces.trace import Trace, TraceMetadata
from traces.validation import Origin, check_present

LICENCE = "research and study use (Alibaba clusterdata)"

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
    "group": "qos",
    "gpu_models": "gpu_spec",
    "status": "pod_phase",
}
_PRIORITIES = {"BE": 0, "LS": 1, "Burstable": 1, "Guaranteed": 1}
_REQUIRED = ("name", "num_gpu", "gpu_milli", "creation_time", "deletion_time")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of openb."""

    pending: Literal["keep", "drop"] = field(
        default="keep", metadata={"help": "pods that never ran: keep them with the life they had, or drop them"}
    )


def load(path: str, options: Options) -> Trace:
    """Return the GPU pods of a list of pods; seconds from the start of the collection, whose date is not known.

    - Submit time is ``creation_time``. Duration is ``deletion_time`` minus ``scheduled_time``: the time on the node.
    - 897 pods are Pending and have no ``scheduled_time``. Their demand was real, so they are kept, with the life that
      they had (deletion minus creation; median 94 s) as duration, as the simulator of the paper replays them.
      ``pending=drop`` leaves them out.
    - GPUs are ``num_gpu`` times ``gpu_milli`` (which is 1000 for pods with several GPUs).
    - ``gpu_spec`` ("A|B") lists the GPU models allowed, without a repeated one; empty: any.
    - ``qos`` is our ``group``, ``pod_phase`` our ``status``. Priority is 0 for best effort (BE), 1 for those that it
      gives way to (latency-sensitive LS, Burstable, Guaranteed); how these rank among each other is not said. Another
      class has none.
    - CPUs and memory are those of the pod. It says neither estimates, deadlines, checkpoints nor images.
    - Dropped and counted: pods without a GPU (CPU pods), and pods that were deleted in the second of their start (one,
      which is Pending; it never held a GPU).
    - A life ends at the latest with the collection (second 12,902,960), so the longest are cut there.

    Source: Weng et al., "Beware of Fragmentation" (ATC 2023); github.com/alibaba/clusterdata, cluster-trace-gpu-v2023.

    Raises:
        TraceError: The file cannot be read or breaks a rule.
    """
    table = read_csv(path, _COLUMNS)
    origin = Origin(path, _NAMES)
    for name in _REQUIRED:
        check_present(table[name], name, origin)
    start = pc.coalesce(table["scheduled_time"], table["creation_time"])
    table = table.append_column("duration", pc.subtract(table["deletion_time"], start))
    rules = {
        "it asks no GPU": to_numpy(table["num_gpu"]) == 0,
        "it never ran (Pending, pending=drop)": is_null(table["scheduled_time"]) & (options.pending == "drop"),
        "it was deleted in the second of its start": to_numpy(table["duration"]) == 0,
    }
    keep, dropped = _keep(rules, table.num_rows)
    table = table.take(from_numpy(np.flatnonzero(keep)))
    return Trace.from_columns(
        job_id=table["name"],
        submit_time_seconds=table["creation_time"],
        duration_seconds=table["duration"],
        gpu_milli=pc.multiply(table["num_gpu"], table["gpu_milli"]),
        group=table["qos"],
        gpu_models=_models(table["gpu_spec"]),
        cpu_milli=table["cpu_milli"],
        memory_mib=table["memory_mib"],
        status=table["pod_phase"],
        priority=_priorities(table["qos"]),
        metadata=TraceMetadata("Alibaba GPU cluster 2023 (openb)", LICENCE, dropped=dropped),
        origin=Origin(path, _NAMES, np.flatnonzero(keep) + 1),
    )


def _keep(rules: dict[str, NDArray[np.bool_]], rows: int) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Return the mask of rows (bool, shape (rows,)) that no rule drops, and the count of rows by the first rule met."""
    keep = np.ones(rows, dtype=np.bool_)
    dropped: dict[str, int] = {}
    for reason, rule in rules.items():
        mask = keep & rule
        if mask.any():
            dropped[reason] = int(mask.sum())
        keep &= ~mask
    return keep, dropped


def _priorities(qos: pa.ChunkedArray) -> pa.Array:
    """Return the priority of each class of service, int64, shape (rows,); null where it is unknown."""
    levels = [_PRIORITIES.get(name, -1) for name in qos.to_pylist()]
    values = np.array(levels, dtype=np.int64)
    return nullable(values, values >= 0)


def _models(specs: pa.ChunkedArray) -> pa.Array:
    """Return "A|B" as a list of models without repeated ones, list<string>, shape (rows,); null stays null."""
    coded = specs.combine_chunks().dictionary_encode()
    lists = [list(dict.fromkeys(spec.split("|"))) for spec in coded.dictionary.to_pylist()]
    ends = np.cumsum([0, *map(len, lists)], dtype=np.int32)
    values = strings([model for models in lists for model in models])
    return pa.ListArray.from_arrays(from_numpy(ends), values).take(coded.indices)


FORMAT = Format(
    description="Alibaba GPU cluster 2023: pods that share GPUs, with GPU models (FGD, ATC 2023)",
    licence=LICENCE,
    example="openb:openb_pod_list_default.csv",
    options=Options,
    load=load,
)
