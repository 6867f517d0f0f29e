"""Slurm's accounting: the output of `sacct --parsable2`."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traces import jobs
from traces.arrow import is_null
from traces.clock import read_times, seconds_between, set_second_0
from traces.errors import TraceValueError
from traces.format import Format
from traces.inputs import Input
from traces.rows import Rows, read_rows
from traces.schema import SCHEMA
from traces.tables import SEPARATORS, TextOptions, as_input, find_separator, read_header
from traces.trace import Trace, TraceMetadata

_GPU_FIELDS = ("AllocTRES", "AllocGRES", "ReqTRES", "ReqGRES")
_FIELDS = (
    *("User", "Account", "Partition", "State", "Submit", "Start", "End", "Elapsed", "ElapsedRaw"),
    *("Timelimit", "TimelimitRaw", "NNodes", "NCPUS", "Priority", "ConsumedEnergy", "ConsumedEnergyRaw"),
    *_GPU_FIELDS,
)
_RENAMED = {
    "submit_time_seconds": "Submit",
    "start_time": "Start",
    "end_time": "End",
    "user": "User",
    "status": "State",
}
_COMMAND = (
    "sacct --parsable2 --allusers -o JobID,User,Account,State,Submit,Start,End,ElapsedRaw,Timelimit,NNodes,AllocTRES"
)
_TOTAL, _TYPED = re.compile(r"gres/gpu=(\d+)"), re.compile(r"gres/gpu:([^=,]+)=(\d+)")
_GRES = re.compile(r"(?:^|,)(?:gres:)?gpu(?::([a-zA-Z][^:,()]*))?(?::(\d+))?")
_CPUS, _MEMORY = re.compile(r"(?:^|,)cpu=(\d+)"), re.compile(r"(?:^|,)mem=([\d.]+)([KMGTP]?)")
_MIB = {"K": 2**-10, "": 1.0, "M": 1.0, "G": 2.0**10, "T": 2.0**20, "P": 2.0**30}
_JOULES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_UNFINISHED = ("RUNNING", "SUSPENDED", "COMPLETING", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT")
_MIG, _MIG_SLICES = re.compile(r"(?:^|[^0-9a-z])([1-7])g\.\d+gb"), 7
_MAX_JOULES = 1e13  # Slurm writes 2**64 and the like where a sensor failed.


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of sacct."""

    group: Literal["account", "partition"] = field(
        default="account", metadata={"help": "what is the group of a job: its account or its partition"}
    )


def load(path: str, options: Options) -> Trace:
    """The GPU jobs of an accounting; second 0 is the earliest submission.

    Write it with `sacct --parsable2 --allusers -o JobID,User,Account,State,Submit,Start,End,...`; the columns may be in
    any order, and others do no harm.

    - GPUs are those allocated (`AllocTRES`, else `AllocGRES`); those requested only where nothing was allocated at
      all. A TRES counts the whole job (`gres/gpu=8`, or by model `gres/gpu:a100=8`); an older GRES counts one node
      (`gpu:a100:4`) and is multiplied by `NNodes`. An instance of MIG (`gres/gpu:a100_3g.20gb=1`) is its share of 7,
      and more than a GPU of them whole GPUs, rounded up. CPUs and memory are of the TRES, else `NCPUS`.
    - The run time is `ElapsedRaw`, else `Elapsed` (both without suspension), else `End` minus `Start`. The time limit
      is the user's estimate of it; `UNLIMITED` and `Partition_Limit` are none.
    - Energy is `ConsumedEnergyRaw` in joules, or `ConsumedEnergy` with a unit (`1.5M`), of the job; where its row has
      none, of its steps: the largest of `.extern`, `.batch`, and the sum of the numbered ones. 0 means not measured.
    - Ids are of `JobID`, or of `JobIDRaw` where that is all there is. Tasks of an array (`17_4`) and parts of a
      heterogeneous job (`17+1`) are jobs. `CANCELLED by 1000` is `CANCELLED`.
    - Dropped and counted: steps of jobs (`17.batch`), jobs without GPUs, jobs that never ran, jobs that still run.

    Raises:
        TraceError: the file cannot be read or breaks a rule.
    """
    source = as_input(path)
    _check_layout(source)
    header = read_header(source, SEPARATORS.get(options.separator) or find_separator(source, _FIELDS))
    number = "JobIDRaw" if "JobID" not in header and "JobIDRaw" in header else "JobID"
    found = [name for name in (number, *_FIELDS) if name in header]
    renamed = {**_RENAMED, "job_id": number}
    names = {ours: theirs for ours, theirs in renamed.items() if theirs in header}
    names |= {name: name for name in found if name not in names.values()}
    for name in (number, "Submit", "Start", "End"):
        if name not in found:
            raise TraceValueError(f"{path}: has no column {name}; write it with `{_COMMAND}`")
    if not any(name in found for name in _GPU_FIELDS):
        raise TraceValueError(f"{path}: has no column AllocTRES, which holds the GPUs; write it with `{_COMMAND}`")
    rows = read_rows(source, dict.fromkeys(found, pa.string()), names, options)
    rows.set("energy_kwh", _energy(rows))
    steps = np.array(["." in (name or "") for name in jobs.texts(rows, "job_id")], np.bool_)
    rows.drop(steps, "it is a step of a job")
    _resources(rows)
    rows.drop(~(jobs.numbers(rows, "gpu_milli") > 0), jobs.NO_GPU)
    read_times(rows, ("submit_time_seconds", "start_time", "end_time"))
    _durations(rows)
    start = set_second_0(rows)
    rows.convert_gpus("gpu_milli")
    if options.group.title() in rows.table.column_names:
        rows.set("group", rows[options.group.title()])
    _keep(rows)
    return rows.trace(TraceMetadata("Slurm accounting", FORMAT.licence, start))


def _check_layout(source: Input) -> None:
    lines = source.head(1 << 12).decode(errors="replace").splitlines()
    if len(lines) > 1 and set(lines[1].strip()) == {"-", " "}:
        raise TraceValueError(f"{source}: is a table for humans, whose cells are cut; write it with `{_COMMAND}`")


def _present(rows: Rows, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in rows.table.column_names]


def _resources(rows: Rows) -> None:
    """GPUs, GPU models, CPUs and memory of whole jobs."""
    nodes = (
        jobs.mapped(rows, "NNodes", _number) if "NNodes" in rows.table.column_names else [None] * rows.table.num_rows
    )
    gpus = np.zeros(rows.table.num_rows)
    models: list[str | None] = [None] * len(gpus)
    cpus, memory = np.full(len(gpus), np.nan), np.full(len(gpus), np.nan)
    is_allocated = ~is_null(rows["AllocTRES"]) if "AllocTRES" in rows.table.column_names else gpus > 0
    for name in _present(rows, _GPU_FIELDS):
        per_node = "gres" in name.lower()
        for row, found in enumerate(jobs.mapped(rows, name, _gres if per_node else _tres)):
            if found is None or gpus[row] or (name == "ReqTRES" and is_allocated[row]):
                continue
            gpus[row] = found[0] * ((nodes[row] or 1) if per_node else 1)
            models[row], cpus[row], memory[row] = found[1:]
    if "NCPUS" in rows.table.column_names:
        counted = np.array([np.nan if each is None else each for each in jobs.mapped(rows, "NCPUS", _number)])
        cpus = np.where(np.isnan(cpus), counted, cpus)
    rows.set("gpu_milli", gpus)
    rows.set("gpu_models", jobs.lists(models))
    rows.set("cpu_milli", jobs.whole(cpus * 1000))
    rows.set("memory_mib", jobs.whole(memory))


def _tres(text: str) -> tuple[float, str | None, float, float]:
    """GPUs, their model, CPUs and MiB of a TRES such as `cpu=8,gres/gpu:a100=2,mem=64G`."""
    typed = _TYPED.findall(text)
    total = _TOTAL.search(text)
    shares = [int(count) * _share(kind) for kind, count in typed]
    gpus = float(total[1]) if total else float(sum(int(count) for _, count in typed))
    if sum(shares) < gpus:  # instances of MIG are among them
        gpus = sum(shares) + gpus - sum(int(count) for _, count in typed)
        gpus, typed = gpus if gpus < 1 else math.ceil(round(gpus, 6)), []
    cpus, memory = _CPUS.search(text), _MEMORY.search(text)
    mib = float(memory[1]) * _MIB[memory[2]] if memory else np.nan
    return gpus, typed[0][0] if len(typed) == 1 else None, float(cpus[1]) if cpus else np.nan, mib


def _share(kind: str) -> float:
    """The share of a GPU that a kind of GPU is: an instance of MIG such as `a100_3g.20gb` has 3 of 7 slices."""
    found = _MIG.search(kind)
    return int(found[1]) / _MIG_SLICES if found else 1.0


def _gres(text: str) -> tuple[float, str | None, float, float]:
    """GPUs of a node and their model of a GRES such as `gpu:a100:2(S:0-1)`; a count that is missing is 1."""
    found = _GRES.findall(text)
    models = {model for model, _ in found if model}
    return float(sum(int(count or 1) for _, count in found)), models.pop() if len(models) == 1 else None, np.nan, np.nan


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _durations(rows: Rows) -> None:
    """Run times and time limits; jobs that did not run from start to end are dropped."""
    if "status" in rows.table.column_names:
        states = [(state or "").split(" by ")[0] for state in jobs.texts(rows, "status")]
        rows.set("status", jobs.optional([state or None for state in states]))
        rows.drop(np.array([state in _UNFINISHED for state in states], np.bool_), jobs.STILL_RAN)
    rows.drop(is_null(rows["start_time"]), jobs.NEVER_RAN)
    rows.drop(is_null(rows["end_time"]), jobs.STILL_RAN)
    seconds = seconds_between(rows, "start_time", "end_time")
    for name, convert in (("Elapsed", jobs.length_seconds), ("ElapsedRaw", _number)):
        if name in rows.table.column_names:
            seconds = pc.coalesce(pa.chunked_array([jobs.floats(jobs.mapped(rows, name, convert))]), seconds)
    rows.set("duration_seconds", seconds)
    rows.drop(jobs.numbers(rows, "duration_seconds") == 0, jobs.NEVER_RAN)
    for name, convert in (("Timelimit", jobs.length_seconds), ("TimelimitRaw", _minutes)):
        if name in rows.table.column_names:
            rows.set("predicted_duration_seconds", jobs.floats(jobs.mapped(rows, name, convert)))


def _minutes(text: str) -> float | None:
    minutes = _number(text)
    return None if minutes is None else minutes * 60


def _energy(rows: Rows) -> pa.Array:
    """Energy of each row that is a job, kWh; null where none was measured."""
    named = _present(rows, ("ConsumedEnergyRaw", "ConsumedEnergy"))
    if not named:
        return jobs.floats([None] * rows.table.num_rows)
    joules = jobs.mapped(rows, named[0], _joules)
    steps: dict[str, dict[str, float]] = {}
    names = jobs.texts(rows, "job_id")
    for name, value in zip(names, joules, strict=True):
        job, dot, step = (name or "").partition(".")
        if dot and value:
            kinds = steps.setdefault(job, {})
            kind = step if step in ("batch", "extern") else "numbered"
            kinds[kind] = kinds.get(kind, 0.0) + value
    of_steps = [max(steps.get(name or "", {}).values(), default=0.0) for name in names]
    energies = [own or rest for own, rest in zip(joules, of_steps, strict=True)]
    return jobs.floats([value / 3.6e6 if value else None for value in energies])


def _joules(text: str) -> float | None:
    value = _number(text[:-1] if text[-1:] in _JOULES else text)
    value = None if value is None else value * _JOULES.get(text[-1:], 1.0)
    return value if value is not None and 0 < value < _MAX_JOULES else None


def _keep(rows: Rows) -> None:
    """Leave only the columns of a trace."""
    rows.table = rows.table.select(_present(rows, SCHEMA.names))


def _detect(_name: str, text: str) -> str:
    header = {*re.split(r"[|;,\t]", text.lstrip("\ufeff").partition("\n")[0].rstrip("\r"))}
    is_one = {"Submit", "Start"} <= header and bool({"JobID", "JobIDRaw"} & header)
    return "its columns are those of sacct --parsable2" if is_one else ""


FORMAT = Format(
    name="sacct",
    kind="jobs",
    description="Slurm's accounting, `sacct --parsable2`, with energy where Slurm measures it",
    options=Options,
    load=load,
    licence="as the cluster's",
    citation="Slurm's manual, sacct",
    example="sacct:jobs.txt",
    url="https://slurm.schedmd.com/sacct.html",
    detect=_detect,
)
