"""The node providers by name. A new one is a folder and a line here.

Modules are named by strings and imported on first use, so that this module lies below everything that needs it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from configs.errors import UserError, did_you_mean

PROVIDERS: dict[str, str] = {
    "karpenter": "autoscaler.live.providers.karpenter",
    "kwok": "autoscaler.live.providers.kwok",
}
"""Package of each provider, by its name in the config; its `KIND` is a `ProviderKind`, see `providers.base`."""


class UnknownProviderError(UserError, ValueError):
    """A pool names a provider that there is not."""


def load_provider(name: str) -> Any:
    """The `KIND` of a provider.

    Raises:
        UnknownProviderError: there is no provider of that name.
    """
    if name not in PROVIDERS:
        raise UnknownProviderError(f"provider is {name!r}{did_you_mean(name, PROVIDERS)}")
    return _load(PROVIDERS[name])


@cache
def _load(module: str) -> Any:
    return import_module(module).KIND
