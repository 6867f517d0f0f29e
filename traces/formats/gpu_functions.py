"""GPU training functions of the vHive loader: jobs by minute, with the batch, iterations and deadline of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from configs.checks import check_number
from traces.errors import TraceURIError, TraceValueError
from traces.format import Format
from traces.inputs import Input, find_inputs
from traces.invocations import Integers, Invocations, spread_counts

FIRST_VALUE = 4
MOST_WORKERS = 1024


@dataclass(frozen=True, slots=True)
class Options:
    """Options of gpu-functions."""

    seed: int = field(default=0, metadata={"help": "of the moments within minutes"})
    spread: Literal["random", "even", "together"] = field(
        default="random", metadata={"help": "where the jobs of a minute lie in it"}
    )
    iteration_seconds: float = field(
        default=0.05, metadata={"help": "time of an iteration; the shortest deadlines leave 0.05 s for each"}
    )
    batch_per_worker: int = field(
        default=32,
        metadata={"help": "samples of a batch that one container takes; a job of a larger batch is several requests"},
    )
    gpu_milli: int = field(default=1000, metadata={"help": "thousandths of a GPU that a job needs"})
    memory_mib: float = field(default=8192.0, metadata={"help": "memory that a job needs"})

    def __post_init__(self) -> None:
        check_number("iteration_seconds", self.iteration_seconds, TraceURIError, above=0.0)
        check_number("batch_per_worker", self.batch_per_worker, TraceURIError, low=1)
        check_number("gpu_milli", self.gpu_milli, TraceURIError, low=0)
        check_number("memory_mib", self.memory_mib, TraceURIError, low=1.0)
        check_number("seed", self.seed, TraceURIError, low=0)


def load(path: str, options: Options) -> Invocations:
    """The jobs of a folder with `invocations`, `iterations` and `deadline`; those of a minute follow one another.

    With `batch` a job has as many workers, each a request at the same moment, as its batch needs (data parallel), so
    that an iteration takes as long as one of a small batch.

    Raises:
        TraceError: a file is missing, or breaks a rule.
    """
    files = {source.name.partition(".")[0]: source for source in find_inputs(path)}
    for name in ("invocations", "iterations", "deadline"):
        if name not in files:
            raise TraceValueError(f"{path}: has no file {name}.csv")
    ids, counts = _rows(files["invocations"])
    iterations, deadlines = _rows(files["iterations"])[1], _rows(files["deadline"])[1]
    batches = _rows(files["batch"])[1] if "batch" in files else None
    minutes = np.arange(max(map(len, counts), default=0)) * 60_000
    parts: list[tuple[Integers, Integers, Integers, Integers]] = []
    rng = np.random.default_rng(options.seed)
    for number, name in enumerate(ids):
        row = counts[number]
        time_ms = np.sort(spread_counts(row[None, :], minutes[: len(row)], rng, options.spread)[0])
        jobs = len(time_ms)
        if min(len(iterations[number]), len(deadlines[number])) < jobs:
            raise TraceValueError(f"{path}: function {name} has {jobs} jobs, but fewer iterations or deadlines")
        run_ms = np.rint(iterations[number][:jobs] * (options.iteration_seconds * 1000.0)).astype(np.int64)
        workers = np.ones(jobs, np.int64)
        if batches is not None:
            if number >= len(batches) or len(batches[number]) < jobs:
                raise TraceValueError(f"{path}: function {name} has {jobs} jobs, but fewer batches")
            workers = np.maximum(1, -(-batches[number][:jobs] // options.batch_per_worker))
            if workers.max(initial=1) > MOST_WORKERS:
                raise TraceValueError(
                    f"{path}: function {name} has a job of batch {batches[number][:jobs].max()}, which needs "
                    f"{workers.max()} workers; give a larger batch_per_worker than {options.batch_per_worker}"
                )
        of_job = np.repeat(np.arange(jobs), workers)
        columns = (time_ms, np.full(jobs, number), np.maximum(1, run_ms), deadlines[number][:jobs])
        parts.append((columns[0][of_job], columns[1][of_job], columns[2][of_job], columns[3][of_job]))
    time_ms, function, run_ms, deadline_ms = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Invocations.from_columns(
        ids,
        time_ms,
        function,
        run_ms,
        span_ms=len(minutes) * 60_000,
        memory_mib=np.full(len(ids), options.memory_mib),
        gpu_milli=np.full(len(ids), options.gpu_milli, np.int64),
        deadline_ms=deadline_ms,
        source="vHive GPU training functions",
        licence=FORMAT.licence,
    )


def _rows(source: Input) -> tuple[list[str], Sequence[Integers]]:
    """Name of each function and its numbers; rows may be shorter than the header."""
    with source.open() as stream:
        lines = stream.read().decode("utf-8-sig", errors="replace").splitlines()
    ids, rows = [], []
    for number, line in enumerate(lines[1:], 1):
        cells = line.split(",")
        if len(cells) <= FIRST_VALUE:
            continue
        try:
            values = np.array([int(cell) for cell in cells[FIRST_VALUE:] if cell.strip()], np.int64)
        except ValueError as error:
            raise TraceValueError(f"{source}: row {number}: {error}; every cell is a whole number") from error
        if (values < 0).any():
            raise TraceValueError(f"{source}: row {number}: {values.min()} is below 0")
        ids.append(f"{cells[2]} {cells[1]}")
        rows.append(values)
    if not ids:
        raise TraceValueError(f"{source}: holds no function; check that it is the right file")
    return ids, rows


FORMAT: Format[Any] = Format(
    name="gpu-functions",
    kind="invocations",
    description="GPU training functions with batches, iterations and deadlines, made by the vHive loader's authors",
    options=Options,
    load=load,
    licence="MIT",
    citation="Ustiugov et al., Enabling In-Vitro Serverless Systems Research, SESAME 2023",
    example="gpu-functions:gpu_training_jobload_0.5",
    url="https://github.com/vhive-serverless/invitro",
    tables=True,
)
