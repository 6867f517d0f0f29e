"""The network of maskable-ppo: one set of weights for every pool and one for every slot of the queue.

Scores of a pool's setpoints, and of its choices of each lever, depend on that pool, the cluster and the mean of all
pools; scores of a slot's placements on that slot, the pool in question and the cluster. So the number of weights does
not depend on the number of pools or slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from agents.sb3.start import SearchedStart
from envs.gpu_cluster.codec import LEVERS, RULE_SETPOINT, CodecLayout, observation_size
from envs.gpu_cluster.codec.observation_sizes import cluster_features, pool_features, slot_features, slot_pool_features

DEFAULT_FLAG = 2  # of the features of a slot and a pool: this pool is the slot's default


class SharedNetwork(nn.Module):
    """Scores of every choice, and features for the value.

    Args:
        layout: the codec layout.
        hidden: width of the hidden layers.
        has_start: whether the scores of setpoints and levers are added to those of a `SearchedStart`.

    Attributes:
        latent_dim_pi: length of the scores, the layout's mask size.
        latent_dim_vf: length of the features that the value is read from.
    """

    def __init__(self, layout: CodecLayout, hidden: int, has_start: bool = False) -> None:
        super().__init__()
        self.pools, self.slots = layout.max_pools, layout.window_slots
        self.latent_dim_pi, self.latent_dim_vf = layout.mask_size, hidden
        tables, setpoints = layout.tables(), len(layout.setpoints)
        self.per_pool, self.per_slot = pool_features(tables), slot_features(tables)
        self.per_pair, self.of_cluster = slot_pool_features(tables), cluster_features(tables)
        self.pool_encoder = _mlp(self.of_cluster + self.per_pool, hidden, hidden)
        self.context = _mlp(self.of_cluster + hidden, hidden)
        self.setpoint_scores = nn.Linear(2 * hidden, setpoints)
        on = [number for number, lever in enumerate(LEVERS) if getattr(layout, lever.switch)]
        self.rule_columns = [RULE_SETPOINT + 1 + lever for lever in on]
        self.lever_scores = nn.ModuleList([nn.Linear(2 * hidden, choices) for choices in layout.lever_sizes])
        # A sum of linear maps, each computed once per cluster, pool, slot or pair: cheaper than one map of all of them.
        narrow = max(hidden // 2, 1)
        self.slot_of_context = nn.Linear(hidden, narrow)
        self.slot_of_slot = nn.Linear(self.per_slot, narrow, bias=False)
        self.choice_of_pool = nn.Linear(hidden, narrow, bias=False)
        self.choice_of_pair = nn.Linear(self.per_pair, narrow, bias=False)
        self.pool_score = nn.Linear(narrow, 1)
        self.hold_score = nn.Linear(narrow, 1)
        self.default_weight = nn.Parameter(torch.zeros(1))
        self.value_encoder = _mlp(self.of_cluster + hidden + self.per_slot, hidden, hidden)
        _orthogonal(self)
        self.start = SearchedStart(self.of_cluster, self.per_pool, on) if has_start else None
        self._split = [
            self.of_cluster,
            self.pools * self.per_pool,
            self.slots * (self.per_slot + self.per_pair * self.pools),
        ]
        assert sum(self._split) == observation_size(layout)

    def prefer(self, rule: Sequence[int], logit: float) -> None:
        """Let the untrained network prefer the action of a fixed rule: see `envs.gpu_cluster.codec.default_action`.

        Args:
            rule: [RULE_SIZE] the setpoint and the choice of each lever; a `SearchedStart` has its own.
            logit: how strongly.
        """
        with torch.no_grad():
            self.default_weight.fill_(logit)
            if self.start is not None:
                return
            self.setpoint_scores.bias[rule[RULE_SETPOINT]] = logit
            for scores, column in zip(self.lever_scores, self.rule_columns, strict=True):
                bias = cast(nn.Linear, scores).bias
                bias.zero_()
                bias[0] = logit / 2  # where the mask forbids the rule's choice, the rule does nothing
                bias[rule[column]] = logit

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [B, mask size] and value features [B, hidden] of observations [B, observation size]."""
        parts = self._encode(observation)
        return self._actor(*parts), self._critic(*parts)

    def forward_actor(self, observation: Tensor) -> Tensor:
        """Scores [B, mask size]."""
        return self._actor(*self._encode(observation))

    def forward_critic(self, observation: Tensor) -> Tensor:
        """Value features [B, hidden]."""
        return self._critic(*self._encode(observation))

    def _encode(self, observation: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The cluster, its encoded pools and their mean, its slots, and its pools with all that a setpoint reads."""
        cluster, pools, slots = torch.split(observation, self._split, dim=1)
        pools = pools.reshape(observation.shape[0], self.pools, self.per_pool)
        slots = slots.reshape(observation.shape[0], self.slots, self.per_slot + self.per_pair * self.pools)
        around = cluster.unsqueeze(1).expand(-1, self.pools, -1)
        known = torch.cat([around, pools], dim=2)
        encoded = self.pool_encoder(known)
        present = pools[:, :, :1]
        mean = (encoded * present).sum(dim=1) / present.sum(dim=1).clamp(min=1.0)
        return cluster, encoded, mean, slots, known

    def _actor(self, cluster: Tensor, pools: Tensor, mean: Tensor, slots: Tensor, known: Tensor) -> Tensor:
        context = self.context(torch.cat([cluster, mean], dim=1))
        around = context.unsqueeze(1).expand(-1, self.pools, -1)
        of_pools = torch.cat([pools, around], dim=2)
        scores = [self.setpoint_scores(of_pools), *(scores(of_pools) for scores in self.lever_scores)]
        if self.start is not None:
            scores = [ours + start for ours, start in zip(scores, self.start(known), strict=True)]
        setpoints, *levers = (each.flatten(1) for each in scores)
        placements = [self._placements(context, pools, slots)] if self.slots > 0 else []
        return torch.cat([setpoints, *placements, *levers], dim=1)

    def _placements(self, context: Tensor, pools: Tensor, slots: Tensor) -> Tensor:
        slot = self.slot_of_slot(slots[:, :, : self.per_slot]) + self.slot_of_context(context).unsqueeze(1)
        pairs = slots[:, :, self.per_slot :].reshape(-1, self.slots, self.pools, self.per_pair)
        pool = self.choice_of_pool(pools).unsqueeze(1)
        choice = torch.relu(slot.unsqueeze(2) + pool + self.choice_of_pair(pairs))
        run = self.pool_score(choice).squeeze(3) + self.default_weight * pairs[:, :, :, DEFAULT_FLAG]
        return torch.cat([self.hold_score(torch.relu(slot)), run], dim=2).flatten(1)

    def _critic(self, cluster: Tensor, _pools: Tensor, mean: Tensor, slots: Tensor, _known: Tensor) -> Tensor:
        waiting = slots[:, :, : self.per_slot].sum(dim=1)
        return self.value_encoder(torch.cat([cluster, mean, waiting], dim=1))  # type: ignore[no-any-return]


def _mlp(inputs: int, *widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers)


def _orthogonal(network: SharedNetwork) -> None:
    """SB3's initialisation: hidden layers with gain sqrt(2), scores nearly zero."""
    scores = (network.setpoint_scores, network.pool_score, network.hold_score, *network.lever_scores)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight, gain=0.01 if module in scores else 2.0**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
