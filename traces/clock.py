"""Wall-clock times as texts, in the ways in which logs write them, on one clock."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traces.arrow import from_numpy, is_null, nullable, strings, to_numpy
from traces.cells import EMPTY
from traces.rows import Rows
from traces.times import from_timestamps, seconds_since
from traces.validation import Violation, near

NO_TIME: Final = (*EMPTY, "Unknown", "UNKNOWN", "N/a", "-1")
"""Texts that say that a time is not known."""

_ZONE = re.compile(r"(.*?)\s*(Z|UTC|[+-]\d\d:?\d\d)?", re.DOTALL)
_SLASHES = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})[ T](\d{1,2}:\d\d.*)")
_DIGITS = re.compile(r"\d+(\.\d+)?")
_MICROSECOND = pa.timestamp("us")


def read_times(rows: Rows, columns: Sequence[str]) -> None:
    """Make columns of texts timestamps on one clock; null where there is no time.

    A text is ISO 8601 with a blank or a T, with or without an offset, its date also as in 2023/7/5 2:19, or a number of
    seconds since 1970. Offsets are taken off, so that the wall-clock time at the cluster stays.

    Args:
        rows: texts that are no time are a reason to leave a row out.
        columns: names of string columns; the first is that of submit times.

    Raises:
        TraceValueError: two times differ in their offset, or some are numbers and others are not: names the row.
    """
    zone: str | None = None
    for column in columns:
        values, zone = _read(rows, column, zone)
        rows.set(column, values)
    for column in columns:
        # A timestamp before year 1: what `_read` makes of a text that is no time.
        bad = to_numpy(pc.coalesce(rows[column].cast(pa.int64()), from_numpy(np.zeros(rows.table.num_rows, np.int64))))
        is_bad = bad == _NOT_A_TIME
        rows.check([Violation(column, is_bad, "is not a time", _not_a_time)])


def set_second_0(rows: Rows, times: Sequence[str] = ()) -> datetime | None:
    """Make timestamps seconds from the earliest submission.

    Args:
        rows: with `submit_time_seconds`, Arrow timestamps.
        times: other columns of timestamps.

    Returns:
        The wall-clock time of second 0; None without rows.
    """
    rows.require("submit_time_seconds")
    rows.check(near(rows["submit_time_seconds"], "submit_time_seconds"))
    submit, start = from_timestamps(rows["submit_time_seconds"])
    rows.set("submit_time_seconds", submit)
    if start is not None:
        for name in times:
            rows.set(name, seconds_since(rows[name], start))
    return start


def seconds_between(rows: Rows, start: str, end: str) -> pa.ChunkedArray:
    """Seconds from one column of timestamps to another, [rows] float64; null where one of them is."""
    difference = pc.subtract(rows[end].cast(pa.int64()), rows[start].cast(pa.int64()))
    return pc.divide(
        difference.cast(pa.float64(), safe=False), pa.chunked_array([from_numpy(np.full(rows.table.num_rows, 1e6))])
    )


_NOT_A_TIME = -(2**62)
_MAX_DIGITS = 1e12  # seconds since 1970; more do not fit as microseconds


def _not_a_time(_: int) -> str:
    return "is not a time such as 2017-10-09 07:01:55; fix or remove this row"


def _read(rows: Rows, column: str, zone: str | None) -> tuple[pa.ChunkedArray, str]:
    texts = rows[column]
    known = ~to_numpy(pc.is_in(texts, value_set=strings(NO_TIME)).cast(pa.int8())).astype(np.bool_) & ~is_null(texts)
    if not known.any():
        return pa.chunked_array([pa.nulls(len(texts), _MICROSECOND)]), zone or ""
    found = texts.take(from_numpy(np.flatnonzero(known)))
    common = _zone_of(found[0].as_py())
    times = _cast(found, common)
    if times is None or (zone is not None and zone != common):
        times, common = _each(rows, column, found.to_pylist(), np.flatnonzero(known), zone)
    place = np.cumsum(known) - 1
    return times.take(nullable(place, known)), common


def _cast(texts: pa.ChunkedArray, zone: str) -> pa.ChunkedArray | None:
    """All texts at once, where they have the same ending; None where that does not work."""
    if zone == "1970":
        return None
    if zone:
        if not pc.all(pc.ends_with(texts, pattern=zone)).as_py():
            return None
        texts = pc.utf8_rtrim_whitespace(pc.utf8_slice_codeunits(texts, start=0, stop=-len(zone)))
    try:
        return texts.cast(_MICROSECOND)
    except pa.ArrowException:
        return None


def _each(
    rows: Rows, column: str, texts: list[str], index: np.ndarray, zone: str | None
) -> tuple[pa.ChunkedArray, str]:
    values = np.full(len(texts), _NOT_A_TIME, np.int64)
    first: str | None = None
    for number, text in enumerate(texts):
        value = _microseconds(text)
        if value is None:
            continue
        own = _zone_of(text)
        expected = zone if zone is not None else first
        if expected is not None and own != expected:
            problem = f"{text!r} is {_describe(own)}, those before it are {_describe(expected)}; put all on one clock"
            raise rows.origin.error(int(index[number]), column, problem)
        first, values[number] = own, value
    return pa.chunked_array([from_numpy(values).cast(_MICROSECOND)]), first if first is not None else zone or ""


def _zone_of(text: str) -> str:
    if _DIGITS.fullmatch(text):
        return "1970"
    match = _ZONE.fullmatch(text)
    return (match[2] if match else None) or ""


def _describe(zone: str) -> str:
    return {"": "without an offset", "1970": "in seconds from 1970"}.get(zone, f"at {zone}")


def _microseconds(text: str) -> int | None:
    if _DIGITS.fullmatch(text):
        return round(float(text) * 1e6) if float(text) < _MAX_DIGITS else None
    match = _ZONE.fullmatch(text)
    assert match is not None
    slashes = _SLASHES.fullmatch(match[1])
    iso = "{}-{:0>2}-{:0>2} {:0>5}".format(*slashes.groups()) if slashes else match[1]
    try:
        time = datetime.fromisoformat(iso)
    except ValueError:
        return None
    if time.tzinfo is not None:
        return None
    return (time - datetime.fromisoformat("1970-01-01")) // timedelta(microseconds=1)
