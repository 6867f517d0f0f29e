"""The Gymnasium spaces of a codec layout."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from envs.gpu_cluster.codec import CodecLayout, observation_size

ActionSpace = spaces.Discrete | spaces.MultiDiscrete


def observation_space(layout: CodecLayout) -> spaces.Box:
    """Box [0, 1], float32, of `observation_size(layout)`."""
    return spaces.Box(0.0, 1.0, (observation_size(layout),), np.float32)


def action_space(layout: CodecLayout) -> ActionSpace:
    """`MultiDiscrete(layout.action_sizes)`; `Discrete` where the action has one component only."""
    sizes = layout.action_sizes
    return spaces.Discrete(sizes[0]) if len(sizes) == 1 else spaces.MultiDiscrete(np.array(sizes, np.int64))
