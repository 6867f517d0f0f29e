"""All live signals of a config: what each region's energy costs and emits, as far as it is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.config import LiveConfig
from autoscaler.live.registry import load_source
from autoscaler.live.signal_config import QUANTITIES, Quantity
from autoscaler.live.signals.base import Around, MissingCredentialError, Source, SourceError
from autoscaler.live.signals.feed import LASTING, Feed, Status
from autoscaler.live.signals.series import LiveSeries
from envs.gpu_cluster.codec import signal_row
from traces.signals import Forecaster

Pieces = list[tuple[float, float | None]]
"""When each piece of a signal begins, and its value; None: it is unknown."""


class RegionValues(NamedTuple):
    """What is known of the energy of a region.

    Attributes:
        price: USD/kWh; None: no signal says it.
        carbon: gCO2e/kWh; None: no signal says it.
        known: whether a signal gives the price or the carbon.
        forecasters: what is expected, by quantity; only of what is known.
    """

    price: float | None
    carbon: float | None
    known: bool
    forecasters: dict[Quantity, Forecaster]


class LiveSignals:
    """Reads all signals, each in a thread of its own; no function of it waits for a source.

    Args:
        config: its regions.
        around: what sources may use.
        on_read: called after each read with the feed and `ok` or why it failed.
    """

    def __init__(self, config: LiveConfig, around: Around, on_read: Callable[[Feed, str], None]) -> None:
        self._feeds: dict[tuple[str, Quantity], Feed] = {}
        for region in config.signals.regions:
            for quantity, settings in region.sources().items():
                source: Source = load_source(settings.source).make(settings, quantity, around)
                feed = Feed(region.name, quantity, settings, source, around.now, on_read)
                self._feeds[region.name, quantity] = feed
        self._config = config

    def use(self, config: LiveConfig) -> None:
        """Let a config with the same regions and other pools count."""
        self._config = config

    def signals_now(self, now_seconds: float) -> NDArray[np.float64]:
        """What a policy is told: [P, POOL_SIGNALS] float64, a row for each pool; constants where nothing is known.

        Args:
            now_seconds: clock seconds.
        """
        settings = self._config.signals
        carbon = float(settings.carbon_g_per_kwh or 0.0)
        rows = []
        for pool in self._config.pools:
            region = self._config.region_of(pool)
            name = "" if region is None else region.name
            parts = self._told(name, "price", now_seconds), self._told(name, "carbon", now_seconds)
            rows.append(
                signal_row(now_seconds, parts[0] or float(pool.usd_per_kwh), parts[1] or carbon, settings.usd_per_tonne)
            )
        return np.stack(rows)

    def _told(self, region: str, quantity: Quantity, now_seconds: float) -> LiveSeries | None:
        """A signal that is known now; None: it is not."""
        feed = self._feeds.get((region, quantity))
        return feed.series if feed is not None and feed.series.is_known(now_seconds) else None

    def start(self) -> None:
        """Begin to read."""
        for feed in self._feeds.values():
            feed.start()

    def stop(self) -> None:
        """End."""
        for feed in self._feeds.values():
            feed.stop()

    def statuses(self) -> list[Status]:
        """How each signal is now."""
        return [feed.status() for feed in self._feeds.values()]

    def signal_values(self, now_seconds: float) -> dict[str, RegionValues]:
        """What is known now, by region.

        Args:
            now_seconds: clock seconds.
        """
        return {region.name: self._values(region.name, now_seconds) for region in self._config.signals.regions}

    def pieces(self, region: str, quantity: Quantity, start_seconds: float, end_seconds: float) -> Pieces:
        """A signal over a span, piece by piece; unknown where the region has none."""
        feed = self._feeds.get((region, quantity))
        return [(start_seconds, None)] if feed is None else feed.series.pieces(start_seconds, end_seconds)

    def _values(self, region: str, now_seconds: float) -> RegionValues:
        found: dict[Quantity, float] = {}
        forecasters: dict[Quantity, Forecaster] = {}
        for quantity in QUANTITIES:
            feed = self._feeds.get((region, quantity))
            if feed is None:
                continue
            ((_, value), *_) = feed.series.pieces(now_seconds, now_seconds)
            forecaster = feed.series.forecaster
            if value is not None and forecaster is not None:
                found[quantity], forecasters[quantity] = value, forecaster
        known = not found.keys().isdisjoint(("price", "carbon"))
        return RegionValues(found.get("price"), found.get("carbon"), known, forecasters)


def check_credentials(config: LiveConfig) -> None:
    """Refuse a config whose credentials are not there.

    Raises:
        MissingCredentialError: as above; says which variable or file.
    """
    for region in config.signals.regions:
        for quantity, settings in region.sources().items():
            kind = load_source(settings.source)
            for credential in kind.credentials(kind.parse(settings)):
                try:
                    credential.value()
                except SourceError as error:
                    hint = "set it, or name the file of a Secret"
                    raise MissingCredentialError(
                        f"region {region.name}: {quantity}: {settings.source} needs a credential: {error}; {hint}"
                    ) from None


def check_sources(config: LiveConfig, around: Around) -> list[SourceError]:
    """Read each source once.

    Returns:
        Why sources do not answer that may do so later.

    Raises:
        SourceError: a source refuses what the config says: the credential, the zone, the unit.
    """
    passing = []
    for region in config.signals.regions:
        for quantity, settings in region.sources().items():
            source: Source = load_source(settings.source).make(settings, quantity, around)
            try:
                source.read(around.now())
            except SourceError as error:
                named = SourceError(error.problem, f"region {region.name}: {quantity}: {error}")
                if error.problem in LASTING:
                    raise named from None
                passing.append(named)
    return passing
