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
from envs.edge.tables import CLOUD, HAZARD, HUB, OWN

REQUESTS, IS_HUB = feature_names().index("zone_requests_10min"), feature_names().index("is_hub")


class ThresholdSleep:
    """The rule.

    Args:
        per_minute: requests a minute from which a zone is served by its own site.
        keep_alive: choice of every site.
        batch: where requests without a deadline go.
    """

    def __init__(self, per_minute: float, keep_alive: int, batch: int) -> None:
        self._keep_alive, self._batch = keep_alive, batch
        self._least = per_minute / (per_minute + FEATURES[REQUESTS].scale)

    def reset(self, num_envs: int, /) -> None:
        """Remember nothing."""

    def act(self, observations: NDArray[Any], action_masks: Any = None, /) -> NDArray[np.int64]:
        """[rows, 5]."""
        is_busy = observations[:, REQUESTS] >= self._least
        actions = np.empty((len(observations), 5), np.int64)
        actions[:, 0] = np.where(is_busy, OWN, HUB)
        actions[:, 1] = self._batch
        actions[:, 2], actions[:, 3], actions[:, 4] = self._keep_alive, 0, 1
        return actions


def linear(per_minute: float) -> tuple[float, float]:
    """The rule as a line whose rounded value is the route: a constant, and the weight of `zone_requests_10min`.

    It falls from the hub (1) to the own site (0), and is half where the rule changes over.
    """
    return 0.5 + per_minute / (per_minute + FEATURES[REQUESTS].scale), -1.0


def make(per_minute: float = 1.0, keep_alive: int = 2, batch: int = HUB) -> ThresholdSleep:
    """The rule, see `ThresholdSleep`."""
    return ThresholdSleep(per_minute, keep_alive, batch)


BASELINE = SiteBaseline(
    make, {"per_minute": (1.0, 2.5, 5.0, 10.0), "keep_alive": (2, HAZARD), "batch": (HUB, CLOUD, OWN)}
)
