"""The source `configmap`: a key of a ConfigMap, which people or other controllers write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from autoscaler.live.kube.client import ForbiddenError, KubeError, NotFoundError
from autoscaler.live.kube.rights import Right
from autoscaler.live.names import SIGNALS_CONFIG_MAP
from autoscaler.live.signal_config import QUANTITIES, Quantity, SignalSource
from autoscaler.live.signals.base import (
    Around,
    Problem,
    Reading,
    Source,
    SourceError,
    SourceKind,
    check_unit,
    converted,
    field_of,
    step_seconds,
)
from traces.signals.series import epoch_seconds


@dataclass(frozen=True, slots=True)
class ConfigMapSettings:
    """A key of a ConfigMap in the namespace of the Lease.

    Its text is a number, which holds from the read on, or JSON: a list of `{"time": ..., "value": ...}`.

    Attributes:
        key: the key.
        name: name of the ConfigMap; another than the default needs a right of its own.
        unit: of the values, such as `USD/MWh` or `lb/MWh`; None: gCO2e/kWh or USD/kWh.
        basis: of carbon: `average` or `marginal`.
    """

    key: str
    name: str = SIGNALS_CONFIG_MAP
    unit: str | None = None
    basis: Literal["average", "marginal", "none"] = "none"


class ConfigMapSource:
    """Reads the ConfigMap each time."""

    def __init__(self, settings: ConfigMapSettings, quantity: Quantity, around: Around, timeout: float) -> None:
        self._settings, self._quantity, self._around = settings, quantity, around
        self._where = f"ConfigMap {around.namespace}/{settings.name}: {settings.key}"
        client = around.client
        self._client = None if client is None else client.fenced(lambda: None, timeout)

    def read(self, since_seconds: float | None) -> Reading:
        """See `Source`."""
        text = self._text().strip()
        unit, basis = self._settings.unit, self._settings.basis
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise SourceError(Problem.MALFORMED, f"{self._where}: it is neither a number nor JSON") from None
        if isinstance(document, list):
            return self._table(document, unit, basis)
        if isinstance(document, bool) or not isinstance(document, int | float):
            raise SourceError(Problem.MALFORMED, f"{self._where}: it is neither a number nor a list")
        now = self._around.now()
        return Reading(np.array([now]), converted([document], self._quantity, unit, self._where), now, basis)

    def _table(self, rows: list[Any], unit: str | None, basis: str) -> Reading:
        values = converted([field_of(row, "value", self._where) for row in rows], self._quantity, unit, self._where)
        try:
            times = epoch_seconds([str(field_of(row, "time", self._where)) for row in rows], self._where)
        except ValueError as error:
            raise SourceError(Problem.MALFORMED, str(error)) from None
        return Reading(times, values, float(times.max()) + step_seconds(times), basis)

    def _text(self) -> str:
        if self._client is None:
            raise SourceError(Problem.UNREACHABLE, f"{self._where}: there is no cluster")
        try:
            path = f"/api/v1/namespaces/{self._around.namespace}/configmaps/{self._settings.name}"
            data = self._client.get(path).get("data")
        except NotFoundError:
            raise SourceError(Problem.MISSING, f"{self._where}: there is no such ConfigMap") from None
        except ForbiddenError:
            raise SourceError(Problem.FORBIDDEN, f"{self._where}: it may not be read") from None
        except KubeError as error:
            raise SourceError(Problem.UNREACHABLE, f"{self._where}: {error.kind}") from None
        text = data.get(self._settings.key) if isinstance(data, Mapping) else None
        if not isinstance(text, str) or not text.strip():
            raise SourceError(Problem.MISSING, f"{self._where}: there is no such key, or it is empty")
        return text


class ConfigMapKind(SourceKind[ConfigMapSettings]):
    """A key of a ConfigMap."""

    settings = ConfigMapSettings
    quantities = QUANTITIES

    def check(self, settings: ConfigMapSettings, quantity: Quantity) -> None:
        """See `SourceKind`."""
        check_unit(f"ConfigMap {settings.name}: {settings.key}", quantity, settings.unit)

    def rights(self, settings: ConfigMapSettings) -> tuple[Right, ...]:
        """See `SourceKind`."""
        return (Right("", "configmaps", "get", "read signals", namespaced=True, name=settings.name),)

    def make(self, source: SignalSource, quantity: Quantity, around: Around) -> Source:
        """See `SourceKind`."""
        return ConfigMapSource(self.parse(source), quantity, around, source.timeout_seconds)


KIND = ConfigMapKind()
