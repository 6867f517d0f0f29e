"""Which part of a run is recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from envs.recording import RecordingError


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a run, in seconds of the trace.

    Attributes:
        start_seconds: where it begins; None: with the run.
        end_seconds: where it ends; None: with the run.
    """

    start_seconds: float | None = None
    end_seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no stretch.

        Raises:
            RecordingError: a moment is no finite number, or it does not end after its start.
        """
        for option, value in (("--record-from", self.start_seconds), ("--record-until", self.end_seconds)):
            if value is not None and not math.isfinite(value):
                raise RecordingError(f"{option} is {value}; give a number of seconds of the trace")
        start, end = self.start_seconds, self.end_seconds
        if start is not None and end is not None and end <= start:
            raise RecordingError(f"--record-until is {end:g}, but --record-from is {start:g}; give a later one")


WHOLE = Stretch()
