"""The source `entsoe`: day-ahead prices of a bidding zone in Europe.

Source: the REST API of the ENTSO-E Transparency Platform, document A44 (energy prices, 12.1.D). A curve of type A03
leaves out a position whose price is that of the one before. Prices are known until the end of the next day once the
auction is over; a period is in UTC. Where a bidding zone has several auctions, each series says its sequence: in
Germany and Austria 1 is the coupled auction of all Europe and 2 that of EXAA. Intraday auctions have another type of
contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import numpy as np

from autoscaler.live.signal_config import Quantity, SignalConfigError, SignalSource, check_url
from autoscaler.live.signals.base import (
    Around,
    Credential,
    Problem,
    Reading,
    Source,
    SourceError,
    SourceKind,
    converted,
)
from autoscaler.live.signals.http import get_text
from configs.checks import check_number
from traces.signals.series import epoch_seconds

SEQUENCE, CONTRACT = "classificationSequence_AttributeInstanceComponent.position", "contract_MarketAgreement.type"
DAILY = "A01"

ALLOWED_MINUTES = {"PT15M": 15, "PT30M": 30, "PT60M": 60}


@dataclass(frozen=True, slots=True)
class EntsoeSettings:
    """A bidding zone.

    Attributes:
        zone: its EIC code, such as `10Y1001A1001A82H` for Germany and Luxembourg.
        usd_per_unit: USD for one unit of the currency of the prices, such as 1.08 for a euro.
        currency: of the prices; others are refused.
        sequence: which auction counts where the zone has several; series that name none always do.
        history_days: days that are asked for at the start; 0: today alone.
        token_env: environment variable with the security token.
        token_file: file with it, which comes first and is read again for each request; None: none.
        url: of the API.
    """

    zone: str
    usd_per_unit: float
    currency: str = "EUR"
    sequence: int = 1
    history_days: int = 30
    token_env: str = "ENTSOE_TOKEN"  # noqa: S105 (the name of a variable)
    token_file: str | None = None
    url: str = "https://web-api.tp.entsoe.eu/api"


class EntsoeSource:
    """Asks for the last days at first, then for today and tomorrow."""

    def __init__(self, settings: EntsoeSettings, around: Around, timeout: float) -> None:
        self._settings, self._around, self._timeout = settings, around, timeout
        self._token = Credential(settings.token_env, settings.token_file)

    def read(self, since_seconds: float | None) -> Reading:
        """See `Source`."""
        settings, now = self._settings, self._around.now()
        days = settings.history_days if since_seconds is None else 1
        query = {
            "securityToken": self._token.value(),
            "documentType": "A44",
            CONTRACT: DAILY,
            "in_Domain": settings.zone,
            "out_Domain": settings.zone,
            "periodStart": _text(now - max(days, 1) * 86400.0),
            "periodEnd": _text(now + 2 * 86400.0),
        }
        text = get_text(settings.url, query, {}, self._timeout)
        points = self._points(text)
        if not points:
            raise SourceError(Problem.MISSING, f"{self._where}: there is no price in the answer")
        times = np.array([start for start, _, _ in points])
        values = converted([price for _, price, _ in points], "price", "USD/MWh", self._where) * settings.usd_per_unit
        return Reading(times, values, max(end for _, _, end in points))

    @property
    def _where(self) -> str:
        return f"entsoe {self._settings.zone}"

    def _points(self, text: str) -> list[tuple[float, str, float]]:
        """Begin, price and end of each position, with those that the curve leaves out."""
        try:
            # expat bounds how far entities expand, and the size of the answer is bounded.
            root = ET.fromstring(text)  # noqa: S314
        except ET.ParseError:
            raise SourceError(Problem.MALFORMED, f"{self._where}: the answer is no XML") from None
        for each in root.iter():
            each.tag = re.sub(r"^\{.*?\}", "", str(each.tag))  # the namespace says the version
        if root.tag == "Acknowledgement_MarketDocument":
            reason = " ".join((root.findtext(".//Reason/text") or "no reason").split())[:160]
            raise SourceError(Problem.MISSING, f"{self._where}: {reason}")
        found = [each for each in root.iter("TimeSeries") if each.findtext(CONTRACT) in (None, DAILY)]
        wanted = str(self._settings.sequence)
        chosen = [each for each in found if each.findtext(SEQUENCE) in (None, wanted)]
        if found and not chosen:
            others = ", ".join(sorted({each.findtext(SEQUENCE) or "" for each in found}))
            raise SourceError(Problem.MISSING, f"{self._where}: no price of sequence {wanted}; there is {others[:40]}")
        try:
            return [point for series in chosen for point in self._series(series)]
        except ValueError:
            raise SourceError(Problem.MALFORMED, f"{self._where}: a period cannot be read") from None

    def _series(self, series: ET.Element) -> Iterator[tuple[float, str, float]]:
        zone = series.findtext("in_Domain.mRID")
        if zone is not None and zone != self._settings.zone:
            raise SourceError(Problem.WRONG_ZONE, f"{self._where}: the answer is of zone {zone[:40]!r}")
        unit = f"{series.findtext('currency_Unit.name')}/{series.findtext('price_Measure_Unit.name')}"
        if unit != f"{self._settings.currency}/MWH":
            wanted = f"{self._settings.currency}/MWH"
            raise SourceError(Problem.WRONG_UNIT, f"{self._where}: the unit is {unit[:40]!r}, not {wanted}")
        for period in series.iter("Period"):
            yield from self._period(period)

    def _period(self, period: ET.Element) -> Iterator[tuple[float, str, float]]:
        stamps = [period.findtext(f"timeInterval/{edge}") or "" for edge in ("start", "end")]
        first, end = epoch_seconds(stamps, self._where).tolist()
        step = 60.0 * ALLOWED_MINUTES.get(period.findtext("resolution") or "", 0)
        if not step:
            raise SourceError(Problem.MALFORMED, f"{self._where}: the resolution {period.findtext('resolution')!r}")
        found = ((int(each.findtext("position") or ""), each) for each in period.iter("Point"))
        points = sorted(found, key=lambda point: point[0])
        if not first < end or any(not 1 <= position <= (end - first) / step for position, _ in points):
            raise SourceError(Problem.MALFORMED, f"{self._where}: a price lies outside of its period")
        starts = [first + (position - 1) * step for position, _ in points]
        ends = [*starts[1:], end] if starts else []
        for start, until, (_, point) in zip(starts, ends, points, strict=True):
            yield start, point.findtext("price.amount") or "", until


def _text(seconds: float) -> str:
    """As the API has times: whole hours of UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d%H00")


class EntsoeKind(SourceKind[EntsoeSettings]):
    """The ENTSO-E Transparency Platform."""

    settings = EntsoeSettings
    quantities = ("price",)

    def check(self, settings: EntsoeSettings, quantity: Quantity) -> None:
        """See `SourceKind`."""
        check_url("entsoe: url", settings.url)
        check_number("signals: entsoe: sequence", settings.sequence, SignalConfigError, low=1, high=99)
        check_number("entsoe: usd_per_unit", settings.usd_per_unit, SignalConfigError, above=0.0)
        check_number("entsoe: history_days", settings.history_days, SignalConfigError, low=0, high=60)

    def credentials(self, settings: EntsoeSettings) -> tuple[Credential, ...]:
        """See `SourceKind`."""
        return (Credential(settings.token_env, settings.token_file),)

    def make(self, source: SignalSource, quantity: Quantity, around: Around) -> Source:
        """See `SourceKind`."""
        return EntsoeSource(self.parse(source), around, source.timeout_seconds)


KIND = EntsoeKind()
