"""Shanghai AI Laboratory's Acme: the clusters Seren and Kalos, where language models are trained."""

import numpy as np
import pyarrow as pa

from traces import jobs
from traces.arrow import is_null, to_numpy
from traces.clock import read_times, seconds_between, set_second_0
from traces.format import Format, has_columns
from traces.rows import read_rows
from traces.tables import SEPARATORS, TextOptions, as_input, find_separator, read_header
from traces.trace import Trace, TraceMetadata

_NAMES = {
    "job_id": "job_id",
    "user": "user",
    "nodes": "node_num",
    "gpu_milli": "gpu_num",
    "cpu_milli": "cpu_num",
    "workload": "type",
    "status": "state",
    "submit_time_seconds": "submit_time",
    "start_time": "start_time",
    "end_time": "end_time",
}
_NUMBERS = dict.fromkeys(("node_num", "gpu_num", "cpu_num", "mem_per_pod_GB"), pa.float64())


def load(path: str, options: TextOptions) -> Trace:
    """The GPU jobs of `trace_seren.csv` or `trace_kalos.csv`; second 0 is the earliest submission.

    - Times carry an offset (+08:00 in Seren, +00:00 in Kalos), which is taken off: wall-clock times stay as written.
    - The run time is `end_time` minus `start_time`. `duration` is not read: in Kalos it counts from the submission.
    - `type` (Pretrain, Evaluation, SFT, MLLM, Debug, Other) is our workload. Memory in Kalos is that of a pod, one for
      each node. `fail_time` and `stop_time` are often empty and are not read.
    - Dropped and counted: jobs without GPUs, and those that never ran or still ran.

    Source: Hu et al., "Characterization of Large Language Model Development in the Datacenter" (NSDI 2024).

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    source = as_input(path)
    names = dict(_NAMES)
    separator = SEPARATORS.get(options.separator) or find_separator(source, list(names.values()))
    is_kalos = "mem_per_pod_GB" in read_header(source, separator)
    if is_kalos:
        names["memory_mib"] = "mem_per_pod_GB"
    columns = {theirs: _NUMBERS.get(theirs, pa.string()) for theirs in names.values()}
    rows = read_rows(source, columns, names, options)
    rows.require("gpu_milli")
    rows.drop(to_numpy(rows["gpu_milli"]) == 0, jobs.NO_GPU)
    read_times(rows, ("submit_time_seconds", "start_time", "end_time"))
    rows.drop(is_null(rows["start_time"]), jobs.NEVER_RAN)
    rows.drop(is_null(rows["end_time"]), jobs.STILL_RAN)
    rows.set("duration_seconds", seconds_between(rows, "start_time", "end_time"))
    rows.drop(to_numpy(rows["duration_seconds"]) == 0, "it ended in the second of its start")
    start = set_second_0(rows)
    rows.set("cpu_milli", jobs.whole(jobs.numbers(rows, "cpu_milli", np.nan) * 1000))
    if is_kalos:
        gib = jobs.numbers(rows, "memory_mib", np.nan) * np.maximum(jobs.numbers(rows, "nodes", 1), 1)
        rows.set("memory_mib", jobs.whole(gib * 1024))
    rows.convert_gpus("gpu_milli")
    rows.table = rows.table.drop_columns(["start_time", "end_time", "nodes"])
    return rows.trace(TraceMetadata(f"Acme, {'Kalos' if is_kalos else 'Seren'}", FORMAT.licence, start))


FORMAT = Format(
    name="acme",
    kind="jobs",
    description="Acme: the clusters Seren and Kalos of 2023, where language models are trained",
    options=TextOptions,
    load=load,
    licence="CC BY 4.0",
    citation="Hu et al., Characterization of Large Language Model Development in the Datacenter, NSDI 2024",
    example="acme:trace_seren.csv",
    url="https://github.com/InternLM/AcmeTrace",
    detect=has_columns("job_id", "node_num", "gpu_num", "type", "queue"),
)
