"""When Services were called: from a file, or from Prometheus, by minute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import traces
from autoscaler.knative.errors import KnativeError
from autoscaler.knative.services import KnativeService
from autoscaler.live.signals.base import SourceError
from autoscaler.live.signals.prometheus import query_prometheus
from traces.invocations import Invocations

QUERY = "sum by (namespace_name, configuration_name) (increase(revision_app_request_count[1m]))"
"""Requests of each Service in a minute, as Knative before 1.19 exports them."""

NAMESPACES = ("namespace_name", "namespace", "k8s_namespace_name")
SERVICES = ("configuration_name", "service_name", "service", "kn_service_name")
MINUTE_MS = 60_000
TIMEOUT_SECONDS = 30.0
DEFAULT_MIB = 256.0


def from_file(uri: str, services: Sequence[KnativeService]) -> Invocations:
    """The history of a file, of which the last moment is now; functions are called NAMESPACE/NAME.

    Raises:
        KnativeError: it has none of the Services.
        TraceError: it cannot be read.
    """
    whole = traces.load_invocations(uri)
    keys = {service.key for service in services}
    known = [number for number, name in enumerate(whole.function_id) if name in keys]
    if not known:
        raise KnativeError(f"{uri}: has none of the {len(keys)} Services; its functions must be called NAMESPACE/NAME")
    return whole.select(known)


def from_prometheus(
    url: str, query: str, services: Sequence[KnativeService], *, hours: float, run_seconds: float, now: float
) -> Invocations:
    """The history of the last hours; the requests of a minute are spread evenly over it.

    Args:
        url: of Prometheus.
        query: PromQL: requests of a minute, with a label for the namespace and one for the Service.
        services: those that count.
        hours: how long it reaches back, at most 180: Prometheus gives 11,000 values of a series.
        run_seconds: how long a request runs.
        now: its end, unix seconds.

    Raises:
        KnativeError: Prometheus does not answer, or has no request of any of them.
    """
    begin = now - hours * 3600.0
    span = {"query": query, "start": repr(begin), "end": repr(now), "step": "60"}
    try:
        series = query_prometheus(url, "query_range", span, None, TIMEOUT_SECONDS)
    except SourceError as error:
        raise KnativeError(f"Prometheus: {error}") from error
    keys = {service.key: number for number, service in enumerate(services)}
    times, functions = [], []
    for one in series:
        labels = one.get("metric") or {}
        parts = [next((labels[name] for name in names if name in labels), "") for names in (NAMESPACES, SERVICES)]
        number = keys.get("/".join(parts))
        for stamp, text in one.get("values") or [] if number is not None else []:
            count, end = round(float(text)), round(1000 * (float(stamp) - begin))
            moments = end - MINUTE_MS + (np.arange(count) * MINUTE_MS) // max(count, 1)
            times.append(moments[moments >= 0])
            functions.append(np.full(len(times[-1]), number))
    if not sum(len(each) for each in times):
        raise KnativeError(f"{url}: knows no request of the {len(keys)} Services; see what --query gives in its labels")
    time_ms = np.concatenate(times).astype(np.int64)
    return Invocations.from_columns(
        [service.key for service in services],
        time_ms,
        np.concatenate(functions).astype(np.int64),
        np.full(len(time_ms), round(1000 * run_seconds), np.int64),
        span_ms=round(hours * 3_600_000),
        memory_mib=np.array([service.memory_mib or DEFAULT_MIB for service in services]),
        gpu_milli=np.array([service.gpu_milli for service in services], np.int64),
        day_offset_ms=round(1000 * begin) % 86_400_000,
        source="Prometheus",
    )
