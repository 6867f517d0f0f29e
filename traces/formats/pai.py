"""Alibaba PAI 2020: jobs, tasks, instances and groups in tables without headers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traces import jobs
from traces.arrow import from_numpy, is_null, to_numpy
from traces.cells import RowProblem, merged
from traces.errors import TraceFileError
from traces.format import Format
from traces.inputs import Input, find_inputs
from traces.rows import Rows, read_rows
from traces.tables import TextOptions, read_batches
from traces.trace import Trace, TraceMetadata
from traces.validation import Violation, seconds

_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "pai_job_table": ("job_name", "inst_id", "user", "status", "start_time", "end_time"),
    "pai_task_table": (
        *("job_name", "task_name", "inst_num", "status", "start_time", "end_time"),
        *("plan_cpu", "plan_mem", "plan_gpu", "gpu_type"),
    ),
    "pai_instance_table": (
        *("job_name", "task_name", "inst_name", "worker_name", "inst_id", "status", "start_time", "end_time"),
        "machine",
    ),
    "pai_group_tag_table": ("inst_id", "user", "gpu_type_spec", "group", "workload"),
}
_SHANGHAI = timedelta(hours=8)
_ANY_MODEL = ("MISC", "CPU", "", None)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of pai."""

    gangs: jobs.Gangs = field(
        default="split", metadata={"help": "jobs whose workers share GPUs: split into workers, round up, or drop"}
    )
    strict: bool = field(
        default=False, metadata={"help": "a row that cannot be used is an error, else it is left out and counted"}
    )


def load(path: str, options: Options) -> Trace:
    """The GPU tasks of the release: one job for each task that requests GPUs, with all its instances.

    Most jobs have one such task; those that have several (a chief and workers) are several jobs here, which start at
    the same time.

    - Requests are in percent for each instance: a `plan_gpu` of 50 is half a GPU, a `plan_cpu` of 600 is 6 cores;
      `plan_mem` is in GB. A task of `inst_num` instances is a gang. Instances that share GPUs and do not fill whole
      ones together cannot be one job of a trace: see `gangs`.
    - Times are seconds whose date is not real; read as Unix times in Shanghai, hour and weekday are. Second 0 is the
      first submission. A start or end of 0, or none, is not known.
    - Submitted is a job at its `start_time` in the table of jobs, else at that of its task. It ran from the start of
      its first instance to the end of its last where the table of instances is there, else from start to end of the
      task.
    - The GPU type is the model that the job may use; MISC is any. User, model and workload come from the table of
      groups where it is there.
    - Terminated is success. Dropped and counted: tasks without GPUs, and tasks that did not start or end.

    Source: Weng et al., "MLaaS in the Wild" (NSDI 2022).

    Args:
        path: folder or archive of the tables; `pai_task_table` must be there, the others are read where they are.
        options: as above.

    Raises:
        TraceError: a table cannot be read or breaks a rule.
    """
    found = _find(path)
    text = TextOptions(strict=options.strict)
    rows = _tasks(found["pai_task_table"], text)
    requested = jobs.numbers(rows, "gpu_milli")
    rows.check([Violation("gpu_milli", requested < 0, "is negative", lambda row: f"{requested[row]:g} is negative")])
    rows.drop(jobs.numbers(rows, "gpu_milli") == 0, jobs.NO_GPU)
    facts = _jobs(found.get("pai_job_table"), text)
    if facts is not None:
        rows.count_bad_of(facts, "pai_job_table")
    _join(rows, facts, {"inst_id": "inst_id", "user": "user", "submitted": "submit_time_seconds"})
    if "pai_group_tag_table" in found:
        groups = _table(
            found["pai_group_tag_table"], {"inst_id": "inst_id", "gpu_type_spec": "gpu_type_spec"}, text, "workload"
        )
        rows.count_bad_of(groups, "pai_group_tag_table")
        _join(rows, groups, {"model_wanted": "gpu_type_spec", "workload": "workload"}, "inst_id")
    if "pai_instance_table" in found:
        _run_times(rows, found["pai_instance_table"])
    return _trace(rows, options)


def _find(path: str) -> dict[str, Input]:
    tables = {}
    for source in find_inputs(path):
        name = source.name.partition(".")[0]
        if name in _TABLES and not source.name.endswith(".header"):
            tables[name] = source
    if "pai_task_table" not in tables:
        raise TraceFileError(f"{path}: has no pai_task_table.csv; give the folder or the archive of the tables")
    return tables


def _table(source: Input, names: Mapping[str, str], options: TextOptions, *more: str) -> Rows:
    wanted = {**names, **{name: name for name in more}}
    columns = {theirs: pa.string() for theirs in wanted.values()}
    return read_rows(source, columns, wanted, options, header=_TABLES[source.name.partition(".")[0]])


def _tasks(source: Input, options: TextOptions) -> Rows:
    numbers = dict.fromkeys(("inst_num", "start_time", "end_time", "plan_cpu", "plan_mem", "plan_gpu"), pa.float64())
    columns = {name: numbers.get(name, pa.string()) for name in _TABLES["pai_task_table"]}
    names = {name: name for name in columns if name not in ("plan_gpu", "status")}
    return read_rows(
        source, columns, {**names, "gpu_milli": "plan_gpu", "status": "status"}, options, header=list(columns)
    )


def _jobs(source: Input | None, options: TextOptions) -> Rows | None:
    if source is None:
        return None
    columns = {**dict.fromkeys(("job_name", "inst_id", "user"), pa.string()), "start_time": pa.float64()}
    names = {name: name for name in columns if name != "start_time"}
    header = _TABLES["pai_job_table"]
    return read_rows(source, columns, {**names, "submit_time_seconds": "start_time"}, options, header=header)


def _join(rows: Rows, other: Rows | None, columns: Mapping[str, str], key: str = "job_name") -> None:
    """Add columns of another table, by a key; null where it has no such row."""
    if other is None or key not in rows.table.column_names:
        return
    index = pc.index_in(rows[key], value_set=other[key].combine_chunks())
    for ours, theirs in columns.items():
        rows.set(ours, other[theirs].take(index))


def _run_times(rows: Rows, source: Input) -> None:
    """First start and last end of the instances of each task, by batches: this table has millions of rows."""
    names, problems = _keys(rows.table), list[RowProblem]()
    starts, ends = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    columns = {"job_name": pa.string(), "task_name": pa.string(), "start_time": pa.float64(), "end_time": pa.float64()}
    for batch in read_batches(source, columns, _TABLES["pai_instance_table"]):
        table = batch.table
        problems += batch.problems
        rows.total += len(batch.rows) + batch.unreadable
        index = pc.index_in(_keys(table), value_set=names)
        for name, best, choose in (("start_time", starts, np.minimum), ("end_time", ends, np.maximum)):
            known = np.flatnonzero(~is_null(pa.chunked_array([index])) & ~is_null(table[name]))
            values = to_numpy(table[name].take(from_numpy(known)))
            place = to_numpy(pa.chunked_array([index.take(from_numpy(known)).cast(pa.int64())]))
            choose.at(best, place[values > 0], values[values > 0])
    for name, best in (("start_time", starts), ("end_time", ends)):
        rows.set(name, np.where(np.isfinite(best), best, jobs.numbers(rows, name)))
    for problem in merged(problems):
        rows.add_problem(f"in pai_instance_table {problem.reason}", problem.error(str(source)), problem.count)


def _keys(table: pa.Table) -> pa.Array:
    job, task = table["job_name"], table["task_name"]
    separator = pa.chunked_array([jobs.optional(["/"]).take(from_numpy(np.zeros(len(job), np.int64)))])
    joined = pc.binary_join_element_wise(job, task, separator)
    return joined.combine_chunks()


def _trace(rows: Rows, options: Options) -> Trace:
    start, end = jobs.numbers(rows, "start_time"), jobs.numbers(rows, "end_time")
    submitted = jobs.numbers(rows, "submitted") if "submitted" in rows.table.column_names else np.zeros(len(start))
    rows.set("submit_time_seconds", np.where(submitted > 0, submitted, start))
    with np.errstate(invalid="ignore"):  # what has no end is no number, and counted below
        rows.set("duration_seconds", end - start)
    rows.drop(start <= 0, jobs.NEVER_RAN)
    rows.drop(jobs.numbers(rows, "end_time") <= 0, jobs.STILL_RAN)
    rows.drop(to_numpy(rows["duration_seconds"]) == 0, "it ended in the second of its start")
    submit = to_numpy(rows["submit_time_seconds"])
    rows.check(seconds(submit, "submit_time_seconds", positive=False, noun="submit times"))
    begin = _begin(rows)
    jobs.check_workers(rows, "inst_num")
    _resources(rows)
    rows.set("job_id", _keys(rows.table))
    if rows.table.num_rows:
        rows.set("submit_time_seconds", to_numpy(rows["submit_time_seconds"]) - begin)
    jobs.gangs(rows, "gpu_milli", "inst_num", options.gangs)
    kept = ("job_id", "submit_time_seconds", "duration_seconds", "gpu_milli", "cpu_milli", "memory_mib", "gpu_models")
    optional = ("user", "workload")
    rows.table = rows.table.select([*kept, "status", *(name for name in optional if name in rows.table.column_names)])
    epoch = datetime.fromisoformat("1970-01-01") + _SHANGHAI
    return rows.trace(TraceMetadata("Alibaba PAI 2020", FORMAT.licence, epoch + timedelta(seconds=begin)))


def _begin(rows: Rows) -> float:
    submit = to_numpy(rows["submit_time_seconds"])
    return float(submit.min()) if len(submit) else 0.0


def _resources(rows: Rows) -> None:
    """GPUs of an instance; CPUs, memory and models of whole tasks."""
    count = jobs.numbers(rows, "inst_num")
    rows.set("gpu_milli", jobs.numbers(rows, "gpu_milli") / 100)
    rows.set("cpu_milli", jobs.whole(jobs.numbers(rows, "plan_cpu", np.nan) * 10 * count))
    rows.set("memory_mib", jobs.whole(jobs.numbers(rows, "plan_mem", np.nan) * 1024 * count))
    models = jobs.texts(rows, "gpu_type")
    if "model_wanted" in rows.table.column_names:
        wanted = jobs.texts(rows, "model_wanted")
        models = [spec if own in _ANY_MODEL else own for own, spec in zip(models, wanted, strict=True)]
    rows.set("gpu_models", models_of(models))


def models_of(types: Sequence[str | None]) -> pa.Array:
    """The GPU models of types as PAI writes them, [rows] list<string>; MISC is any."""
    return jobs.lists(None if each in _ANY_MODEL else each for each in types)


def _detect(name: str, _text: str) -> str:
    return f"it is named {name}" if name.partition(".")[0] == "pai_task_table" else ""


FORMAT = Format(
    name="pai",
    kind="jobs",
    description="Alibaba PAI 2020: tasks whose instances share GPUs, from tables of jobs, tasks, instances and groups",
    options=Options,
    load=load,
    licence="CC BY 4.0",
    citation="Weng et al., MLaaS in the Wild: Workload Analysis and Scheduling in GPU Clusters, NSDI 2022",
    example="pai:cluster-trace-gpu-v2020/data?gangs=split",
    url="https://github.com/alibaba/clusterdata/tree/master/cluster-trace-gpu-v2020",
    detect=_detect,
    tables=True,
)
