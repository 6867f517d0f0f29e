"""What a baseline is: a policy that is not trained, and what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.errors import PolicyTypeError
from agents.policy import Policy
from envs.gpu_cluster.codec import CodecLayout


@dataclass(frozen=True, slots=True)
class Baseline:
    """A policy that is not trained.

    Attributes:
        make: from the codec's layout, and a source of randomness, to the policy.
        needs: switches of the codec that must be on, such as `consolidation`.
        is_stochastic: whether what it does depends on the seed.
    """

    make: Callable[[CodecLayout, np.random.Generator], Policy]
    needs: tuple[str, ...] = ()
    is_stochastic: bool = False


def check_baseline(name: str, baseline: Any) -> None:
    """Refuse what is no baseline.

    Raises:
        PolicyTypeError: as above.
    """
    if not isinstance(baseline, Baseline):
        raise PolicyTypeError(f"policy {name!r} is a {type(baseline).__name__}; write Baseline(make)")
