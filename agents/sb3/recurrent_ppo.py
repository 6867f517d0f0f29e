"""Proximal policy optimisation with an LSTM, without masks.

Source: Schulman et al., "Proximal Policy Optimization Algorithms", 2017; Hochreiter and Schmidhuber, "Long Short-Term
Memory", 1997.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from agents.sb3.settings import DISCRETE, ClippedConfig


def _small_lstm() -> dict[str, Any]:
    return {"net_arch": [32], "lstm_hidden_size": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentPPO(ClippedConfig):
    """Settings of `recurrent-ppo`; those of the PPO family are described in `agents.sb3.settings`.

    Attributes:
        policy_kwargs: also `lstm_hidden_size`, `n_lstm_layers`, `shared_lstm`, `enable_critic_lstm`, `lstm_kwargs`.
        use_sde: state-dependent exploration, for continuous actions only.
        sde_sample_freq: steps between two draws of its noise; -1: once a rollout.
    """

    algorithm: ClassVar[str] = "sb3_contrib:RecurrentPPO"
    action_spaces: ClassVar[tuple[str, ...]] = (*DISCRETE, "Box")

    name: str = "recurrent-ppo"
    policy: str = "MlpLstmPolicy"
    policy_kwargs: Mapping[str, Any] = field(default_factory=_small_lstm, hash=False)
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1)] = -1
