"""What a baseline is: a policy that is not trained, and what it needs.

Importing this loads no simulator: a cluster runs baselines too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from agents.errors import PolicyTypeError
from agents.policy import Policy
from envs.gpu_cluster.codec import CodecLayout

BASIC, LITERATURE = "basic", "literature"
GROUPS = (BASIC, LITERATURE)
"""What a name of a group stands for where baselines are listed."""


class TunedRule(Protocol):
    """What tuning found. Types of the simulator are not named here, because the live loop imports this."""

    def policy(self, config: Any, /) -> Policy:
        """The policy, for the codec layout of an `EnvironmentConfig`."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Its settings as plain values, for JSON."""
        ...

    def describe(self) -> str:
        """Its settings in words."""
        ...


@dataclass(frozen=True, slots=True)
class Baseline:
    """A policy that is not trained: either made from the codec's layout, or tuned on a training window.

    Attributes:
        make: from the codec's layout, and a source of randomness, to the policy; None: it must be tuned.
        tune: from an `agents.baselines.training_window.TrainingWindow` to the `TunedRule` that costs least; None: there
            is nothing to tune.
        needs: switches of the codec that must be on, such as `consolidation`.
        is_stochastic: whether what it does depends on the seed.
        group: of `GROUPS`: basic rules take seconds, those of the literature are tuned for minutes.
    """

    make: Callable[[CodecLayout, np.random.Generator], Policy] | None = None
    tune: Callable[..., TunedRule] | None = None
    needs: tuple[str, ...] = ()
    is_stochastic: bool = False
    group: str = BASIC


def check_baseline(name: str, baseline: Any) -> None:
    """Refuse what is no baseline.

    Raises:
        PolicyTypeError: as above.
    """
    if not isinstance(baseline, Baseline):
        raise PolicyTypeError(f"policy {name!r} is a {type(baseline).__name__}; write Baseline(make)")
    if (baseline.make is None) == (baseline.tune is None):
        raise PolicyTypeError(f"policy {name!r} must have either make or tune; write Baseline(make)")
