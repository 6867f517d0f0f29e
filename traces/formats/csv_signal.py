"""A signal in any CSV file: carbon intensity, price or temperature, with the names of its columns as options."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from configs.errors import did_you_mean
from traces.arrow import to_numpy
from traces.errors import TraceURIError
from traces.format import Format
from traces.signals.series import Rows, epoch_seconds, to_signal
from traces.signals.signal import UNITS, Signal
from traces.tables import read_csv


@dataclass(frozen=True, slots=True)
class Options:
    """Options of csv-signal."""

    quantity: Literal["carbon", "price", "temperature"] = field(default="carbon", metadata={"help": "what it measures"})
    unit: str | None = field(
        default=None, metadata={"help": "such as USD/MWh or lb/MWh; else gCO2e/kWh, USD/kWh or degC"}
    )
    basis: Literal["average", "marginal", "none"] | None = field(
        default=None, metadata={"help": "of carbon: of the whole mix, or of one kWh more; must be given for carbon"}
    )
    time: str = field(default="time", metadata={"help": "column of the times: ISO 8601, or seconds or ms since 1970"})
    value: str = field(default="value", metadata={"help": "column of the values"})
    timezone: str = field(default="UTC", metadata={"help": "of times without an offset, an IANA name"})
    zone: str | None = field(default=None, metadata={"help": "which zone; needed where zone_column has several"})
    zone_column: str | None = field(default=None, metadata={"help": "column of the zones; none: the file is one zone"})
    estimated: str | None = field(
        default=None, metadata={"help": "column that is true or 1 where a value is estimated"}
    )


def load(path: str, options: Options) -> Signal:
    """The signal in a CSV file; an empty value is a gap.

    Raises:
        TraceURIError: carbon without a basis, or the zone is not there.
        TraceError: the file cannot be read or breaks a rule.
    """
    if options.quantity == "carbon" and options.basis in (None, "none"):
        raise TraceURIError(f"{path}: carbon is average or marginal, and the file does not say; add ?basis=average")
    named = {options.time: pa.string(), options.value: pa.float64()}
    named |= {name: pa.string() for name in (options.zone_column, options.estimated) if name is not None}
    table = read_csv(path, named)
    values = to_numpy(table.column(options.value).fill_null(np.nan))
    rows = np.isfinite(values)
    zone = options.zone or "zone"
    if options.zone_column is not None:
        zones = table.column(options.zone_column).to_pylist()
        zone = _zone(path, options.zone, zones)
        rows &= np.array([each == zone for each in zones], np.bool_)
    estimated = np.zeros(int(rows.sum()), np.bool_)
    if options.estimated is not None:
        flags = [str(flag).strip().lower() for flag in table.column(options.estimated).to_pylist()]
        estimated = np.array([flag in ("true", "1", "yes") for flag in flags], np.bool_)[rows]
    stamps = table.column(options.time).to_pylist()
    seconds = epoch_seconds([stamp for stamp, kept in zip(stamps, rows, strict=True) if kept], path, options.timezone)
    return to_signal(
        Rows(seconds, values[rows], estimated),
        quantity=options.quantity,
        zone=zone,
        unit=options.unit or UNITS[options.quantity],
        basis=options.basis or "none",
        where=path,
        source=path,
        licence=FORMAT.licence,
    )


def _zone(path: str, zone: str | None, zones: list[str]) -> str:
    known = sorted(set(zones))
    if zone is None and len(known) != 1:
        raise TraceURIError(
            f"{path}: has the zones {', '.join(known[:8])}; choose one, such as ?zone={(known or ['X'])[0]}"
        )
    chosen = zone or known[0]
    if chosen not in known:
        raise TraceURIError(f"{path}: there is no zone {chosen!r}{did_you_mean(chosen, known)}")
    return chosen


FORMAT = Format(
    name="csv-signal",
    kind="signal",
    description="carbon intensity, price or temperature in any CSV file",
    options=Options,
    load=load,
    licence="as the file",
    citation="",
    example="csv-signal:prices.csv?quantity=price&unit=USD/MWh&time=hour&value=lmp",
)
