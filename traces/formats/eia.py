"""Hourly average carbon intensity of US balancing authorities, computed from the EIA's hourly electric grid monitor."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from configs.errors import did_you_mean
from traces.errors import TraceFileError, TraceURIError
from traces.format import Format, has_columns
from traces.signals.reading import Layout, read_rows
from traces.signals.series import to_signal
from traces.signals.signal import Signal
from traces.tables import read_header

_HOUR_END, _CONSUMED = "UTC time", "CO2 Emissions Intensity for Consumed Electricity"
_WRITTEN = ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d%b%Y %H:%M:%S")
"""How an hour is written after a spreadsheet, or the EIA, saved it."""
_NAME = re.compile(r"(?:.*_)?([A-Z0-9]+)\.csv(?:\.(?:gz|bz2|zst))?")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of eia."""

    zone: str | None = field(
        default=None, metadata={"help": "balancing authority, such as CISO; else as the file's name"}
    )


def load(path: str, options: Options) -> Signal:
    """The carbon intensity of one zone.

    Two tables are read: `timestamp,avg_CI`, UTC and gCO2/kWh; and the EIA's own, a workbook of a balancing authority or
    a region (`CISO.xlsx`, `Region_NE.xlsx`) whose sheet of hourly data was saved as CSV: `UTC time`, at which an hour
    ends, and `CO2 Emissions Intensity for Consumed Electricity`, lb/kWh. An hour without a value is a gap.

    Args:
        path: a file named `..._ZONE.csv`, or the folder of several.
        options: the zone.

    Raises:
        TraceURIError: the zone is not there, or the folder has several and none is named.
        TraceError: the file cannot be read or breaks a rule.
    """
    file, zone = _find(path, options.zone)
    is_workbook = _HOUR_END in read_header(file)
    layout = Layout(_HOUR_END, _CONSUMED, to_iso=_hour_start) if is_workbook else Layout("timestamp", "avg_CI")
    _, rows = read_rows(file, layout)
    return to_signal(
        rows,
        quantity="carbon",
        zone=zone,
        unit="lb/kWh" if is_workbook else "gCO2/kWh",
        basis="average",
        where=file,
        source=f"US EIA hourly grid monitor, {zone}",
        licence=FORMAT.licence,
    )


def _hour_start(text: str) -> str:
    """Where the hour begins that ends at a time as spreadsheets write it, ISO 8601."""
    for form in _WRITTEN:
        try:
            end = datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return (end - timedelta(hours=1)).isoformat()
    raise ValueError(text)


def _find(path: str, zone: str | None) -> tuple[str, str]:
    if not Path(path).is_dir():
        match = _NAME.fullmatch(Path(path).name)
        named = match[1] if match else None
        if zone is not None and named is not None and zone != named:
            raise TraceURIError(f"{path}: is the file of zone {named}, not of {zone}; name the folder or another file")
        if zone is None and named is None:
            raise TraceURIError(f"{path}: its name does not end in a zone, such as _CISO.csv; add ?zone=CISO")
        return path, zone or named or ""
    found = {match[1]: file for file in sorted(Path(path).iterdir()) if (match := _NAME.fullmatch(file.name))}
    if not found:
        raise TraceFileError(f"{path}: the folder has no file named ..._ZONE.csv; check the path")
    if zone is None and len(found) > 1:
        raise TraceURIError(f"{path}: has the zones {', '.join(found)}; choose one, such as ?zone={min(found)}")
    chosen = zone or next(iter(found))
    if chosen not in found:
        raise TraceURIError(f"{path}: there is no zone {chosen!r}{did_you_mean(chosen, found)}; has {', '.join(found)}")
    return str(found[chosen]), chosen


FORMAT = Format(
    name="eia",
    kind="signal",
    description="average carbon intensity of US balancing authorities, hourly (US EIA)",
    options=Options,
    load=load,
    licence="public domain (US EIA)",
    citation="U.S. Energy Information Administration, Hourly Electric Grid Monitor (EIA-930)",
    example="eia:eia2022_CISO.csv.gz",
    url="https://www.eia.gov/electricity/gridmonitor",
    detect=has_columns("timestamp", "avg_CI"),
)
