"""Carbon intensity of a zone from the CSV files of Electricity Maps' data portal."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from configs.errors import did_you_mean
from traces.arrow import to_numpy
from traces.errors import TraceURIError, TraceValueError
from traces.format import Format
from traces.signals.series import Rows, epoch_seconds, to_signal
from traces.signals.signal import Signal
from traces.tables import read_csv, read_header

_SCOPES = {"direct": ("direct",), "life-cycle": ("life cycle", "lifecycle", "lca")}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of electricity-maps."""

    zone: str | None = field(
        default=None, metadata={"help": "zone id, such as DE or US-CAL-CISO; else the file's only one"}
    )
    scope: Literal["direct", "life-cycle"] = field(
        default="direct",
        metadata={"help": "emissions of the plants alone (GHG Protocol scope 2), or with building them"},
    )


def load(path: str, options: Options) -> Signal:
    """The average carbon intensity of one zone, hourly, UTC.

    The columns that count: `Datetime (UTC)`, `Zone id`, `Carbon intensity gCO2eq/kWh (direct)` or `(Life cycle)`, and
    `Data estimated`; releases write them in other cases, which does not matter.

    Raises:
        TraceURIError: the zone is not there, or the file has several and none is named.
        TraceError: the file cannot be read or breaks a rule.
    """
    columns = _columns(path, options.scope)
    table = read_csv(path, {columns[name]: kind for name, kind in _TYPES.items() if name in columns})
    zones = table.column(columns["zone"]).to_pylist()
    zone = _zone(path, options.zone, zones)
    rows = np.array([each == zone for each in zones], np.bool_)
    values = to_numpy(table.column(columns["value"]).fill_null(np.nan))
    rows &= np.isfinite(values)
    stamps = table.column(columns["time"]).to_pylist()
    flags = table.column(columns["estimated"]).to_pylist() if "estimated" in columns else [""] * len(zones)
    seconds = epoch_seconds([stamp for stamp, kept in zip(stamps, rows, strict=True) if kept], path)
    estimated = np.array([str(flag).strip().lower() == "true" for flag in flags], np.bool_)[rows]
    return to_signal(
        Rows(seconds, values[rows], estimated),
        quantity="carbon",
        zone=zone,
        unit="gCO2eq/kWh",
        basis="average",
        where=path,
        source=f"Electricity Maps, {zone}, {options.scope} emissions",
        licence=FORMAT.licence,
    )


_TYPES = {"time": pa.string(), "zone": pa.string(), "value": pa.float64(), "estimated": pa.string()}


def _columns(path: str, scope: str) -> dict[str, str]:
    """Our name of a column -> the file's."""
    header = read_header(path)
    plain = {name.lower(): name for name in header}
    found = {ours: plain[theirs] for ours, theirs in _WANTED.items() if theirs in plain}
    for name, written in plain.items():
        if name.startswith("carbon intensity") and any(word in name for word in _SCOPES[scope]):
            found["value"] = written
    for ours, theirs in {"time": "Datetime (UTC)", "zone": "Zone id", "value": f"Carbon intensity ({scope})"}.items():
        if ours not in found:
            raise TraceValueError(f"{path}: has no column {theirs}{did_you_mean(theirs, header)}")
    return found


_WANTED = {"time": "datetime (utc)", "zone": "zone id", "estimated": "data estimated"}


def _zone(path: str, zone: str | None, zones: list[str]) -> str:
    known = sorted(set(zones))
    if zone is None and len(known) > 1:
        raise TraceURIError(f"{path}: has the zones {', '.join(known[:8])}; choose one, such as ?zone={known[0]}")
    chosen = zone if zone is not None else (known[0] if known else "")
    if chosen not in known:
        raise TraceURIError(f"{path}: there is no zone {chosen!r}{did_you_mean(chosen, known)}")
    return chosen


FORMAT = Format(
    name="electricity-maps",
    kind="signal",
    description="average carbon intensity of a zone, hourly (Electricity Maps)",
    options=Options,
    load=load,
    licence="ODbL 1.0 (Electricity Maps)",
    citation="Electricity Maps, carbon intensity data, electricitymaps.com",
    example="electricity-maps:US-CAL-CISO_2023_hourly.csv",
)
