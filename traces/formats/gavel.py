"""Traces of the simulator of Gavel: steps to train, whose time follows from measured throughputs."""

import ast
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from configs.errors import did_you_mean
from traces import jobs
from traces.arrow import labels
from traces.curves.names import workload_name
from traces.errors import TraceFileError, TraceURIError
from traces.format import Format
from traces.inputs import Input, only_input
from traces.rows import read_rows
from traces.tables import TextOptions, as_input
from traces.trace import Trace, TraceMetadata

_NEW = (
    *("job_type", "command", "working_directory", "num_steps_arg", "needs_data_dir", "total_steps", "scale_factor"),
    *("priority_weight", "slo", "arrival_time"),
)
_OLD = ("job_type", "command", "num_steps_arg", "needs_data_dir", "total_steps", "arrival_time", "scale_factor")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of gavel."""

    throughputs: str | None = field(
        default=None, metadata={"help": "simulation_throughputs.json of Gavel: it says how long a step takes; needed"}
    )
    gpu: Literal["k80", "p100", "v100"] = field(default="v100", metadata={"help": "GPU model of the run times"})
    strict: bool = field(
        default=False, metadata={"help": "a row that cannot be used is an error, else it is left out and counted"}
    )


def load(path: str, options: Options) -> Trace:
    """The jobs of a `.trace`: tab separated, without a header; seconds from its start.

    Rows have ten fields, or seven in the older stored traces (`msr`), in another order. A job is a number of steps: its
    run time is that over the throughput, alone on the GPUs that it requests (`scale_factor`), on one GPU model.

    - `job_type` without its batch size is our workload; `priority_weight`, rounded, is the priority. The SLO is not
      read: whether it is a time or a factor differs between the versions of the simulator.
    - Jobs of a type or width that was not measured are left out and counted. Ids are the numbers of the rows.

    Source: Narayanan et al., "Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads" (OSDI 2020).

    Raises:
        TraceError: a file cannot be read or breaks a rule.
    """
    if options.throughputs is None:
        fix = "add ?throughputs=simulation_throughputs.json"
        raise TraceURIError(f"{path}: holds steps and no run times; {fix}, which says how long a step takes")
    source = as_input(path)
    header = _header(source)
    texts = ("job_type", "command", "working_directory", "num_steps_arg")
    columns = {name: pa.string() if name in texts else pa.float64() for name in header if name not in texts[1:]}
    names = {name: name for name in columns if name not in ("arrival_time", "scale_factor")}
    names |= {"submit_time_seconds": "arrival_time", "gpu_milli": "scale_factor"}
    rows = read_rows(source, columns, names, TextOptions(separator="tab", strict=options.strict), header=header)
    speeds = _speeds(options.throughputs, options.gpu)
    widths, types = jobs.numbers(rows, "gpu_milli"), jobs.texts(rows, "job_type")
    speed = np.array([speeds.get((kind or "", width), np.nan) for kind, width in zip(types, widths, strict=True)])
    rows.set("duration_seconds", jobs.numbers(rows, "total_steps") / speed)
    assert rows.origin.rows is not None
    rows.set("job_id", labels("job-", rows.origin.rows))
    rows.set("workload", jobs.optional(None if kind is None else _network(kind) for kind in types))
    if "priority_weight" in names:
        rows.set("priority", jobs.whole(jobs.numbers(rows, "priority_weight", np.nan)))
    rows.drop(np.isnan(speed), f"its job_type and scale_factor were not measured on {options.gpu}")
    rows.convert_gpus("gpu_milli")
    kept = ("job_id", "submit_time_seconds", "duration_seconds", "gpu_milli", "workload", "priority")
    rows.table = rows.table.select([name for name in kept if name in rows.table.column_names])
    return rows.trace(TraceMetadata("Gavel", FORMAT.licence))


def _header(source: Input) -> tuple[str, ...]:
    fields = source.head().decode(errors="replace").partition("\n")[0].count("\t") + 1
    for header in (_NEW, _OLD):
        if fields == len(header):
            return header
    raise TraceFileError(f"{source}: its first row has {fields} fields, not 10 or 7; is it a .trace of Gavel?")


def _speeds(path: str, gpu: str) -> dict[tuple[str, float], float]:
    """Steps per second alone, by job type and GPUs."""
    try:
        with only_input(path).open() as stream:
            document: dict[str, Any] = json.loads(stream.read())
        found = document[gpu]
        keys = {ast.literal_eval(key): runs.get("null") for key, runs in found.items()}
        return {(kind, float(width)): float(speed) for (kind, width), speed in keys.items() if speed}
    except KeyError as error:
        known = ", ".join(document)
        raise TraceURIError(f"{path}: has no GPU model {gpu!r}{did_you_mean(gpu, document)}; has {known}") from error
    except TraceFileError:
        raise
    except (ValueError, SyntaxError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise TraceFileError(f"{path}: is no simulation_throughputs.json of Gavel ({error})") from error


def _network(job_type: str) -> str:
    return workload_name(job_type.partition(" (")[0])


def _detect(_name: str, text: str) -> str:
    lines = text.splitlines()[:3]
    is_one = bool(lines) and all(line.count("\t") + 1 in (len(_NEW), len(_OLD)) and "--" in line for line in lines)
    return "its rows have the tab-separated fields of Gavel" if is_one else ""


FORMAT = Format(
    name="gavel",
    kind="jobs",
    description="traces of the simulator of Gavel; run times from its table of throughputs",
    options=Options,
    load=load,
    licence="MIT",
    citation="Narayanan et al., Heterogeneity-Aware Cluster Scheduling Policies for Deep Learning Workloads, OSDI 2020",
    example="gavel:small_25_jobs.trace?throughputs=simulation_throughputs.json",
    url="https://github.com/stanford-futuredata/gavel",
    detect=_detect,
)
