"""What the live loop has to know of KWOK."""

from __future__ import annotations

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.kube.client import KubeClient
from autoscaler.live.kube.rights import each_verb
from autoscaler.live.providers.base import ProviderKind
from autoscaler.live.providers.kwok.names import NAMES
from autoscaler.live.providers.kwok.provider import KwokProvider
from autoscaler.live.providers.kwok.settings import KwokSettings


class KwokKind(ProviderKind):
    """Plain Node objects, which are watched in any case."""

    settings = KwokSettings
    names = NAMES
    act = (
        *each_verb("", "nodes", "create delete", "create and delete nodes of the provider kwok"),
        *each_verb("", "nodes/status", "patch", "reboot nodes of the provider kwok"),
    )
    can_reboot = True

    def make(self, client: KubeClient, config: LiveConfig, clock: Clock) -> KwokProvider:
        """See `ProviderKind`."""
        return KwokProvider(client, config, clock)
