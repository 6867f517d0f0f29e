"""Settings of live signals: where carbon intensity, price, temperature and measured power come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from autoscaler.live.registry import load_source
from configs.checks import check_choice, check_number
from configs.errors import UserError
from configs.loader import build_config
from envs.gpu_cluster.cooling import PUE_CURVE, PuePoint, check_cooling

Quantity = Literal["carbon", "price", "temperature"]
QUANTITIES: tuple[Quantity, ...] = ("carbon", "price", "temperature")

FORECASTS = ("persistence", "last-week", "ridge")
"""Forecasts of `traces.signals` that need only the past; `perfect` and `noisy` know the future."""

MAX_HISTORY_DAYS = 60
"""What a source remembers, for forecasts."""


class SignalConfigError(UserError, ValueError):
    """Settings of signals that have no meaning."""


_check = partial(check_number, error=SignalConfigError)


@dataclass(frozen=True, slots=True)
class SignalSource:
    """Where one quantity of one region comes from.

    Attributes:
        source: name of the source: `file`, `configmap`, `prometheus`, `electricity-maps`, `watttime` or `entsoe`.
        settings: settings of that source, in its own section below.
        poll_seconds: wall seconds between two reads.
        timeout_seconds: wall seconds that one read may take; then it failed.
        max_age_seconds: the last good value counts for so long after the time that it was given for; then the policy is
            told that there is none.
        forecast: what a policy is told of the hours ahead: `persistence`, `last-week` or `ridge`.
        history: CSV file with the columns `time` and `value`, of the same unit, that is read once at the start, so that
            forecasts have a past; None: what the source itself can tell.
    """

    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    poll_seconds: float = 300.0
    timeout_seconds: float = 10.0
    max_age_seconds: float = 3600.0
    forecast: str = "persistence"
    history: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            SignalConfigError: a time is out of range, or there is no such forecast.
            UnknownSourceError: there is no such source.
        """
        _check("signals: poll_seconds", self.poll_seconds, low=0.05, high=86400.0)
        _check("signals: timeout_seconds", self.timeout_seconds, low=0.05, high=600.0)
        _check("signals: max_age_seconds", self.max_age_seconds, low=1.0)
        check_choice("signals: forecast", self.forecast, FORECASTS, SignalConfigError)
        load_source(self.source)


@dataclass(frozen=True, slots=True)
class LiveRegion:
    """A place whose energy has its own carbon intensity and its own price.

    Attributes:
        name: unique; pools name it.
        carbon: its carbon intensity; None: `signals.carbon_g_per_kwh`.
        price: its price of energy; None: `pools[].usd_per_kwh`.
        temperature: outdoors; None: the PUE of its pools is the constant `pools[].power.pue`.
        pue: with `temperature`, the PUE by temperature, in place of `pools[].power.pue`.
    """

    name: str
    carbon: SignalSource | None = None
    price: SignalSource | None = None
    temperature: SignalSource | None = None
    pue: tuple[PuePoint, ...] = PUE_CURVE

    def __post_init__(self) -> None:
        """Refuse a source that does not have a quantity, and settings that it does not know.

        Raises:
            SignalConfigError: as above.
            ConfigError: the source has no such setting, or refuses a value.
            EnvironmentConfigError: the curve of the PUE has no meaning.
        """
        check_cooling(f"region {self.name}", self.pue, self.temperature is not None)
        for quantity, source in self.sources().items():
            kind, where = load_source(source.source), f"region {self.name}: {quantity}"
            if quantity not in kind.quantities:
                raise SignalConfigError(
                    f"{where}: {source.source} knows only {' and '.join(kind.quantities)}; choose another source"
                )
            kind.check(build_config(source.settings, kind.settings, f"{where}: settings of {source.source}"), quantity)

    def sources(self) -> dict[Quantity, SignalSource]:
        """The sources that it has, by what they measure."""
        found: dict[Quantity, SignalSource | None] = {
            "carbon": self.carbon,
            "price": self.price,
            "temperature": self.temperature,
        }
        return {quantity: source for quantity, source in found.items() if source is not None}


@dataclass(frozen=True, slots=True)
class PowerMeter:
    """Measured power of GPUs, from the DCGM exporter through Prometheus.

    Attributes:
        url: of Prometheus, such as `http://prometheus.monitoring:9090`.
        query: a selector of the series; `DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION` (mJ) or `DCGM_FI_DEV_POWER_USAGE` (W).
        kind: `energy` where the series count mJ, `power` where they are W.
        gpu_labels: labels that name a GPU; series that differ only in others, as MIG slices do, are one GPU.
        node_label: label with the name of the node; GPUs of other nodes than those of the pools do not count.
        token_env: environment variable with a bearer token; None: none is sent.
        token_file: file with a bearer token, which is read again for each request; None: none.
        poll_seconds: wall seconds between two reads.
        timeout_seconds: wall seconds that one read may take.
        max_watts: a GPU that would have drawn more is a spike, and dropped.
        max_gap_seconds: energy across a longer gap between two values of `power` is not counted.
    """

    url: str
    query: str = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
    kind: Literal["energy", "power"] = "energy"
    gpu_labels: tuple[str, ...] = ("UUID",)
    node_label: str = "Hostname"
    token_env: str | None = None
    token_file: str | None = None
    poll_seconds: float = 60.0
    timeout_seconds: float = 10.0
    max_watts: float = 1500.0
    max_gap_seconds: float = 300.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            SignalConfigError: a number is out of range, no label names a GPU, or the URL is none.
        """
        _check("signals.power: poll_seconds", self.poll_seconds, low=0.05, high=86400.0)
        _check("signals.power: timeout_seconds", self.timeout_seconds, low=0.05, high=600.0)
        _check("signals.power: max_watts", self.max_watts, above=0.0)
        _check("signals.power: max_gap_seconds", self.max_gap_seconds, above=0.0)
        if not self.gpu_labels:
            raise SignalConfigError("signals.power: gpu_labels is empty; give the labels that name a GPU, such as UUID")
        check_url("signals.power: url", self.url)


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """Signals, and what energy costs and emits where there is none.

    Attributes:
        regions: places with signals; `pools[].region` names one, and is the first where it names none.
        power: measured power of GPUs; None: it is not measured.
        carbon_g_per_kwh: carbon intensity where no signal says another; None: not known.
        usd_per_tonne: price of a tonne of CO2e.
    """

    regions: tuple[LiveRegion, ...] = ()
    power: PowerMeter | None = None
    carbon_g_per_kwh: float | None = None
    usd_per_tonne: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values that have no meaning.

        Raises:
            SignalConfigError: two regions of one name, or a price or an intensity out of range.
        """
        names = [region.name for region in self.regions]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SignalConfigError(f"signals.regions: the name {min(twice)!r} is used twice; names must be unique")
        _check("signals.carbon_g_per_kwh", self.carbon_g_per_kwh, low=0.0)
        _check("signals.usd_per_tonne", self.usd_per_tonne, low=0.0)


def check_url(name: str, url: str) -> None:
    """Refuse what is no URL, and one with a password in it.

    Raises:
        SignalConfigError: as above; the URL is not in the message where it has a password.
    """
    if not url.startswith(("http://", "https://")):
        raise SignalConfigError(f"{name} is {url!r}; it must begin with http:// or https://")
    if "@" in url.split("/", 3)[2]:
        raise SignalConfigError(f"{name} has a user and a password in it; give them by token_env or token_file")
