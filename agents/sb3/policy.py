"""maskable-ppo's policy class: `SharedNetwork` and `MaskedChoices` inside sb3-contrib's interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from agents.sb3.distribution import MaskedChoices
from agents.sb3.network import SharedNetwork
from envs.gpu_cluster.codec import CodecLayout


class SharedPolicy(MaskableActorCriticPolicy):
    """Actor and critic of maskable-ppo.

    Args:
        layout: the codec layout.
        hidden_units: width of the hidden layers.
        rule: [RULE_SIZE] the setpoint and the choice of each lever that the untrained policy prefers.
        start_logit: how strongly.
        args: of sb3-contrib's class.
        kwargs: likewise.
    """

    def __init__(
        self, *args: Any, layout: CodecLayout, hidden_units: int, rule: Sequence[int], start_logit: float, **kwargs: Any
    ) -> None:
        self._layout, self._hidden_units = layout, hidden_units
        self._rule, self._start_logit = rule, start_logit
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        layout = self._layout
        network = SharedNetwork(layout, self._hidden_units)
        network.prefer(self._rule, self._start_logit)
        self.mlp_extractor: Any = network
        self.action_dist: Any = MaskedChoices(layout.action_groups)
        self.action_net = nn.Identity()
        self.value_net = nn.Linear(network.latent_dim_vf, 1)
        nn.init.orthogonal_(self.value_net.weight)
        nn.init.zeros_(self.value_net.bias)
        make_optimizer: Any = self.optimizer_class
        self.optimizer = make_optimizer(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)
