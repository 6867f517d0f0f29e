"""Grid events in any CSV file, a row each; the names of its columns are options."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from traces.arrow import to_numpy
from traces.errors import TraceURIError
from traces.format import Format
from traces.grid_events import GridEvents
from traces.signals.series import epoch_seconds
from traces.tables import read_csv


@dataclass(frozen=True, slots=True)
class Options:
    """Options of csv-grid-events."""

    start: str = field(default="start", metadata={"help": "column of the starts, ISO 8601 or seconds since 1970"})
    end: str = field(default="end", metadata={"help": "column of the ends, likewise"})
    power_kw: str | None = field(default=None, metadata={"help": "column of the budgets, kW"})
    fraction: str | None = field(default=None, metadata={"help": "column of the budgets, fractions of the peak power"})
    notice_hours: float = field(default=1.0, metadata={"help": "so long before its start an event is known"})
    notice: str | None = field(default=None, metadata={"help": "column of the notices, hours; else notice_hours"})
    timezone: str = field(default="UTC", metadata={"help": "of times without an offset, an IANA name"})


def load(path: str, options: Options) -> GridEvents:
    """The events of a CSV file.

    Raises:
        TraceURIError: no column of budgets is named.
        TraceError: the file cannot be read or breaks a rule.
    """
    if options.power_kw is None and options.fraction is None:
        raise TraceURIError(f"{path}: name the column of the budgets, such as ?power_kw=kw or ?fraction=share")
    numbers = [name for name in (options.power_kw, options.fraction, options.notice) if name is not None]
    columns = {options.start: pa.string(), options.end: pa.string(), **dict.fromkeys(numbers, pa.float64())}
    table = read_csv(path, columns)
    rows = table.num_rows

    def values(name: str | None, otherwise: float) -> NDArray[np.float64]:
        return np.full(rows, otherwise) if name is None else to_numpy(pc.fill_null(table.column(name), np.nan))

    starts, ends = (
        epoch_seconds([text or "" for text in table.column(name).to_pylist()], path, options.timezone)
        for name in (options.start, options.end)
    )
    budgets = values(options.power_kw, np.nan), values(options.fraction, np.nan)
    notice = 3600.0 * values(options.notice, options.notice_hours)
    return GridEvents.from_rows((starts, ends, *budgets, notice), source=path, licence=FORMAT.licence)


FORMAT = Format(
    name="csv-grid-events",
    kind="grid-events",
    description="times in which a site may draw no more than so much power, in any CSV file",
    options=Options,
    load=load,
    licence="as the file",
    citation="",
    example="csv-grid-events:events.csv?power_kw=budget_kw&notice_hours=2",
)
