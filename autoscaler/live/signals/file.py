"""The source `file`: a CSV file that is read again when it changes, such as one that another program writes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from autoscaler.live.signal_config import QUANTITIES, Quantity, SignalConfigError, SignalSource
from autoscaler.live.signals.base import (
    Around,
    Problem,
    Reading,
    Source,
    SourceError,
    SourceKind,
    check_unit,
    converted,
    step_seconds,
)
from configs.errors import did_you_mean
from traces.signals.series import epoch_seconds


@dataclass(frozen=True, slots=True)
class FileSettings:
    """A CSV file with a header.

    Attributes:
        path: the file.
        unit: of its values, such as `USD/MWh` or `lb/MWh`; None: gCO2e/kWh or USD/kWh.
        time: column of the times: ISO 8601, or seconds or ms since 1970.
        value: column of the values; a row without one is left out.
        timezone: of times without an offset, an IANA name.
        basis: of carbon: `average` or `marginal`.
    """

    path: str
    unit: str | None = None
    time: str = "time"
    value: str = "value"
    timezone: str = "UTC"
    basis: Literal["average", "marginal", "none"] = "none"


class FileSource:
    """Reads the file when it is not as it was at the last read."""

    def __init__(self, settings: FileSettings, quantity: Quantity) -> None:
        self._settings, self._quantity = settings, quantity
        self._seen: tuple[int, int, int] | None = None
        self._reading: Reading | None = None

    def read(self, since_seconds: float | None) -> Reading:
        """See `Source`; the whole file each time that it changed."""
        path = Path(self._settings.path)
        try:
            stat = path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if self._reading is None or seen != self._seen:
                self._reading = read_csv(self._settings, self._quantity)
                self._seen = seen
        except FileNotFoundError:
            raise SourceError(Problem.MISSING, f"{path}: there is no such file") from None
        except OSError as error:
            raise SourceError(Problem.UNREACHABLE, f"{path}: {error.strerror or type(error).__name__}") from None
        return self._reading


def read_csv(settings: FileSettings, quantity: Quantity) -> Reading:
    """The values of a file.

    Raises:
        SourceError: it is no such table, or a value or a time cannot be.
        OSError: it cannot be read.
    """
    where = settings.path
    try:
        with Path(settings.path).open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {settings.time, settings.value} - set(rows.fieldnames or ())
            if missing:
                name = min(missing)
                hint = did_you_mean(name, rows.fieldnames or ())
                raise SourceError(Problem.MALFORMED, f"{where}: there is no column {name!r}{hint}")
            pairs = [(row[settings.time] or "", row[settings.value]) for row in rows if row[settings.value]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(Problem.MALFORMED, f"{where}: no CSV: {type(error).__name__}") from None
    values = converted([value for _, value in pairs], quantity, settings.unit, where)
    try:
        times = epoch_seconds([stamp for stamp, _ in pairs], where, settings.timezone)
    except ValueError as error:
        raise SourceError(Problem.MALFORMED, str(error)) from None
    return Reading(times, values, float(np.max(times)) + step_seconds(times), settings.basis)


class FileKind(SourceKind[FileSettings]):
    """A CSV file."""

    settings = FileSettings
    quantities = QUANTITIES

    def check(self, settings: FileSettings, quantity: Quantity) -> None:
        """See `SourceKind`."""
        check_unit(settings.path, quantity, settings.unit)
        try:
            epoch_seconds([], settings.path, settings.timezone)
        except ValueError as error:
            raise SignalConfigError(str(error)) from None

    def make(self, source: SignalSource, quantity: Quantity, around: Around) -> Source:
        """See `SourceKind`."""
        return FileSource(self.parse(source), quantity)


KIND = FileKind()
