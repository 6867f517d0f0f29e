"""Regions: places whose energy has its own carbon intensity and its own price, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import traces
from configs.checks import check_choice
from configs.errors import did_you_mean
from envs.errors import ClusterError, EnvironmentConfigError
from envs.gpu_cluster.cooling import PUE_CURVE, PuePoint, check_cooling
from envs.gpu_cluster.moments import moment_of
from traces.errors import TraceError
from traces.signals import Alignment, Quantity, Signal, align, make_forecaster
from traces.signals.alignment import Rule
from traces.trace import Trace

ALIGNMENTS = ("auto", "date", "season", "offset")


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """A signal, and which moment of it is second 0 of the trace.

    Attributes:
        uri: the signal, such as `eia:PATH?zone=CISO`; `autoscaler traces list` shows the formats.
        alignment: auto, date, season or offset, see `traces.signals.align`; a run keeps what was found as an offset.
        start: for `offset`, the moment of the signal that is second 0 of the trace: ISO 8601, UTC.
        utc_offset_hours: of the trace's local time.
        forecast: what a policy is told of the hours ahead: persistence, last-week, ridge, perfect, or noisy:ERROR.
    """

    uri: str
    alignment: str = "auto"
    start: str | None = None
    utc_offset_hours: float = 0.0
    forecast: str = "persistence"

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            EnvironmentConfigError: there is no such alignment or forecast, or the start is no time or not wanted.
        """
        check_choice("regions: alignment", self.alignment, ALIGNMENTS, EnvironmentConfigError)
        if (self.start is not None) != (self.alignment == "offset"):
            raise EnvironmentConfigError(
                f"regions: {self.uri}: alignment is {self.alignment} and start is {self.start}; give a start with "
                "alignment offset, and with no other"
            )
        if self.start is not None:
            moment_of(self.start, "regions")

    def load(self, quantity: Quantity) -> Signal:
        """Read the signal.

        Raises:
            EnvironmentConfigError: it measures something else.
            TraceError: it cannot be read.
        """
        signal = traces.load_signal(self.uri)
        if signal.quantity != quantity:
            raise EnvironmentConfigError(f"regions: {self.uri} is a signal of {signal.quantity}, not of {quantity}")
        make_forecaster(self.forecast, signal)
        return signal

    def align(self, signal: Signal, trace: Trace) -> Alignment:
        """Where second 0 of a trace lies in the signal.

        Raises:
            TraceValueError: the signal does not cover the trace; says which part is missing.
        """
        first = trace.first_submit_seconds
        last = float((trace.submit_milliseconds + trace.duration_milliseconds).max()) / 1000.0
        return align(
            signal,
            trace_start=trace.metadata.start_time,
            span_seconds=(first, last),
            rule=None if self.alignment == "auto" else cast(Rule, self.alignment),
            start=None if self.start is None else moment_of(self.start, "regions"),
            utc_offset_hours=self.utc_offset_hours,
        )


@dataclass(frozen=True, slots=True)
class RegionConfig:
    """A place.

    Attributes:
        name: unique name.
        carbon: its carbon intensity; None: `objective.carbon_g_per_kwh`.
        price: its price of energy; None: `objective.usd_per_kwh`.
        temperature: outdoors; None: the PUE of its pools is the constant `power.pue`.
        pue: with `temperature`, the PUE by temperature, in place of `power.pue`.
    """

    name: str
    carbon: SignalConfig | None = None
    price: SignalConfig | None = None
    temperature: SignalConfig | None = None
    pue: tuple[PuePoint, ...] = PUE_CURVE

    def __post_init__(self) -> None:
        """Refuse a curve that has no meaning, or nothing to read it by.

        Raises:
            EnvironmentConfigError: as above.
        """
        check_cooling(f"region {self.name}", self.pue, self.temperature is not None)

    def signals(self) -> dict[Quantity, SignalConfig]:
        """The signals that it has, by what they measure."""
        found: dict[Quantity, SignalConfig | None] = {
            "carbon": self.carbon,
            "price": self.price,
            "temperature": self.temperature,
        }
        return {quantity: config for quantity, config in found.items() if config is not None}


def check_regions(regions: Sequence[RegionConfig]) -> None:
    """Refuse two regions of one name.

    Raises:
        EnvironmentConfigError: as above.
    """
    names = [region.name for region in regions]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise EnvironmentConfigError(f"regions: the name {min(twice)!r} is used twice; names must be unique")


def find_region(regions: Sequence[RegionConfig], name: str | None, pool: str) -> RegionConfig | None:
    """The region that a pool names; None: there is none.

    Raises:
        ClusterError: there is no region of that name.
    """
    if name is None:
        return regions[0] if regions else None
    for region in regions:
        if region.name == name:
            return region
    hint = did_you_mean(name, [region.name for region in regions])
    raise ClusterError(f"pool {pool}: there is no region {name!r}{hint}")


def align_regions(regions: Sequence[RegionConfig], trace: Trace) -> tuple[RegionConfig, ...]:
    """The same regions with each alignment as an offset, so that parts of the trace are laid over the same hours.

    Args:
        regions: as described.
        trace: the whole trace.

    Raises:
        EnvironmentConfigError: a signal cannot be read, measures something else, or does not cover the trace.
    """
    return tuple(_aligned(region, trace) for region in regions)


def _aligned(region: RegionConfig, trace: Trace) -> RegionConfig:
    found: dict[str, Any] = {}
    for quantity, config in region.signals().items():
        _, alignment = load_aligned(region, config, quantity, trace)
        start = datetime.fromtimestamp(alignment.zero_seconds, UTC).isoformat()
        found[quantity] = replace(config, alignment="offset", start=start)
    return replace(region, **found)


def load_aligned(
    region: RegionConfig, config: SignalConfig, quantity: Quantity, trace: Trace
) -> tuple[Signal, Alignment]:
    """A signal of a region, laid over a trace.

    Raises:
        EnvironmentConfigError: it cannot be read, measures something else, or does not cover the trace.
    """
    try:
        signal = config.load(quantity)
        return signal, config.align(signal, trace)
    except TraceError as error:
        raise EnvironmentConfigError(f"region {region.name}: {error}") from error
