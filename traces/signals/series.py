"""From rows of a file to a `Signal`: units, time zones, order, duplicates and gaps; what is odd is counted."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from traces.errors import TraceValueError
from traces.signals.signal import Basis, Quality, Quantity, Signal, utc_text

FACTORS: dict[Quantity, dict[str, float]] = {
    "carbon": {
        "gCO2e/kWh": 1.0,
        "gCO2eq/kWh": 1.0,
        "gCO2/kWh": 1.0,
        "kg/MWh": 1.0,
        "t/MWh": 1000.0,
        "lb/MWh": 0.45359237,
        "lb/kWh": 453.59237,
    },
    "price": {"USD/kWh": 1.0, "USD/MWh": 0.001},
    "temperature": {"degC": 1.0},
}
"""Unit of a file: what a value is multiplied with. `lb/MWh` is what WattTime and US eGRID use."""

MAX_SERIES_STEPS = 10_000_000
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
OUTLIER_RANGES = 10.0
DAY_SECONDS = 86400.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one zone as they are in a file.

    Attributes:
        time_seconds: [N] float64, seconds since the Unix epoch.
        values: [N] float64, in the file's unit.
        estimated: [N] bool.
    """

    time_seconds: NDArray[np.float64]
    values: NDArray[np.float64]
    estimated: NDArray[np.bool_]


def epoch_seconds(
    stamps: list[str],
    where: str,
    timezone: str = "UTC",
    numbers: NDArray[np.int64] | None = None,
    *,
    some_offsets: bool = False,
) -> NDArray[np.float64]:
    """Read the stamps of a file.

    Args:
        stamps: iSO 8601 times, with or without an offset, or numbers: seconds or milliseconds since the Unix epoch, all
            of one kind.
        where: the file, for messages.
        timezone: iANA name of the zone of times without an offset. On a day of 25 hours the hour that comes twice is
            first read in summer time, then in winter time; a day of 23 hours has no such hour.
        numbers: [N] row of the file of each, for messages; None: 1, 2, 3...
        some_offsets: whether some times may have an offset and others none.

    Returns:
        [N] float64, seconds since the Unix epoch.

    Raises:
        TraceValueError: a stamp is no time, kinds are mixed, or there is no such zone.
    """
    lines = np.arange(1, len(stamps) + 1) if numbers is None else numbers
    values = [_number(text) for text in stamps]
    if any(value is not None for value in values):
        return _numeric(values, stamps, where, lines)
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise TraceValueError(f"{where}: there is no time zone {timezone!r}; use an IANA name, such as UTC") from error
    seen: Counter[str] = Counter()
    seconds = np.empty(len(stamps))
    is_local: bool | None = None
    for row, text in enumerate(stamps):
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError as error:
            wanted = "a time such as 2022-01-01T00:00:00Z"
            raise TraceValueError(f"{where}: row {lines[row]}: {text!r} is not {wanted}; fix or remove it") from error
        if is_local is None:
            is_local = moment.tzinfo is None
        elif is_local != (moment.tzinfo is None) and not some_offsets:
            kinds = (
                "has an offset, those before it have none" if is_local else "has no offset, those before it have one"
            )
            raise TraceValueError(f"{where}: row {lines[row]}: {text!r} {kinds}; put all on one clock")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone, fold=min(seen[text], 1))
            seen[text] += _is_ambiguous(moment)
        seconds[row] = moment.timestamp()
    _check_epoch(seconds, where, lines)
    return seconds


def _is_ambiguous(moment: datetime) -> bool:
    return moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _numeric(
    numbers: list[float | None], stamps: list[str], where: str, lines: NDArray[np.int64]
) -> NDArray[np.float64]:
    for row, number in enumerate(numbers):
        if number is None:
            problem = f"{stamps[row]!r} is no number, and other times are numbers"
            raise TraceValueError(f"{where}: row {lines[row]}: {problem}")
    values = np.array(numbers, np.float64)
    is_milli = values > 1e11  # the year 5138 in seconds, 1973 in milliseconds
    if is_milli.any() and not is_milli.all():
        row = int(np.flatnonzero(is_milli != is_milli[0])[0])
        kinds = f"seconds and milliseconds ({stamps[0]}, {stamps[row]})"
        raise TraceValueError(f"{where}: row {lines[row]}: times are mixed, {kinds}; use one")
    seconds = values / 1000.0 if is_milli.any() else values
    _check_epoch(seconds, where, lines)
    return seconds


def _check_epoch(seconds: NDArray[np.float64], where: str, lines: NDArray[np.int64]) -> None:
    for row in (int(seconds.argmin()), int(seconds.argmax())) if len(seconds) else ():
        if not EARLIEST.timestamp() <= seconds[row] <= LATEST.timestamp():
            raise TraceValueError(
                f"{where}: row {lines[row]}: {utc_text(float(seconds[row]))} is not between 1990 and 2100; times are "
                "ISO 8601, or seconds or milliseconds since 1970"
            )


def unit_factor(quantity: Quantity, unit: str, where: str) -> float:
    """What values of a unit are multiplied with.

    Raises:
        TraceValueError: the quantity has no such unit.
    """
    factors = FACTORS[quantity]
    if unit not in factors:
        raise TraceValueError(
            f"{where}: {unit!r} is no unit of {quantity}{did_you_mean(unit, factors)}; units are {', '.join(factors)}"
        )
    return factors[unit]


def to_signal(
    rows: Rows,
    *,
    quantity: Quantity,
    zone: str,
    unit: str,
    basis: Basis,
    where: str,
    source: str,
    licence: str,
    uri: str = "",
) -> Signal:
    """Sort rows, fill gaps and count all that is odd.

    Gaps are filled with the value one day before, else with the last one, and count as estimated. A gap is a missing
    multiple of the most frequent step.

    Raises:
        TraceValueError: there is no row, a unit or a value has no meaning, or the gaps are larger than the data.
    """
    if not len(rows.values):
        raise TraceValueError(f"{where}: there is no value; check that it is the right file, and the zone")
    bad = np.flatnonzero(~np.isfinite(rows.values))
    if len(bad):
        raise TraceValueError(
            f"{where}: row {bad[0] + 1} of zone {zone}: the value is no finite number; fix or remove it"
        )
    values = rows.values * unit_factor(quantity, unit, where)
    lowest = int(values.argmin())
    if quantity == "carbon" and values[lowest] < 0.0:
        when = utc_text(float(rows.time_seconds[lowest]))
        raise TraceValueError(f"{where}: {rows.values[lowest]:g} {unit} at {when} is negative; carbon is at least 0")
    unsorted = int((np.diff(rows.time_seconds) < 0).sum())
    order = np.argsort(rows.time_seconds, kind="stable")
    times, values, estimated = rows.time_seconds[order], values[order], rows.estimated[order]
    again = np.flatnonzero(np.diff(times) == 0)
    conflicts = int((values[again] != values[again + 1]).sum())
    keep = np.ones(len(times), np.bool_)
    keep[again] = False  # the last row of a time counts
    times, values, estimated = times[keep], values[keep], estimated[keep]
    step = _step_seconds(times)
    times, values, estimated, filled = _fill_gaps(times, values, estimated, step, where)
    quality = Quality(
        rows=len(rows.values),
        gaps_filled=filled,
        duplicates=len(again) - conflicts,
        conflicts=conflicts,
        unsorted=unsorted,
        zeros=int((values == 0.0).sum()),
        outliers=_outliers(values),
        estimated=int(estimated.sum()),
    )
    end = float(times[-1] + step)
    return Signal(quantity, zone, times, values, end, basis, estimated, quality, source, licence, uri)


def _step_seconds(times: NDArray[np.float64]) -> float:
    """The most frequent step, the shortest of equals; one hour for a single row."""
    if len(times) < 2:
        return 3600.0
    steps, counts = np.unique(np.diff(times), return_counts=True)
    return float(steps[counts.argmax()])


def _fill_gaps(
    times: NDArray[np.float64], values: NDArray[np.float64], estimated: NDArray[np.bool_], step: float, where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], int]:
    after = np.flatnonzero(np.diff(times) > step)
    if not len(after):
        return times, values, estimated, 0
    missing = np.ceil(np.diff(times)[after] / step).astype(np.int64) - 1
    if missing.sum() > MAX_SERIES_STEPS:
        raise TraceValueError(f"{where}: {missing.sum():,} steps of {step:g} s are missing; are the times of one kind?")
    new_times = np.concatenate(
        [times[at] + step * np.arange(1, count + 1) for at, count in zip(after, missing, strict=True)]
    )
    every = np.concatenate([times, new_times])
    order = np.argsort(every, kind="stable")
    every = every[order]
    is_new = (order >= len(times)).astype(np.bool_)
    filled = np.concatenate([values, np.full(len(new_times), np.nan)])[order]
    for index in np.flatnonzero(is_new):  # in order, so that a gap of days is filled with days
        before = int(np.searchsorted(every, every[index] - DAY_SECONDS))
        has_day = before < index and every[before] == every[index] - DAY_SECONDS
        filled[index] = filled[before] if has_day else filled[index - 1]
    flags = np.concatenate([estimated, np.ones(len(new_times), np.bool_)])[order]
    return every, filled, flags, len(new_times)


def _outliers(values: NDArray[np.float64]) -> int:
    low, middle, high = np.percentile(values, (5.0, 50.0, 95.0))
    spread = high - low
    return int((np.abs(values - middle) > OUTLIER_RANGES * spread).sum()) if spread > 0.0 else 0


def hourly(start: datetime, values: NDArray[np.float64]) -> Rows:
    """Rows of one value an hour from `start` (UTC) on."""
    times = start.timestamp() + 3600.0 * np.arange(len(values), dtype=np.float64)
    return Rows(times, np.asarray(values, np.float64), np.zeros(len(values), np.bool_))
