"""The node providers and the sources of signals by name. A new provider is a folder, a source a file; and a line here.

Modules are named by strings and imported on first use, so that this module lies below everything that needs it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from configs.errors import UserError, did_you_mean

PROVIDERS: dict[str, str] = {
    "capacity-buffer": "autoscaler.live.providers.capacity_buffer",
    "karpenter": "autoscaler.live.providers.karpenter",
    "kwok": "autoscaler.live.providers.kwok",
}
"""Package of each provider, by its name in the config; its `KIND` is a `ProviderKind`, see `providers.base`."""


SOURCES: dict[str, str] = {
    "configmap": "autoscaler.live.signals.configmap",
    "electricity-maps": "autoscaler.live.signals.electricity_maps",
    "entsoe": "autoscaler.live.signals.entsoe",
    "file": "autoscaler.live.signals.file",
    "prometheus": "autoscaler.live.signals.prometheus",
    "watttime": "autoscaler.live.signals.watttime",
}
"""Module of each source of signals, by its name in the config; its `KIND` is a `SourceKind`, see `signals.base`."""


class UnknownProviderError(UserError, ValueError):
    """A pool names a provider that there is not."""


class UnknownSourceError(UserError, ValueError):
    """A region names a source of signals that there is not."""


def load_provider(name: str) -> Any:
    """The `KIND` of a provider.

    Raises:
        UnknownProviderError: there is no provider of that name.
    """
    if name not in PROVIDERS:
        raise UnknownProviderError(f"provider is {name!r}{did_you_mean(name, PROVIDERS)}")
    return _load(PROVIDERS[name])


def load_source(name: str) -> Any:
    """The `KIND` of a source of signals.

    Raises:
        UnknownSourceError: there is no source of that name.
    """
    if name not in SOURCES:
        raise UnknownSourceError(f"signals: source is {name!r}{did_you_mean(name, SOURCES)}")
    return _load(SOURCES[name])


@cache
def _load(module: str) -> Any:
    return import_module(module).KIND
