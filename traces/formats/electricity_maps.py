"""Carbon intensity of a zone from the CSV files of Electricity Maps' data portal."""

from dataclasses import dataclass, field
from typing import Literal

from traces.format import Format
from traces.signals.reading import Choice, Layout, read_rows
from traces.signals.series import to_signal
from traces.signals.signal import Signal
from traces.tables import missing_column, read_header

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
    """The average carbon intensity of one zone, UTC: by the hour, by 15 or 5 minutes.

    The columns that count: `Datetime (UTC)`, `Zone id`, `Carbon intensity gCO2eq/kWh (direct)` or `(Life cycle)`, and
    `Data estimated`; releases write them in other cases, which does not matter.

    Raises:
        TraceURIError: the zone is not there, or the file has several and none is named.
        TraceError: the file cannot be read or breaks a rule.
    """
    columns = _columns(path, options.scope)
    layout = Layout(columns["time"], columns["value"], columns.get("estimated"))
    [zone], rows = read_rows(path, layout, [Choice(columns["zone"], options.zone)])
    return to_signal(
        rows,
        quantity="carbon",
        zone=zone,
        unit="gCO2eq/kWh",
        basis="average",
        where=path,
        source=f"Electricity Maps, {zone}, {options.scope} emissions",
        licence=FORMAT.licence,
    )


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
            raise missing_column(path, theirs, header)
    return found


_WANTED = {"time": "datetime (utc)", "zone": "zone id", "estimated": "data estimated"}


def _detect(_name: str, text: str) -> str:
    header = text.partition("\n")[0].lower()
    is_one = _WANTED["time"] in header and "carbon intensity" in header
    return "its columns are those of Electricity Maps" if is_one else ""


FORMAT = Format(
    name="electricity-maps",
    kind="signal",
    description="average carbon intensity of a zone, hourly or finer (Electricity Maps)",
    options=Options,
    load=load,
    licence="ODbL 1.0 (Electricity Maps)",
    citation="Electricity Maps, carbon intensity data, electricitymaps.com",
    example="electricity-maps:US-CAL-CISO_2023_hourly.csv",
    url="https://portal.electricitymaps.com/datasets",
    detect=_detect,
)
