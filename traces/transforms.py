"""Changes to a trace by options of its URI, the same for every format: `itp:x.csv?window=7d..14d&load=1.5`.

They apply in the order of the fields of `Transforms`, before jobs are selected by number and attributes are drawn. What
is random depends on `transform_seed` alone, so the URI names the exact jobs.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from configs.checks import check_number
from configs.errors import did_you_mean
from traces.arrow import from_numpy
from traces.errors import TraceURIError, TraceValueError
from traces.merging import moved, renamed
from traces.schema import SCHEMA
from traces.trace import Trace

SESSION_GAP_SECONDS: Final = 600.0
"""Submissions of one user with shorter gaps between them are one session: thinning keeps or drops it whole."""

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_MOMENT = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|d|w)?")
_PARTS = ("train", "validation", "test")


def _option(default: Any, description: str) -> Any:
    return field(default=default, metadata={"help": description})


@dataclass(frozen=True, slots=True)
class Transforms:
    """Options that every format of jobs takes, in the order in which they apply.

    Attributes:
        files: pattern of the names of files, where the path holds several.
        map_gpus: GPU models by other names, `V100:A100,*:T4`; `*` is every other model, and jobs that take any.
        part: jobs submitted in one of three consecutive spans of the trace; those that follow see nothing else.
        split: their lengths, relative to each other.
        window: jobs submitted from the one moment until before the other, `7d..14d`; either may be left out.
        resample: users are drawn with replacement, as many as there are; each brings all of its jobs. The number is
            the seed.
        warp: time runs so many times as fast: gaps between submissions shrink, run times stay.
        load: so many times the jobs. Above 1 copies that are shifted by whole weeks (or days) are laid over the trace;
            below 1 sessions of users are left out whole, so that what comes in one burst stays together.
        transform_seed: of `load`.
    """

    files: str | None = _option(None, "pattern of file names, where the path holds several: cluster0*")
    map_gpus: str | None = _option(None, "GPU models by other names: V100:A100,*:T4")
    part: Literal["all", "train", "validation", "test"] = _option("all", "one of three consecutive spans of the trace")
    split: str = _option("70:15:15", "their lengths, train:validation:test")
    window: str | None = _option(None, "jobs submitted from..until, with a unit of s, min, h, d, w: 7d..14d")
    resample: int | None = _option(None, "draw users with replacement, with this seed")
    warp: float = _option(1.0, "time runs so many times as fast; run times stay")
    load: float = _option(1.0, "so many times the jobs, by laying shifted copies over the trace or by leaving out")
    transform_seed: int = _option(0, "another seed leaves out others")

    def __post_init__(self) -> None:
        check_number("warp", self.warp, TraceValueError, above=0, high=1e6)
        check_number("load", self.load, TraceValueError, above=0, high=1000)
        check_number("transform_seed", self.transform_seed, TraceValueError, low=0, high=2**63)
        if self.resample is not None:
            check_number("resample", self.resample, TraceValueError, low=0, high=2**63)
        _shares(self.split)
        if self.window is not None:
            parse_window(self.window)
        if self.map_gpus is not None:
            _models(self.map_gpus)


def transform(trace: Trace, config: Transforms) -> Trace:
    """The trace after all changes.

    Raises:
        TraceURIError: a change leaves no job, or needs what the trace does not say.
    """
    if config.map_gpus is not None:
        trace = _map_gpus(trace, _models(config.map_gpus))
    if config.part != "all":
        trace = trace.window(*_span(trace, config.part, _shares(config.split)))
    if config.window is not None:
        trace = trace.window(*parse_window(config.window))
    if config.resample is not None:
        trace = _resample(trace, config.resample)
    if config.warp != 1:
        trace = _warp(trace, config.warp)
    if config.load != 1:
        trace = _scale(trace, config.load, config.transform_seed)
    return trace


def parse_window(text: str) -> tuple[float | None, float | None]:
    """The seconds of a window such as `7d..14d`; None where there is no bound.

    Raises:
        TraceValueError: it is none, or ends before it starts.
    """
    first, dots, last = text.partition("..")
    moments = [_seconds(each, text) if each else None for each in (first, last)]
    if not dots or moments == [None, None]:
        raise TraceValueError(f"window takes FROM..UNTIL such as 7d..14d, not {text!r}")
    start, end = moments
    if start is not None and end is not None and end <= start:
        raise TraceValueError(f"window {text!r} ends before it starts")
    return start, end


def _seconds(text: str, window: str) -> float:
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise TraceValueError(f"window {window!r}: {text!r} is no time such as 36h; units are {', '.join(_UNITS)}")
    return float(match[1]) * _UNITS[match[2] or "s"]


def _shares(text: str) -> list[float]:
    try:
        shares = [float(each) for each in text.split(":")]
    except ValueError:
        shares = []
    if len(shares) != len(_PARTS) or min(shares) < 0 or not 0 < sum(shares) < np.inf:
        raise TraceValueError(f"split takes three lengths such as 70:15:15, not {text!r}")
    return [share / sum(shares) for share in shares]


def _span(trace: Trace, part: str, shares: list[float]) -> tuple[float, float | None]:
    edges = trace.first_submit_seconds + np.cumsum([0.0, *shares]) * trace.span_seconds
    index = _PARTS.index(part)
    return float(edges[index]), None if index == len(_PARTS) - 1 else float(edges[index + 1])


def _models(text: str) -> dict[str, str]:
    pairs = [each.partition(":") for each in text.split(",")]
    if not all(old and colon and new for old, colon, new in pairs):
        raise TraceValueError(f"map_gpus takes OLD:NEW,OLD:NEW with * for any other, not {text!r}")
    return {old: new for old, _, new in pairs}


def _map_gpus(trace: Trace, models: dict[str, str]) -> Trace:
    lists = trace.table["gpu_models"].to_pylist()
    known = {model for each in lists for model in each or ()}
    for old in models:
        if old != "*" and old not in known:
            raise TraceURIError(f"map_gpus: no job names the GPU model {old!r}{did_you_mean(old, known)}")
    other = models.get("*")
    mapped = [
        list(dict.fromkeys(models.get(model, other or model) for model in each))
        if each
        else ([other] if other else None)
        for each in lists
    ]
    column = pa.array(mapped, SCHEMA.field("gpu_models").type)
    return _with(trace, trace.table.set_column(SCHEMA.get_field_index("gpu_models"), "gpu_models", column))


def _resample(trace: Trace, seed: int) -> Trace:
    names, user = trace.codes("user")
    if not names:
        raise TraceURIError("resample: the data set does not say who submitted; leave the option out")
    drawn = np.random.default_rng(seed).integers(len(names), size=len(names))
    members = [np.flatnonzero(user == code) for code in range(len(names))]
    index = np.concatenate([members[code] for code in drawn])
    copy = np.repeat(_occurrence(drawn), [len(members[code]) for code in drawn])
    order = np.lexsort((index, trace.submit_time_seconds[index]))
    return _with(trace, _copies(trace.table.take(from_numpy(index[order])), copy[order], "~", "user"))


def _occurrence(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each value occurred before, [values] int64."""
    order = np.argsort(values, kind="stable")
    first = np.flatnonzero(np.diff(values[order], prepend=-1))
    starts = np.repeat(first, np.diff(np.append(first, len(values))))
    count = np.empty(len(values), np.int64)
    count[order] = np.arange(len(values)) - starts
    return count


def _copies(table: pa.Table, copy: NDArray[np.int64], mark: str, *columns: str) -> pa.Table:
    """Another name for each copy but the first, in job ids and these columns."""
    suffix = [f"{mark}{number}" if number else "" for number in copy.tolist()]
    for name in ("job_id", *columns):
        table = renamed(table, name, [""] * len(suffix), suffix)
    return table


def _warp(trace: Trace, factor: float) -> Trace:
    submit = trace.submit_time_seconds
    # From the first submission on, so that a window of a trace stays where it is.
    later = (submit - trace.first_submit_seconds) / factor + trace.first_submit_seconds
    return _with(trace, moved(trace.table, later - submit))


def _scale(trace: Trace, factor: float, seed: int) -> Trace:
    rng = np.random.default_rng(seed)
    whole, rest = int(factor), factor % 1
    tables = [_copies(_shifted(trace, copy, rng), np.full(trace.num_jobs, copy), "+") for copy in range(whole)]
    if rest > 1e-12:
        table = _copies(_shifted(trace, whole, rng), np.full(trace.num_jobs, whole), "+")
        tables.append(table.take(from_numpy(np.flatnonzero(_kept_sessions(trace, rest, rng)))))
    return _with(trace, pa.concat_tables(tables))


def _shifted(trace: Trace, copy: int, rng: np.random.Generator) -> pa.Table:
    """The jobs, later by whole weeks (days, where it is short) around the end of the trace; copy 0 as they are."""
    period = 604_800.0 if trace.span_seconds >= 2 * 604_800 else 86_400.0
    periods = int(np.ceil(trace.span_seconds / period))
    if copy == 0 or periods < 2:
        return trace.table
    shift = float(rng.integers(1, periods)) * period
    since = trace.submit_time_seconds - trace.first_submit_seconds
    return moved(trace.table, np.where(since + shift < periods * period, shift, shift - periods * period))


def _kept_sessions(trace: Trace, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which jobs stay, [jobs] bool: sessions are chosen until their jobs are the share wanted."""
    _, user = trace.codes("user")
    submit = trace.submit_time_seconds
    order = np.lexsort((submit, user))
    breaks = (np.diff(submit[order], prepend=-np.inf) > SESSION_GAP_SECONDS) | (np.diff(user[order], prepend=-2) != 0)
    session = np.empty(len(order), np.int64)
    session[order] = np.cumsum(breaks) - 1
    jobs = np.bincount(session)
    chosen = rng.permutation(len(jobs))
    enough = np.cumsum(jobs[chosen]) <= share * len(order) + jobs[chosen] / 2
    stays = np.zeros(len(jobs), np.bool_)
    stays[chosen[enough]] = True
    kept: NDArray[np.bool_] = stays[session]
    return kept


def _with(trace: Trace, table: pa.Table) -> Trace:
    columns = {name: table.column(name) for name in SCHEMA.names}
    return replace(Trace.from_columns(columns, metadata=trace.metadata), uri=trace.uri)
