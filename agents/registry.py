"""Names of policies: fixed rules that need no training, and agents that are trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.baselines import ConstantSetpoint, RandomPolicy
from agents.errors import PolicyNeedsLeverError, UnknownPolicyError
from agents.policy import Policy
from configs.errors import did_you_mean
from envs.gpu_cluster.codec import ALWAYS_ON, CONSOLIDATION_CHOICES, IDLE_AGE_EDGES_SECONDS, CodecLayout


def _always_on(layout: CodecLayout, _generator: np.random.Generator) -> Policy:
    return ConstantSetpoint(layout, IDLE_AGE_EDGES_SECONDS[-1], ALWAYS_ON, name="always-on")


def _reactive(layout: CodecLayout, _generator: np.random.Generator) -> Policy:
    return ConstantSetpoint(layout)


def _consolidating(layout: CodecLayout, _generator: np.random.Generator) -> Policy:
    if not layout.consolidation:
        raise PolicyNeedsLeverError(
            "policy consolidating needs the consolidation lever; switch it on with --set codec.consolidation=true"
        )
    everything = CONSOLIDATION_CHOICES.index("all")
    return ConstantSetpoint(layout, name="consolidating", consolidation=everything)


BASELINES: dict[str, Callable[[CodecLayout, np.random.Generator], Policy]] = {
    "always-on": _always_on,
    "reactive": _reactive,
    "consolidating": _consolidating,
    "random": RandomPolicy,
}
"""Fixed rules by name. `reactive-tuned` is one too, but it must see a training window: `agents.baselines.tuned`."""

NEEDS_CONSOLIDATION = ("consolidating",)
"""Rules that use the consolidation lever."""

AGENTS: dict[str, str] = {
    "maskable-ppo": "agents.sb3.maskable_ppo",
    "ppo": "agents.sb3.ppo",
    "dqn": "agents.sb3.dqn",
}
"""Trainable agents, and the module of each by name, because it imports torch; see `agents.sb3.models.Agent`."""


def make_baseline(name: str, layout: CodecLayout, seed: int = 0) -> Policy:
    """Build a fixed rule.

    Args:
        name: a key of `BASELINES`.
        layout: the codec layout.
        seed: for `random`.

    Raises:
        UnknownPolicyError: there is no such rule.
        PolicyNeedsLeverError: the rule uses a lever that the layout has not.
    """
    if name not in BASELINES:
        raise UnknownPolicyError(f"unknown policy {name!r}{did_you_mean(name, BASELINES)}")
    return BASELINES[name](layout, np.random.default_rng(seed))
