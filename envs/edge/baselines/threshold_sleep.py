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
    CLOUD,
    COMPONENTS,
    HAZARD,
    HUB,
    KEEP_ALIVE,
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
    """

    def __init__(self, per_minute: float, keep_alive: int, loose: int, batch: int) -> None:
        self._keep_alive, self._loose, self._batch = keep_alive, loose, batch
        self._least = per_minute / (per_minute + FEATURES[REQUESTS].scale)

    def reset(self, num_envs: int, /) -> None:
        """Remember nothing."""

    def act(self, observations: NDArray[Any], action_masks: Any = None, /) -> NDArray[np.int64]:
        """[rows, 5]."""
        is_busy = observations[:, REQUESTS] >= self._least
        actions = np.empty((len(observations), len(COMPONENTS)), np.int64)
        actions[:, ROUTE] = np.where(is_busy, OWN, HUB)
        actions[:, ROUTE_LOOSE] = actions[:, ROUTE] if self._loose == AS_TIGHT else self._loose
        actions[:, ROUTE_BATCH] = self._batch
        actions[:, KEEP_ALIVE], actions[:, PRE_WARM], actions[:, SLEEP] = self._keep_alive, 0, 1
        return actions


def linear(per_minute: float) -> tuple[float, float]:
    """The rule as a line whose rounded value is the route: a constant, and the weight of `zone_requests_10min`.

    It rises from the hub to the own site, which is 0 here, and is -0.5 where the rule changes over.
    """
    return -0.5 - per_minute / (per_minute + FEATURES[REQUESTS].scale), 1.0


def as_line(
    per_minute: float, keep_alive: int, loose: int, batch: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rule as a linear policy: the action at outputs of 0, [6]; and weights on top of it, [6, 1 + features]."""
    action = np.array([OWN, OWN if loose == AS_TIGHT else loose, batch, keep_alive, 0, 1], np.float64)
    weights = np.zeros((len(COMPONENTS), 1 + len(FEATURES)))
    for component in (ROUTE, ROUTE_LOOSE) if loose == AS_TIGHT else (ROUTE,):
        weights[component, [0, 1 + REQUESTS]] = linear(per_minute)
    return action, weights


def make(per_minute: float = 1.0, keep_alive: int = 2, loose: int = AS_TIGHT, batch: int = HUB) -> ThresholdSleep:
    """The rule, see `ThresholdSleep`."""
    return ThresholdSleep(per_minute, keep_alive, loose, batch)


BASELINE = SiteBaseline(
    make,
    {
        "per_minute": (1.0, 2.5, 5.0, 10.0),
        "keep_alive": (2, HAZARD),
        "loose": (AS_TIGHT, CLOUD, HUB),
        "batch": (HUB, CLOUD, OWN),
    },
)
