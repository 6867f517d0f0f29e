"""Spaces of a city and of one of its sites."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from envs.edge.codec import ACTION_SIZES, NUM_FEATURES


def site_observation_space() -> spaces.Box:
    """What one site sees."""
    return spaces.Box(0.0, 1.0, (NUM_FEATURES,), np.float32)


def site_action_space() -> spaces.MultiDiscrete:
    """What one site decides."""
    return spaces.MultiDiscrete(list(ACTION_SIZES))


def city_observation_space(sites: int) -> spaces.Box:
    """What all sites see, a row each."""
    return spaces.Box(0.0, 1.0, (sites, NUM_FEATURES), np.float32)


def city_action_space(sites: int) -> spaces.MultiDiscrete:
    """What all sites decide, one after the other."""
    return spaces.MultiDiscrete(list(ACTION_SIZES) * sites)
