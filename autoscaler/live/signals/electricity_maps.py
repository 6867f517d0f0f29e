"""The source `electricity-maps`: carbon intensity of a zone, average and over the life cycle unless asked otherwise.

Source: the HTTP API of Electricity Maps, `carbon-intensity/latest` and `carbon-intensity/history` (the last 24 hours).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autoscaler.live.signal_config import Quantity, SignalSource, check_url
from autoscaler.live.signals.base import (
    Around,
    Credential,
    Problem,
    Reading,
    Source,
    SourceError,
    SourceKind,
    converted,
    field_of,
    step_seconds,
)
from autoscaler.live.signals.http import get_json
from traces.signals.series import epoch_seconds


@dataclass(frozen=True, slots=True)
class ElectricityMapsSettings:
    """A zone of Electricity Maps.

    Attributes:
        zone: such as `DE` or `US-CAL-CISO`.
        emission_factor_type: `lifecycle`, or `direct` for the plant alone.
        token_env: environment variable with the API token.
        token_file: file with it, which comes first and is read again for each request; None: none.
        url: of the API.
    """

    zone: str
    emission_factor_type: Literal["lifecycle", "direct"] = "lifecycle"
    token_env: str = "ELECTRICITY_MAPS_TOKEN"  # noqa: S105 (the name of a variable)
    token_file: str | None = None
    url: str = "https://api.electricitymaps.com/v3"


class ElectricityMapsSource:
    """Asks for the last day at first, then for the latest hour."""

    def __init__(self, settings: ElectricityMapsSettings, timeout: float) -> None:
        self._settings, self._timeout = settings, timeout
        self._token = Credential(settings.token_env, settings.token_file)

    def read(self, since_seconds: float | None) -> Reading:
        """See `Source`."""
        rows = [self._get("latest")]
        if since_seconds is None:
            history = field_of(self._get("history"), "history", self._where)
            if not isinstance(history, list):
                raise SourceError(Problem.MALFORMED, f"{self._where}: the history is no list")
            rows = [*history, *rows]
        for row in rows:
            self._check(row)
        values = converted([field_of(row, "carbonIntensity", self._where) for row in rows], "carbon", None, self._where)
        try:
            times = epoch_seconds([str(field_of(row, "datetime", self._where)) for row in rows], self._where)
        except ValueError as error:
            raise SourceError(Problem.MALFORMED, str(error)) from None
        return Reading(times, values, float(times.max()) + step_seconds(times), "average")

    @property
    def _where(self) -> str:
        return f"electricity-maps {self._settings.zone}"

    def _get(self, what: str) -> Any:
        settings = self._settings
        query = {"zone": settings.zone, "emissionFactorType": settings.emission_factor_type}
        headers = {"auth-token": self._token.value()}
        document = get_json(f"{settings.url.rstrip('/')}/carbon-intensity/{what}", query, headers, self._timeout)
        zone = field_of(document, "zone", self._where)
        if zone != settings.zone:
            raise SourceError(Problem.WRONG_ZONE, f"{self._where}: the answer is of zone {str(zone)[:40]!r}")
        return document

    def _check(self, row: Any) -> None:
        wanted = self._settings.emission_factor_type
        kind = row.get("emissionFactorType", wanted) if isinstance(row, Mapping) else wanted
        if kind != wanted:
            raise SourceError(Problem.WRONG_UNIT, f"{self._where}: the answer counts {str(kind)[:40]!r}, not {wanted}")


class ElectricityMapsKind(SourceKind[ElectricityMapsSettings]):
    """Electricity Maps."""

    settings = ElectricityMapsSettings
    quantities = ("carbon",)

    def check(self, settings: ElectricityMapsSettings, quantity: Quantity) -> None:
        """See `SourceKind`."""
        check_url("electricity-maps: url", settings.url)

    def credentials(self, settings: ElectricityMapsSettings) -> tuple[Credential, ...]:
        """See `SourceKind`."""
        return (Credential(settings.token_env, settings.token_file),)

    def make(self, source: SignalSource, quantity: Quantity, around: Around) -> Source:
        """See `SourceKind`."""
        return ElectricityMapsSource(self.parse(source), source.timeout_seconds)


KIND = ElectricityMapsKind()
