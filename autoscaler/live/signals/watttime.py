"""The source `watttime`: marginal carbon intensity of a region.

Source: the WattTime Data API v3: `/login` gives a token for 30 minutes to a user and a password, `/v3/forecast` has the
present five minutes first, and `/v3/historical` the past, at most 32 days in one answer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import urllib3

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
    field_of,
)
from autoscaler.live.signals.http import get_json
from configs.checks import check_number
from traces.signals.series import epoch_seconds

UNITS = {"lbs_co2_per_mwh": "lb/MWh"}
"""Units of the API, as `traces.signals` calls them."""

MOST_DAYS = 32
"""Of the past in one answer."""

STEP_SECONDS = 300.0
TOKEN_SECONDS = 1500.0
"""How long a token is used: it holds for 30 minutes."""


@dataclass(frozen=True, slots=True)
class WattTimeSettings:
    """A region of WattTime.

    Attributes:
        region: such as `CAISO_NORTH`.
        signal_type: what it measures; `co2_moer` is the marginal carbon intensity.
        history_days: days that are asked for at the start, at most 32; 0: none.
        user_env: environment variable with the user.
        password_env: environment variable with the password.
        user_file: file with the user, which comes first; None: none.
        password_file: file with the password, which comes first; None: none.
        url: of the API.
    """

    region: str
    signal_type: str = "co2_moer"
    history_days: int = 30
    user_env: str = "WATTTIME_USER"
    password_env: str = "WATTTIME_PASSWORD"  # noqa: S105 (the name of a variable)
    user_file: str | None = None
    password_file: str | None = None
    url: str = "https://api.watttime.org"

    @property
    def user(self) -> Credential:
        """The user, by reference."""
        return Credential(self.user_env, self.user_file)

    @property
    def password(self) -> Credential:
        """The password, by reference."""
        return Credential(self.password_env, self.password_file)


class WattTimeSource:
    """Logs in, and asks for the past at first, then for the present."""

    def __init__(self, settings: WattTimeSettings, around: Around, timeout: float) -> None:
        self._settings, self._around, self._timeout = settings, around, timeout
        self._token, self._token_until = "", 0.0

    def read(self, since_seconds: float | None) -> Reading:
        """See `Source`."""
        try:
            return self._read(since_seconds)
        except SourceError as error:
            if error.problem is Problem.UNAUTHORIZED:
                self._token = ""  # the next read logs in again
            raise

    def _read(self, since_seconds: float | None) -> Reading:
        now = self._around.now()
        # The first value of a forecast is that of the present; the others are no measurements.
        rows = self._get("forecast", {"horizon_hours": "1"})[:1]
        days = self._settings.history_days
        if since_seconds is None and days:
            span = {"start": _text(now - days * 86400.0 + 600.0), "end": _text(now)}
            rows = [*self._get("historical", span), *rows]
        values = converted([field_of(row, "value", self._where) for row in rows], "carbon", "lb/MWh", self._where)
        try:
            times = epoch_seconds([str(field_of(row, "point_time", self._where)) for row in rows], self._where)
        except ValueError as error:
            raise SourceError(Problem.MALFORMED, str(error)) from None
        return Reading(times, values, float(times.max()) + STEP_SECONDS, "marginal")

    @property
    def _where(self) -> str:
        return f"watttime {self._settings.region}"

    def _get(self, what: str, more: dict[str, str]) -> list[Any]:
        settings = self._settings
        query = {"region": settings.region, "signal_type": settings.signal_type, **more}
        headers = {"Authorization": f"Bearer {self._login()}"}
        document = get_json(f"{settings.url.rstrip('/')}/v3/{what}", query, headers, self._timeout)
        meta, rows = field_of(document, "meta", self._where), field_of(document, "data", self._where)
        region = field_of(meta, "region", self._where)
        if region != settings.region:
            raise SourceError(Problem.WRONG_ZONE, f"{self._where}: the answer is of region {str(region)[:40]!r}")
        unit = str(field_of(meta, "units", self._where))
        if unit not in UNITS:
            raise SourceError(Problem.WRONG_UNIT, f"{self._where}: the unit is {unit[:40]!r}, not {', '.join(UNITS)}")
        if not isinstance(rows, list) or not rows:
            raise SourceError(Problem.MISSING, f"{self._where}: there is no value in {what}")
        return rows

    def _login(self) -> str:
        if not self._token or time.monotonic() > self._token_until:
            pair = f"{self._settings.user.value()}:{self._settings.password.value()}"
            headers = urllib3.make_headers(basic_auth=pair)
            document = get_json(f"{self._settings.url.rstrip('/')}/login", {}, headers, self._timeout)
            token = str(field_of(document, "token", self._where))
            if not token.isprintable():
                raise SourceError(Problem.MALFORMED, f"{self._where}: the token has control characters in it")
            self._token, self._token_until = token, time.monotonic() + TOKEN_SECONDS
        return self._token


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class WattTimeKind(SourceKind[WattTimeSettings]):
    """WattTime."""

    settings = WattTimeSettings
    quantities = ("carbon",)

    def check(self, settings: WattTimeSettings, quantity: Quantity) -> None:
        """See `SourceKind`."""
        check_url("watttime: url", settings.url)
        check_number("watttime: history_days", settings.history_days, SignalConfigError, low=0, high=MOST_DAYS)

    def credentials(self, settings: WattTimeSettings) -> tuple[Credential, ...]:
        """See `SourceKind`."""
        return settings.user, settings.password

    def make(self, source: SignalSource, quantity: Quantity, around: Around) -> Source:
        """See `SourceKind`."""
        return WattTimeSource(self.parse(source), around, source.timeout_seconds)


KIND = WattTimeKind()
