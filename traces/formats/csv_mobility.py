"""Positions of users in any CSV file: time, user, latitude and longitude; and places where users live."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from traces.arrow import to_numpy
from traces.errors import TraceValueError
from traces.format import Format
from traces.geography import Numbers
from traces.mobility.paths import Mobility
from traces.tables import read_csv

EPOCH_SECONDS = 1e8
"""Times beyond this count from 1970, others from the start of the file's own clock."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of csv-mobility."""

    time: str = field(
        default="time",
        metadata={"help": "column of the times: seconds or ISO 8601; empty: the file has none, users stand still"},
    )
    user: str = field(default="user", metadata={"help": "column of the users; empty: each row is one"})
    latitude: str = field(default="lat", metadata={"help": "column of the latitudes, degrees"})
    longitude: str = field(default="lon", metadata={"help": "column of the longitudes, degrees"})


def load(path: str, options: Options) -> Mobility:
    """The positions of a CSV file, rows of different users in any mixture.

    Raises:
        TraceError: the file cannot be read, or the times of a user go backwards: names the row.
    """
    named: dict[str, pa.DataType | None] = {options.latitude: pa.float64(), options.longitude: pa.float64()}
    named |= {name: pa.string() for name in (options.time, options.user) if name}
    table = read_csv(path, named)
    latitude, longitude = (to_numpy(table.column(name)) for name in (options.latitude, options.longitude))
    users = [f"user-{row}" for row in range(len(latitude))]
    if options.user:
        users = [str(user) for user in table.column(options.user).to_pylist()]
    seconds, start = np.zeros(len(users)), None
    if options.time:
        seconds, start = relative_seconds([str(text) for text in table.column(options.time).to_pylist()], path)
    return Mobility.from_points(
        users, seconds, latitude, longitude, source=path, licence=FORMAT.licence, start_time=start
    )


def relative_seconds(texts: list[str], where: str, row: str = "row") -> tuple[Numbers, datetime | None]:
    """Seconds from second 0, and the moment of second 0 (UTC) where the file tells it.

    Args:
        texts: seconds from any moment, seconds since 1970, or ISO 8601; all of one kind.
        where: the file, for messages.
        row: what the file calls an item, for messages.

    Raises:
        TraceValueError: one is no time, or kinds are mixed: names the row.
    """
    values = np.empty(len(texts))
    kinds = np.zeros(len(texts), np.bool_)
    for index, text in enumerate(texts):
        values[index], kinds[index] = _seconds(text, f"{where}: {row} {index + 1}")
    if kinds.any() and not kinds.all():
        index = int((kinds != kinds[0]).argmax())
        raise TraceValueError(
            f"{where}: {row} {index + 1}: {texts[index]!r} is a time of another kind than {texts[0]!r}; use one kind"
        )
    if not kinds.any():
        return values, None
    earliest = float(values.min())
    return values - earliest, datetime.fromtimestamp(earliest, UTC).replace(tzinfo=None)


def _seconds(text: str, where: str) -> tuple[float, bool]:
    """A time, and whether it counts from 1970."""
    try:
        value = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError as error:
            wanted = "seconds or a time such as 2024-01-01T08:00:00Z"
            raise TraceValueError(f"{where}: the time {text!r} is not {wanted}; fix or remove it") from error
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), True
    if not np.isfinite(value):
        raise TraceValueError(f"{where}: the time {text!r} is not finite; fix or remove it")
    return value, value > EPOCH_SECONDS


FORMAT = Format(
    name="csv-mobility",
    kind="mobility",
    description="positions of users over time, or where they live, in any CSV file",
    options=Options,
    load=load,
    licence="as the file",
    citation="",
    example="csv-mobility:taxis.csv?time=t&user=taxi&latitude=y&longitude=x",
)
