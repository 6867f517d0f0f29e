"""A masked distribution over all components of an action at once.

sb3-contrib builds one `Categorical` per component, which for an action of a dozen components costs more than the
simulator. Here the components of equal size (all setpoints, all placements) are one tensor operation.
"""

from __future__ import annotations

import torch
from sb3_contrib.common.maskable.distributions import MaskableDistribution, MaybeMasks
from torch import Tensor, nn

INVALID_LOGIT = -1e8


class MaskedChoices(MaskableDistribution):
    """Independent categorical choices in groups of equal size, each with its invalid choices masked out.

    Args:
        groups: (components, choices) of each group, in the order of the action.
    """

    def __init__(self, groups: tuple[tuple[int, int], ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.groups = tuple(group for group in groups if group[0] > 0)
        self._widths = [components * choices for components, choices in self.groups]
        self._components = [components for components, _ in self.groups]

    def proba_distribution_net(self, latent_dim: int) -> nn.Module:
        """Nothing: the latent vector is the scores already."""
        return nn.Identity()

    def proba_distribution(self, action_logits: Tensor) -> MaskedChoices:
        """Take the scores [B, mask size]."""
        self._scores = action_logits
        self._normalise(action_logits)
        return self

    def apply_masking(self, masks: MaybeMasks) -> None:
        """Take the masks [B, mask size]; None: everything is valid."""
        if masks is None:
            self._normalise(self._scores)
            return
        valid = torch.as_tensor(masks, dtype=torch.bool, device=self._scores.device).reshape(self._scores.shape)
        self._normalise(torch.where(valid, self._scores, INVALID_LOGIT))

    def _normalise(self, scores: Tensor) -> None:
        parts = torch.split(scores, self._widths, dim=1)
        shaped = [part.reshape(-1, *group) for part, group in zip(parts, self.groups, strict=True)]
        self._log_probs = [part.log_softmax(dim=2) for part in shaped]

    def log_prob(self, x: Tensor) -> Tensor:
        """[B] log-probability of actions [B, components]."""
        total = torch.zeros(x.shape[0], device=x.device)
        for actions, log_probs in zip(torch.split(x.long(), self._components, dim=1), self._log_probs, strict=True):
            total = total + log_probs.gather(2, actions.unsqueeze(2)).sum(dim=(1, 2))
        return total

    def entropy(self) -> Tensor:
        """[B] entropy, in nats, summed over the components; masked choices add nothing."""
        parts = [(part.exp() * part.clamp(min=INVALID_LOGIT)).sum(dim=(1, 2)) for part in self._log_probs]
        return -torch.stack(parts).sum(dim=0)

    def divergence_from(self, reference: MaskedChoices) -> Tensor:
        """[B] Kullback-Leibler divergence from a reference with the same mask, in nats, summed over the components."""
        parts = [
            (ours.exp() * (ours - theirs)).sum(dim=(1, 2))
            for ours, theirs in zip(self._log_probs, reference._log_probs, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)

    def sample(self) -> Tensor:
        """[B, components] drawn actions, by the Gumbel trick: the argmax of log-probability plus noise."""
        drawn = [(part - torch.empty_like(part).exponential_().log()).argmax(dim=2) for part in self._log_probs]
        return torch.cat(drawn, dim=1)

    def mode(self) -> Tensor:
        """[B, components] most likely actions."""
        return torch.cat([part.argmax(dim=2) for part in self._log_probs], dim=1)

    def actions_from_params(self, action_logits: Tensor, deterministic: bool = False) -> Tensor:
        """Actions of scores."""
        self.proba_distribution(action_logits)
        return self.get_actions(deterministic=deterministic)

    def log_prob_from_params(self, action_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Drawn actions of scores, and their log-probability."""
        actions = self.actions_from_params(action_logits)
        return actions, self.log_prob(actions)
