"""Names of policies: fixed rules that need no training, and agents that are trained."""

from __future__ import annotations

import numpy as np

from agents.baselines.baseline import Baseline
from agents.errors import PolicyNeedsLeverError, UnknownPolicyError
from agents.policy import Policy
from configs.registry import Registry
from envs.gpu_cluster.codec import CodecLayout

BASELINES: Registry[Baseline] = Registry(
    "policy",
    {
        "always-on": "agents.baselines.always_on:BASELINE",
        "reactive": "agents.baselines.reactive:BASELINE",
        "consolidating": "agents.baselines.consolidating:BASELINE",
        "random": "agents.baselines.random:BASELINE",
    },
    UnknownPolicyError,
    check="agents.baselines.baseline:check_baseline",
)
"""Policies that are not trained. `reactive-tuned` is one too, but it must see a training window:
`agents.baselines.tuned`."""

AGENTS: dict[str, str] = {
    "maskable-ppo": "agents.sb3.maskable_ppo",
    "ppo": "agents.sb3.ppo",
    "dqn": "agents.sb3.dqn",
}
"""Trainable agents, and the module of each by name, because it imports torch; see `agents.sb3.models.Agent`."""


def make_baseline(name: str, layout: CodecLayout, seed: int = 0) -> Policy:
    """Build a baseline.

    Args:
        name: a name in `BASELINES`, or `module:NAME` of a custom one.
        layout: the codec layout.
        seed: of stochastic ones.

    Raises:
        UnknownPolicyError: there is no such baseline.
        PolicyNeedsLeverError: it needs a lever or hints that the layout has not.
    """
    baseline = BASELINES[name]
    for switch in baseline.needs:
        if not getattr(layout, switch):
            raise PolicyNeedsLeverError(
                f"policy {name} needs codec.{switch}; switch it on with --set codec.{switch}=true"
            )
    return baseline.make(layout, np.random.default_rng(seed))
