"""maskable-ppo's policy class: `SharedNetwork` and `MaskedChoices` inside sb3-contrib's interface."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from agents.sb3.distribution import MaskedChoices
from agents.sb3.network import SharedNetwork
from agents.setpoints import LearnedSetpoints
from envs.gpu_cluster.codec import CodecLayout


class SharedPolicy(MaskableActorCriticPolicy):
    """Actor and critic of maskable-ppo.

    Args:
        layout: the codec layout.
        hidden_units: width of the hidden layers.
        rule: [RULE_SIZE] the setpoint and the choice of each lever that the untrained policy prefers.
        start_logit: how strongly.
        has_start: whether the network only adds to the scores of a policy that was searched.
        args: of sb3-contrib's class.
        kwargs: likewise.
    """

    def __init__(
        self,
        *args: Any,
        layout: CodecLayout,
        hidden_units: int,
        rule: Sequence[int],
        start_logit: float,
        has_start: bool,
        **kwargs: Any,
    ) -> None:
        self._layout, self._hidden_units, self._has_start = layout, hidden_units, has_start
        self._rule, self._start_logit = rule, start_logit
        self._leash: tuple[SharedNetwork, float] | None = None  # in a tuple, so that its weights are none of ours
        super().__init__(*args, **kwargs)

    def _build(self, lr_schedule: Schedule) -> None:
        layout = self._layout
        network = SharedNetwork(layout, self._hidden_units, self._has_start)
        network.prefer(self._rule, self._start_logit)
        self.mlp_extractor: Any = network
        self.action_dist: Any = MaskedChoices(layout.action_groups)
        self.action_net = nn.Identity()
        self.value_net = nn.Linear(network.latent_dim_vf, 1)
        nn.init.orthogonal_(self.value_net.weight)
        nn.init.zeros_(self.value_net.bias)
        make_optimizer: Any = self.optimizer_class
        self.optimizer = make_optimizer(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)

    def follow(self, policy: LearnedSetpoints) -> None:
        """Begin as a policy that was searched, to whose scores the network adds; it needs `has_start`.

        Raises:
            ValueError: the policy is not linear.
        """
        network: SharedNetwork = self.mlp_extractor
        assert network.start is not None
        network.start.follow(policy, self._start_logit)
        for scores in (network.setpoint_scores, *network.lever_scores):  # so that it begins as exactly that policy
            nn.init.zeros_(scores.weight)

    def keep_near(self, weight: float) -> None:
        """From now on let the entropy that `evaluate_actions` tells fall by a divergence from the policy of now.

        Algorithms add `ent_coef` times the entropy to what they maximise, and so subtract `ent_coef * weight` times the
        Kullback-Leibler divergence.

        Args:
            weight: of the divergence, in nats, summed over the components.
        """
        self._leash = copy.deepcopy(self.mlp_extractor).requires_grad_(False), weight

    def evaluate_actions(
        self, obs: Tensor, actions: Tensor, action_masks: Any = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values, log-probabilities and entropy; see `keep_near`."""
        values, log_prob, entropy = super().evaluate_actions(obs, actions, action_masks)
        if self._leash is not None and entropy is not None:
            network, weight = self._leash
            reference = MaskedChoices(self._layout.action_groups).proba_distribution(network.forward_actor(obs))
            reference.apply_masking(action_masks)
            entropy = entropy - weight * self.action_dist.divergence_from(reference)
        return values, log_prob, entropy
