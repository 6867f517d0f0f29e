"""Azure Functions 2019: invocations by minute, percentiles of durations and of memory, in the original files."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from configs.checks import check_number
from traces.errors import TraceURIError, TraceValueError
from traces.format import Format
from traces.inputs import Input, find_inputs
from traces.invocations import Integers, Invocations, spread_counts
from traces.tables import SEPARATORS, TextOptions, find_separator, read_header, read_text

_DURATION_LEVELS = (0, 1, 25, 50, 75, 99, 100)
_MINUTE_MS = 60_000
MEDIAN_MEMORY_MIB = 170.0
"""Of an application. Source: Shahrad et al., "Serverless in the Wild", ATC 2020, figure 8."""


@dataclass(frozen=True, slots=True)
class Options(TextOptions):
    """Options of azure-functions-2019."""

    seed: int = field(default=0, metadata={"help": "of the moments within minutes, and of the durations"})
    spread: Literal["random", "even", "together"] = field(
        default="random", metadata={"help": "where the invocations of a minute lie in it"}
    )
    gpu_milli: int = field(default=0, metadata={"help": "thousandths of a GPU that every function is given"})

    def __post_init__(self) -> None:
        check_number("gpu_milli", self.gpu_milli, TraceURIError, low=0)
        check_number("seed", self.seed, TraceURIError, low=0)


def load(path: str, options: Options) -> Invocations:
    """The invocations of a folder or an archive with the three kinds of files, told by their names.

    Counts per minute are kept; where in its minute an invocation comes, and how long it runs (by interpolation between
    the percentiles of its function), is drawn. Functions whose durations are missing are left out and counted. Those
    whose memory is missing have the median of the paper.

    Raises:
        TraceError: a file is missing or damaged, or breaks a rule.
    """
    files = {_kind(source.name): source for source in find_inputs(path)}
    for kind in ("invocations", "durations"):
        if kind not in files:
            raise TraceValueError(f"{path}: has no file of {kind}; its name must have the word {kind}")
    rng = np.random.default_rng(options.seed)
    bad: dict[str, int] = {}
    keys, minutes, counts = _counts(files["invocations"], options, bad)
    quantiles = _table(files["durations"], [f"percentile_Average_{level}" for level in _DURATION_LEVELS], options, bad)
    memory = {}
    if "memory" in files:
        memory = _table(files["memory"], ["AverageAllocatedMb"], options, bad)
    known = [index for index, key in enumerate(keys) if key[1] in quantiles]
    if len(known) < len(keys):
        bad["their function has no durations"] = len(keys) - len(known)
    counts = counts[known]
    time_ms, function = spread_counts(counts, (minutes - minutes[0]) * _MINUTE_MS, rng, options.spread)
    levels = np.array([np.maximum.accumulate(quantiles[keys[index][1]]) for index in known]).reshape(
        -1, len(_DURATION_LEVELS)
    )
    ids = [keys[index][1] for index in known]
    return Invocations.from_columns(
        ids,
        time_ms,
        function,
        _draw(levels, function, rng),
        span_ms=int(minutes[-1] - minutes[0] + 1) * _MINUTE_MS,
        memory_mib=np.array([max(1.0, float(_memory(memory, keys[index]))) for index in known]),
        gpu_milli=np.full(len(ids), options.gpu_milli, np.int64),
        day_offset_ms=int(minutes[0] - 1) * _MINUTE_MS,
        source="Azure Functions 2019",
        licence=FORMAT.licence,
        bad_rows=bad,
    )


def _kind(name: str) -> str:
    for word, kind in (("invocation", "invocations"), ("duration", "durations"), ("memory", "memory")):
        if word in name:
            return kind
    return name


def _memory(memory: dict[str, NDArray[np.float64]], key: tuple[str, str]) -> float:
    """Memory is by application in the release, by function in some samples of it."""
    for name in (key[1], key[0]):
        if name in memory:
            return float(memory[name][0])
    return MEDIAN_MEMORY_MIB


def _read(source: Input, columns: dict[str, pa.DataType], options: Options, bad: dict[str, int]) -> pa.Table:
    separator = SEPARATORS.get(options.separator) or find_separator(source, list(columns))
    found = read_text(source, columns, separator)
    if found.problems and options.strict:
        raise found.problems[0].error(str(source))
    if found.problems:
        bad["they cannot be read"] = bad.get("they cannot be read", 0) + found.unreadable
    return found.table


def _counts(source: Input, options: Options, bad: dict[str, int]) -> tuple[list[tuple[str, str]], Integers, Integers]:
    """(application, function) of each row, the minutes, and the counts."""
    names = [name for name in read_header(source) if name.isdigit()]
    if not names:
        raise TraceValueError(f"{source}: has no column of a minute; those are numbers, 1 to 1440")
    texts = {"HashApp": pa.string(), "HashFunction": pa.string()}
    table = _read(source, {**texts, **dict.fromkeys(names, pa.int64())}, options, bad)
    counts = np.stack([table[name].fill_null(0).to_numpy() for name in names], axis=1).astype(np.int64)
    if (counts < 0).any():
        row, column = np.argwhere(counts < 0)[0]
        raise TraceValueError(
            f"{source}: row {row + 1}, column {names[column]}: {counts[row, column]} invocations; it must be at least 0"
        )
    keys = list(zip(table["HashApp"].to_pylist(), table["HashFunction"].to_pylist(), strict=True))
    return keys, np.array([int(name) for name in names], np.int64), counts


def _table(source: Input, values: list[str], options: Options, bad: dict[str, int]) -> dict[str, NDArray[np.float64]]:
    """Function, or application where the file has no functions -> its values."""
    key = "HashFunction" if "HashFunction" in read_header(source) else "HashApp"
    table = _read(source, {key: pa.string(), **dict.fromkeys(values, pa.float64())}, options, bad)
    rows = np.stack([table[name].to_numpy() for name in values], axis=1)
    if (rows < 0).any():
        row, column = np.argwhere(rows < 0)[0]
        raise TraceValueError(
            f"{source}: row {row + 1}, {values[column]} is {rows[row, column]:g}; it must be at least 0"
        )
    return dict(zip(table[key].to_pylist(), rows, strict=True))


def _draw(levels: NDArray[np.float64], function: Integers, rng: np.random.Generator) -> Integers:
    """Durations in ms, from the percentiles of each function."""
    share = 100.0 * rng.random(len(function))
    edges = np.array(_DURATION_LEVELS, np.float64)
    at = np.clip(np.searchsorted(edges, share, side="right") - 1, 0, len(edges) - 2)
    low, high = levels[function, at], levels[function, at + 1]
    drawn = low + (high - low) * (share - edges[at]) / (edges[at + 1] - edges[at])
    return np.maximum(1, np.rint(drawn)).astype(np.int64)


FORMAT: Format[Any] = Format(
    name="azure-functions-2019",
    kind="invocations",
    description="Azure Functions 2019: counts by minute, percentiles of durations and memory",
    options=Options,
    load=load,
    licence="CC BY 4.0",
    citation="Shahrad et al., Serverless in the Wild, ATC 2020",
    example="azure-functions-2019:azurefunctions-dataset2019",
    url="https://github.com/Azure/AzurePublicDataset",
    tables=True,
)
