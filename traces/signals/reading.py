"""Rows of one zone of a CSV file of values over time: what the formats of signals share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from configs.errors import did_you_mean
from traces.cells import EMPTY
from traces.errors import TraceURIError, TraceValueError
from traces.signals.series import Rows, epoch_seconds
from traces.tables import read_csv

NO_VALUE: Final = (*EMPTY, "-", "n/e")
"""Cells that hold no value; `n/e` (not expected) and `-` are those of ENTSO-E and SMARD."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values of a signal are in a CSV file, and how they are written.

    Attributes:
        time: column of the times.
        value: column of the values.
        estimated: column that is true or 1 where a value is estimated; None: there is none.
        timezone: IANA name, of times without an offset.
        separator: between cells; None: found from the header.
        decimal: "." or ",".
        some_offsets: whether some times have an offset and others, which are in `timezone`, have none.
        to_iso: makes a time as it is written one that `epoch_seconds` reads; raises ValueError where it is none.
    """

    time: str
    value: str
    estimated: str | None = None
    timezone: str = "UTC"
    separator: str | None = None
    decimal: str = "."
    some_offsets: bool = False
    to_iso: Callable[[str], str] = str.strip


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows of a file are meant: those with one value in a column.

    Attributes:
        column: such as that of the zones.
        wanted: the value as the user wrote it; None: the only one.
        option: the option that chooses it, for messages.
    """

    column: str
    wanted: str | None
    option: str = "zone"

    def pick(self, path: str, values: Sequence[str]) -> str:
        """The value that is meant.

        Args:
            path: the file, for messages.
            values: of the rows.

        Raises:
            TraceURIError: there is no such value, or there are several and none is wanted.
        """
        known, name = sorted({each for each in values if each}), self.option
        if self.wanted is None and len(known) != 1:
            has = f"has the {name}s {', '.join(known[:8])}" if known else f"has no {name} in column {self.column}"
            raise TraceURIError(f"{path}: {has}; choose one, such as ?{name}={(known or ['X'])[0]}")
        chosen = known[0] if self.wanted is None else self.wanted
        if chosen not in known:
            raise TraceURIError(f"{path}: there is no {name} {chosen!r}{did_you_mean(chosen, known)}")
        return chosen


def read_rows(path: str, layout: Layout, choices: Sequence[Choice] = ()) -> tuple[list[str], Rows]:
    """The rows that are meant and have a value.

    Args:
        path: the file.
        layout: its columns.
        choices: which rows; the second chooses among those of the first.

    Returns:
        What each choice came to; and the rows in the order of the file.

    Raises:
        TraceURIError: a choice is not there, or there are several and none is named.
        TraceFileError: the file is missing or damaged.
        TraceValueError: a column is missing, or a value or a time is none: names the row.
    """
    names = [layout.time, layout.value, *(choice.column for choice in choices)]
    names += [] if layout.estimated is None else [layout.estimated]
    table = read_csv(path, dict.fromkeys(names, pa.string()), layout.separator)
    cells = {name: [text or "" for text in table.column(name).to_pylist()] for name in names}
    kept, chosen = np.arange(table.num_rows), []
    for choice in choices:
        column = [cells[choice.column][row] for row in kept.tolist()]
        chosen.append(choice.pick(path, column))
        kept = kept[np.array([each == chosen[-1] for each in column], np.bool_)]
    values = _numbers(path, cells[layout.value], kept, layout)
    # Rows without a value too: on the day of 25 hours it is the order of the rows that tells its two hours apart.
    seconds = _seconds(path, cells[layout.time], kept, layout)
    flags = np.zeros(len(kept), np.bool_)
    if layout.estimated is not None:
        column = cells[layout.estimated]
        flags = np.array([column[row].lower() in ("true", "1", "yes") for row in kept.tolist()], np.bool_)
    present = np.isfinite(values)
    return chosen, Rows(seconds[present], values[present], flags[present])


def in_usd(path: str, rows: Rows, unit: str, usd_per_unit: float | None) -> tuple[Rows, str]:
    """Rows of prices in another currency as prices in USD, and their unit.

    Args:
        path: the file, for messages.
        rows: the prices.
        unit: such as EUR/MWh.
        usd_per_unit: USD for one of the currency; None: the unit is left as it is.

    Raises:
        TraceURIError: the currency is another than USD and no rate is given, or the rate has no meaning.
    """
    currency, slash, energy = unit.partition("/")
    is_foreign = len(currency) == 3 and currency.isupper() and currency != "USD" and bool(slash)
    if not is_foreign:
        if usd_per_unit is not None:
            raise TraceURIError(f"{path}: usd_per_unit is a rate of another currency, and the unit is {unit}; drop it")
        return rows, unit
    if usd_per_unit is None:
        raise TraceURIError(f"{path}: prices are in {unit}; add ?usd_per_unit=RATE, the USD for one {currency}")
    if not 0.0 < usd_per_unit < np.inf:
        raise TraceURIError(f"{path}: usd_per_unit is {usd_per_unit}; it must be above 0")
    return replace(rows, values=rows.values * usd_per_unit), f"USD/{energy}"


def _numbers(path: str, cells: list[str], kept: NDArray[np.int64], layout: Layout) -> NDArray[np.float64]:
    values = np.full(len(kept), np.nan)
    for index, row in enumerate(kept.tolist()):
        text = cells[row]
        if text in NO_VALUE:
            continue
        try:
            values[index] = float(text if layout.decimal == "." else text.replace(".", "").replace(",", "."))
            if not np.isfinite(values[index]):
                raise ValueError(text)
        except ValueError:
            fix = "fix it, or give the option decimal" if "," in text else "fix or remove this row"
            raise TraceValueError(
                f"{path}: row {row + 1}, column {layout.value}: {text!r} is not a number; {fix}"
            ) from None
    return values


def _seconds(path: str, cells: list[str], kept: NDArray[np.int64], layout: Layout) -> NDArray[np.float64]:
    stamps = []
    for row in kept.tolist():
        try:
            stamps.append(layout.to_iso(cells[row]))
        except ValueError:
            raise TraceValueError(
                f"{path}: row {row + 1}, column {layout.time}: {cells[row]!r} is not a time of this format; "
                "fix or remove this row"
            ) from None
    return epoch_seconds(stamps, path, layout.timezone, kept + 1, some_offsets=layout.some_offsets)
