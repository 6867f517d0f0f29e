"""Generated signals, by the name of a preset."""

from dataclasses import dataclass, field
from datetime import datetime

from traces.errors import TraceURIError, TraceValueError
from traces.format import Format
from traces.signals.signal import Signal
from traces.signals.synthetic import LICENCE, PRESETS, generate_signal


@dataclass(frozen=True, slots=True)
class Options:
    """Options of synthetic-signal."""

    start: datetime = field(
        default=datetime.fromisoformat("2024-01-01T00:00"), metadata={"help": "first hour, UTC; a Monday by default"}
    )
    days: float = field(default=366.0, metadata={"help": "length, days"})
    seed: int = field(default=0, metadata={"help": "of weather and spikes"})
    zone: str | None = field(default=None, metadata={"help": "name of the zone"})


def load(path: str, options: Options) -> Signal:
    """The signal of a preset.

    Raises:
        TraceURIError: the preset is unknown or an option is out of range.
    """
    try:
        return generate_signal(path, start=options.start, days=options.days, seed=options.seed, zone=options.zone)
    except TraceValueError as error:
        raise TraceURIError(f"{FORMAT.name}:{path}: {error}") from error


FORMAT = Format(
    name="synthetic-signal",
    kind="signal",
    description=f"generated carbon or price, by preset: {', '.join(PRESETS)}",
    options=Options,
    load=load,
    licence=LICENCE,
    citation="",
    example="synthetic-signal:solar?seed=0",
)
