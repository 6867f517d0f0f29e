"""A signal in any CSV file: carbon intensity, price or temperature, with the names of its columns as options."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from traces.errors import TraceURIError
from traces.format import Format
from traces.signals.reading import Choice, Layout, in_usd, read_rows
from traces.signals.series import to_signal
from traces.signals.signal import UNITS, Signal
from traces.tables import SEPARATORS


@dataclass(frozen=True, slots=True)
class Options:
    """Options of csv-signal."""

    quantity: Literal["carbon", "price", "temperature"] = field(default="carbon", metadata={"help": "what it measures"})
    unit: str | None = field(
        default=None, metadata={"help": "such as USD/MWh, EUR/MWh or lb/MWh; else gCO2e/kWh, USD/kWh or degC"}
    )
    basis: Literal["average", "marginal", "none"] | None = field(
        default=None, metadata={"help": "of carbon: of the whole mix, or of one kWh more; must be given for carbon"}
    )
    time: str = field(default="time", metadata={"help": "column of the times: ISO 8601, or seconds or ms since 1970"})
    value: str = field(default="value", metadata={"help": "column of the values"})
    timezone: str = field(default="UTC", metadata={"help": "of times without an offset, an IANA name"})
    zone: str | None = field(default=None, metadata={"help": "which zone; needed where zone_column has several"})
    zone_column: str | None = field(default=None, metadata={"help": "column of the zones; none: the file is one zone"})
    usd_per_unit: float | None = field(
        default=None, metadata={"help": "of prices: USD for one of the unit's currency, such as 1.18 for EUR/MWh"}
    )
    separator: Literal["auto", "comma", "semicolon", "tab", "pipe"] = field(
        default="auto", metadata={"help": "what stands between cells; auto: found from the header"}
    )
    decimal: Literal["point", "comma"] = field(default="point", metadata={"help": "sign of decimals"})
    time_format: str | None = field(
        default=None, metadata={"help": "of times that are no ISO 8601, such as %d.%m.%Y %H:%M"}
    )
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
    layout = Layout(
        options.time,
        options.value,
        options.estimated,
        options.timezone,
        SEPARATORS.get(options.separator),
        "," if options.decimal == "comma" else ".",
        to_iso=_iso if options.time_format is None else partial(_formatted, _checked(options.time_format)),
    )
    choices = [] if options.zone_column is None else [Choice(options.zone_column, options.zone)]
    chosen, rows = read_rows(path, layout, choices)
    unit = options.unit or UNITS[options.quantity]
    if options.quantity == "price" or options.usd_per_unit is not None:
        rows, unit = in_usd(path, rows, unit, options.usd_per_unit)
    return to_signal(
        rows,
        quantity=options.quantity,
        zone=chosen[0] if chosen else options.zone or "zone",
        unit=unit,
        basis=options.basis or "none",
        where=path,
        source=path,
        licence=FORMAT.licence,
    )


def _checked(time_format: str) -> str:
    """The format, where it can write a time and read it again.

    Raises:
        TraceURIError: it cannot.
    """
    try:
        _formatted(time_format, datetime(2021, 3, 4, 5, 6, tzinfo=UTC).strftime(time_format))
    except ValueError as error:
        raise TraceURIError(f"option time_format: {error}; write it as %d.%m.%Y %H:%M") from error
    return time_format


def _formatted(time_format: str, text: str) -> str:
    return datetime.strptime(text.strip(), time_format).isoformat()  # noqa: DTZ007 (the zone is the option timezone)


def _iso(text: str) -> str:
    return text.strip()


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
