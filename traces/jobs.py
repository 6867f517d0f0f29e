"""What importers of jobs share: jobs that never ran, jobs without GPUs, whole jobs made of equal workers."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from traces.arrow import from_numpy, is_null, nullable, strings, to_numpy
from traces.rows import Rows
from traces.validation import Violation

NO_GPU = "it requests no GPU"
NEVER_RAN = "it never ran"
STILL_RAN = "it still ran at the end of the collection"

Gangs = Literal["split", "round", "drop"]
"""What becomes of workers that request 1.5 GPUs together: single jobs, a job of 2 GPUs, or nothing."""

_LENGTH = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.(\d+))?")


def numbers(rows: Rows, column: str, default: float = 0.0) -> NDArray[np.float64]:
    """A column of numbers, [rows] float64, with a default where it is null."""
    values = rows[column].cast(pa.float64())
    present = ~is_null(values)
    if present.all():
        return to_numpy(values)
    found = np.full(len(values), default, np.float64)
    found[present] = to_numpy(values.drop_null())
    return found


def texts(rows: Rows, column: str) -> list[str | None]:
    """A column of texts."""
    values: list[str | None] = rows[column].to_pylist()
    return values


def optional(values: Iterable[str | None]) -> pa.Array:
    """Texts as a column, null where there is none."""
    listed = list(values)
    present = np.array([value is not None for value in listed], np.bool_)
    return strings([value or "" for value in listed]).take(nullable(np.arange(len(listed)), present))


def mapped(rows: Rows, column: str, convert: Callable[[str], Any]) -> list[Any]:
    """What a function makes of each text, [rows], called once for each different text; None where there is none."""
    coded = rows[column].combine_chunks().dictionary_encode()
    values = [convert(text) for text in coded.dictionary.to_pylist()]
    return [None if code is None else values[code] for code in coded.indices.to_pylist()]


def floats(values: Iterable[float | None]) -> pa.Array:
    """Numbers as a column of float64, null where there is none."""
    listed = list(values)
    present = np.array([value is not None for value in listed], np.bool_)
    return nullable(np.array([value or 0.0 for value in listed], np.float64), present)


def whole(values: NDArray[np.float64], present: NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers as a column of int64, rounded; null where not present, or not finite."""
    fits = np.isfinite(values) & (np.abs(values) < 2**53)
    if present is not None:
        fits &= present
    return nullable(np.where(fits, np.round(np.where(fits, values, 0)), 0).astype(np.int64), fits)


def lists(values: Iterable[str | None]) -> pa.Array:
    """One GPU model for each job, [rows] list<string>; null: any."""
    listed = list(values)
    present = np.array([value is not None for value in listed], np.bool_)
    ends = np.concatenate([[0], np.cumsum(present)]).astype(np.int32)
    made = pa.ListArray.from_arrays(from_numpy(ends), strings([value for value in listed if value is not None]))
    return made.take(nullable(np.arange(len(listed)), present))


def length_seconds(text: str) -> float | None:
    """The seconds of a length as Slurm writes it: `[days-][hours:]minutes:seconds`; None where it is none."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:4])
    return days * 86_400.0 + hours * 3600 + minutes * 60 + seconds


def check_workers(rows: Rows, workers: str) -> None:
    """Leave out rows whose number of workers is not a whole one above 0."""
    rows.require(workers)
    counts = numbers(rows, workers)
    bad = ~((counts >= 1) & (counts == np.floor(counts)) & (counts <= 1e6))
    rows.check(
        [Violation(workers, bad, "is no number of workers", lambda row: f"{counts[row]:g} is no number of workers")]
    )


def gangs(rows: Rows, per_worker: str, workers: str, choice: Gangs) -> None:
    """Make GPUs of each worker and a number of workers the GPUs of whole jobs (`gpu_milli`).

    A job of several workers that share GPUs, such as 3 of half a GPU each, is no whole number of GPUs: a trace cannot
    hold it as one job. `choice` says what becomes of it.

    Args:
        rows: with both columns as float64; `cpu_milli` and `memory_mib`, where they are there, are of whole jobs.
        per_worker: column of the GPUs of a worker, above 0.
        workers: column of the number of workers, a whole number above 0.
        choice: `split`: each worker is a job (`name/0`, `name/1`...); `round`: up to whole GPUs; `drop`.
    """
    each, count = numbers(rows, per_worker), numbers(rows, workers)
    total = each * count
    odd = (count > 1) & (np.round(total, 6) != np.round(total)) | (count > 1) & (total < 1)
    if choice == "drop":
        rows.drop(odd, "its workers share GPUs, and it is no whole number of them (gangs=drop)")
        total = total[~odd]
    elif choice == "round":
        total = np.where(odd, np.ceil(total), total)
    elif odd.any():
        rows.split(np.where(odd, count, 1).astype(np.int64))
        total = np.where(odd, each, total)[rows.parts]
    rows.set("gpu_milli", np.round(total, 6))
    rows.table = rows.table.drop_columns([name for name in (per_worker, workers) if name != "gpu_milli"])
    rows.convert_gpus("gpu_milli")
