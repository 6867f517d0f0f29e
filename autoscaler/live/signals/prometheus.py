"""The source `prometheus`: an instant query, with its past from a range query.

Source: the HTTP API of Prometheus, `/api/v1/query` and `/api/v1/query_range`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from autoscaler.live.signal_config import (
    MAX_HISTORY_DAYS,
    QUANTITIES,
    Quantity,
    SignalConfigError,
    SignalSource,
    check_url,
)
from autoscaler.live.signals.base import (
    Around,
    Credential,
    Problem,
    Reading,
    Source,
    SourceError,
    SourceKind,
    check_unit,
    converted,
    field_of,
)
from autoscaler.live.signals.http import get_json
from configs.checks import check_number


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """A query whose result is one series.

    Attributes:
        url: of Prometheus, such as `http://prometheus.monitoring:9090`.
        query: PromQL; its result must be one series.
        unit: of the values, such as `USD/MWh` or `lb/MWh`; None: gCO2e/kWh or USD/kWh.
        basis: of carbon: `average` or `marginal`.
        history_days: days that are asked for at the start, in steps of an hour, at most 60; 0: none.
        token_env: environment variable with a bearer token; None: none is sent.
        token_file: file with a bearer token, which is read again for each request; None: none.
    """

    url: str
    query: str
    unit: str | None = None
    basis: Literal["average", "marginal", "none"] = "none"
    history_days: int = 30
    token_env: str | None = None
    token_file: str | None = None


def bearer(token_env: str | None, token_file: str | None) -> Credential | None:
    """The bearer token of a Prometheus; None: none is needed."""
    return None if token_env is None and token_file is None else Credential(token_env or "", token_file)


def query_prometheus(
    url: str, path: str, query: Mapping[str, str], token: Credential | None, timeout_seconds: float
) -> list[Any]:
    """The result of a query: one entry for each series.

    Raises:
        SourceError: Prometheus does not answer, or refuses the query.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token.value()}"}
    document = get_json(f"{url.rstrip('/')}/api/v1/{path}", query, headers, timeout_seconds)
    data = field_of(document, "data", url)
    if field_of(document, "status", url) != "success":
        raise SourceError(Problem.REFUSED, f"{url}: the query failed")
    result = field_of(data, "result", url)
    if field_of(data, "resultType", url) not in ("vector", "matrix") or not isinstance(result, list):
        raise SourceError(Problem.MALFORMED, f"{url}: the result is no series")
    return result


class PrometheusSource:
    """Asks for the value now, and at first for those before."""

    def __init__(self, settings: PrometheusSettings, quantity: Quantity, around: Around, timeout: float) -> None:
        self._settings, self._quantity, self._around, self._timeout = settings, quantity, around, timeout
        self._token = bearer(settings.token_env, settings.token_file)

    def read(self, since_seconds: float | None) -> Reading:
        """See `Source`."""
        settings, now = self._settings, self._around.now()
        points = self._points("query", {"query": settings.query, "time": repr(now)}, "value")
        if since_seconds is None and settings.history_days:
            span = {"start": repr(now - settings.history_days * 86400.0), "end": repr(now), "step": "3600"}
            points = self._points("query_range", {"query": settings.query, **span}, "values") + points
        times = [point[0] for point in points]
        values = converted([point[1] for point in points], self._quantity, settings.unit, settings.url)
        stamps = converted(times, "price", None, settings.url)
        # An instant query answers with the moment that it was asked for.
        return Reading(stamps, values, float(stamps.max()), settings.basis)

    def _points(self, path: str, query: Mapping[str, str], key: str) -> list[Any]:
        result = query_prometheus(self._settings.url, path, query, self._token, self._timeout)
        if len(result) != 1:
            raise SourceError(
                Problem.MISSING if not result else Problem.MALFORMED,
                f"{self._settings.url}: the query gives {len(result)} series; it must give one",
            )
        found = field_of(result[0], key, self._settings.url)
        points = [found] if key == "value" else found
        if not isinstance(points, list) or any(not isinstance(each, list) or len(each) != 2 for each in points):
            raise SourceError(Problem.MALFORMED, f"{self._settings.url}: the result has no values with times")
        return points


class PrometheusKind(SourceKind[PrometheusSettings]):
    """A query to Prometheus."""

    settings = PrometheusSettings
    quantities = QUANTITIES

    def check(self, settings: PrometheusSettings, quantity: Quantity) -> None:
        """See `SourceKind`."""
        check_url("prometheus: url", settings.url)
        check_unit(settings.url, quantity, settings.unit)
        check_number("prometheus: history_days", settings.history_days, SignalConfigError, low=0, high=MAX_HISTORY_DAYS)

    def credentials(self, settings: PrometheusSettings) -> tuple[Credential, ...]:
        """See `SourceKind`."""
        token = bearer(settings.token_env, settings.token_file)
        return () if token is None else (token,)

    def make(self, source: SignalSource, quantity: Quantity, around: Around) -> Source:
        """See `SourceKind`."""
        return PrometheusSource(self.parse(source), quantity, around, source.timeout_seconds)


KIND = PrometheusKind()
