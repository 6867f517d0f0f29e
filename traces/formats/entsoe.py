"""Day-ahead prices of a bidding zone, as the ENTSO-E Transparency Platform exports them."""

import re
from dataclasses import dataclass, field

from traces.errors import TraceValueError
from traces.format import Format
from traces.signals.reading import Choice, Layout, in_usd, read_rows
from traces.signals.series import to_signal
from traces.signals.signal import Signal
from traces.tables import missing_column, read_header

_TIME = re.compile(r"MTU \((.+)\)")
_PRICE = re.compile(r"Day-ahead Price [(\[]([A-Z]{3}/MWh)[)\]]")
_MOMENT = re.compile(r"(\d\d)[./](\d\d)[./](\d{4}) (\d\d:\d\d(?::\d\d)?)(?: \((\w+)\))?")
_CLOCKS = {
    "UTC": "UTC",
    "CET/CEST": "Europe/Brussels",
    "WET/WEST": "Europe/Lisbon",
    "EET/EEST": "Europe/Helsinki",
}
"""The clock that the header names -> an IANA zone with it."""
_OFFSETS = {
    "UTC": "+00:00",
    "WET": "+00:00",
    "WEST": "+01:00",
    "CET": "+01:00",
    "CEST": "+02:00",
    "EET": "+02:00",
    "EEST": "+03:00",
}
"""What stands behind a time on the days when the clocks change -> its offset."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of entsoe."""

    usd_per_unit: float | None = field(
        default=None, metadata={"help": "USD for one unit of the currency of the prices; must be given"}
    )
    zone: str | None = field(default=None, metadata={"help": "area, such as BZN|DE-LU; else the file's only one"})
    sequence: str | None = field(
        default=None, metadata={"help": "auction, such as 'Sequence 1'; else the file's only one"}
    )


def load(path: str, options: Options) -> Signal:
    """The day-ahead prices of one area, hourly or by the quarter of an hour; they may be negative.

    Both layouts are read: `MTU (UTC)`, `Area`, `Sequence`, `Day-ahead Price (EUR/MWh)`, and the older one with
    `Day-ahead Price [EUR/MWh]` and `Currency`. A period is from `01/01/2024 00:00:00` on, `n/e` and an empty price are
    gaps. On the day when clocks go back the hour that comes twice is first in summer time, where it is not marked.

    Raises:
        TraceURIError: there are several areas or auctions and none is named, or no rate is given.
        TraceError: the file cannot be read or breaks a rule.
    """
    header = read_header(path)
    time, clock = _column(path, header, _TIME, "MTU (UTC)")
    value, unit = _column(path, header, _PRICE, "Day-ahead Price (EUR/MWh)")
    if clock not in _CLOCKS:
        raise TraceValueError(f"{path}: the clock {clock} is not known; export it in {' or '.join(_CLOCKS)}")
    choices = [Choice("Area", options.zone)] if "Area" in header else []
    choices += [Choice("Sequence", options.sequence, "sequence")] if "Sequence" in header else []
    layout = Layout(time, value, timezone=_CLOCKS[clock], some_offsets=True, to_iso=_start)
    chosen, rows = read_rows(path, layout, choices)
    zone = chosen[0] if "Area" in header else options.zone or _bidding_zone(header)
    rows, unit = in_usd(path, rows, unit, options.usd_per_unit)
    return to_signal(
        rows,
        quantity="price",
        zone=zone,
        unit=unit,
        basis="none",
        where=path,
        source=f"ENTSO-E, day-ahead prices of {zone}",
        licence=FORMAT.licence,
    )


def _column(path: str, header: list[str], pattern: re.Pattern[str], example: str) -> tuple[str, str]:
    """The column that matches, and what its name says in brackets."""
    for name in header:
        if match := pattern.fullmatch(name):
            return name, match[1]
    raise missing_column(path, f"such as {example}", header)


def _bidding_zone(header: list[str]) -> str:
    return next((name for name in header if name.startswith("BZN|")), "zone")


def _start(text: str) -> str:
    """The start of a period such as `31/10/2021 02:00:00 (CEST) - 31/10/2021 02:15:00 (CEST)`, ISO 8601."""
    match = _MOMENT.match(text)
    if match is None or (match[5] and match[5] not in _OFFSETS):
        raise ValueError(text)
    day, month, year, clock, marked = match.groups()
    return f"{year}-{month}-{day}T{clock}{_OFFSETS[marked] if marked else ''}"


def _detect(_name: str, text: str) -> str:
    header = text.partition("\n")[0]
    is_one = "MTU (" in header and "Day-ahead Price" in header
    return "its columns are those of ENTSO-E" if is_one else ""


FORMAT = Format(
    name="entsoe",
    kind="signal",
    description="day-ahead prices of European bidding zones, as the Transparency Platform exports them",
    options=Options,
    load=load,
    licence="of ENTSO-E's Transparency Platform",
    citation="ENTSO-E, Transparency Platform, transparency.entsoe.eu",
    url="https://transparency.entsoe.eu",
    detect=_detect,
    example="entsoe:GUI_ENERGY_PRICES_202012312300-202112312300.csv?usd_per_unit=1.18",
)
