"""A baseline: a zone with little to do is served by its hub, so that its own site sleeps; else by its own site.

As cells are switched off by thresholds of traffic, which is averaged so that they do not flap.

Source: Oh, Son and Krishnamachari, "Dynamic Base Station Switching-On/Off Strategies for Green Cellular
Networks", IEEE Transactions on Wireless Communications 2013.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.edge.baselines.rule import SiteBaseline
from envs.edge.codec import FEATURES, feature_names
from envs.edge.tables import (
    CENTER,
    CLOUD,
    COMPONENTS,
    HAZARD,
    HUB,
    KEEP_ALIVE,
    LEAST_LOADED,
    OWN,
    PRE_WARM,
    ROUTE,
    ROUTE_BATCH,
    ROUTE_LOOSE,
    SLEEP,
)

AS_TIGHT = -1
"""Requests with a loose deadline go where those with a tight one go."""

REQUESTS, IS_HUB = feature_names().index("zone_requests_10min"), feature_names().index("is_hub")


class ThresholdSleep:
    """The rule.

    Args:
        per_minute: requests a minute from which a zone is served by its own site.
        keep_alive: choice of every site.
        loose: where requests with a loose deadline go; `AS_TIGHT`: where those with a tight one go.
        batch: where requests without a deadline go.
        sleep: choice of every site.
        quiet: where requests with a tight deadline of a zone with few go, its hub or the central one.
    """

    def __init__(self, per_minute: float, keep_alive: int, loose: int, batch: int, sleep: int, quiet: int) -> None:
        self._keep_alive, self._loose, self._batch = keep_alive, loose, batch
        self._sleep, self._quiet = sleep, quiet
        self._least = per_minute / (per_minute + FEATURES[REQUESTS].scale)

    def reset(self, num_envs: int, /) -> None:
        """Remember nothing."""

    def act(self, observations: NDArray[Any], action_masks: Any = None, /) -> NDArray[np.int64]:
        """[rows, 6]."""
        is_busy = observations[:, REQUESTS] >= self._least
        actions = np.empty((len(observations), len(COMPONENTS)), np.int64)
        actions[:, ROUTE] = np.where(is_busy, OWN, self._quiet)
        actions[:, ROUTE_LOOSE] = actions[:, ROUTE] if self._loose == AS_TIGHT else self._loose
        actions[:, ROUTE_BATCH] = self._batch
        actions[:, KEEP_ALIVE], actions[:, PRE_WARM], actions[:, SLEEP] = self._keep_alive, 0, self._sleep
        return actions


def make(
    per_minute: float = 1.0,
    keep_alive: int = 1,
    loose: int = AS_TIGHT,
    batch: int = HUB,
    sleep: int = 0,
    quiet: int = HUB,
) -> ThresholdSleep:
    """The rule, see `ThresholdSleep`."""
    return ThresholdSleep(per_minute, keep_alive, loose, batch, sleep, quiet)


BASELINE = SiteBaseline(
    make,
    {
        "per_minute": (1.0, 2.5, 5.0, 10.0, 20.0),
        "keep_alive": (1, 0, 2, HAZARD),
        "loose": (AS_TIGHT, CLOUD, HUB, CENTER),
        "batch": (HUB, CLOUD, OWN, CENTER, LEAST_LOADED),
        "sleep": (0, 1, 2),
        "quiet": (HUB, CENTER),
    },
    blocks=(("per_minute", "loose", "quiet"), ("batch", "keep_alive"), ("sleep",)),
)
