"""What the settings of Stable-Baselines3's and sb3-contrib's agents have in common, in their own names.

Only settings stand here and in the module of each agent, so that reading a config imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from agents.config import AgentConfig, Count, Fraction, NotNegative, Positive, Share

DISCRETE = ("Discrete", "MultiDiscrete")
MAX_UNITS = 65_536

Units = Annotated[int, Field(ge=1, le=MAX_UNITS)]


def small_network() -> dict[str, Any]:
    """The default of `policy_kwargs`: two hidden layers of 32 units."""
    return {"net_arch": [32, 32]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sb3Config(AgentConfig):
    """Settings of every agent of Stable-Baselines3 and sb3-contrib.

    Attributes:
        algorithm: `module:Class` of the algorithm.
        own: fields that are not arguments of the algorithm.
        policy: a policy of the algorithm by name, or `module:Class` of one that derives from the algorithm's.
        policy_kwargs: arguments of the policy: `net_arch`, `activation_fn` (a name such as `tanh` or `relu`),
            `features_extractor_class` (`module:Class`), `features_extractor_kwargs`, and so on.
        learning_rate: of the optimizer, at the beginning.
        learning_rate_schedule: `linear`: falls to 0 at `train.total_steps`; `constant`.
    """

    engine: ClassVar[str] = "agents.sb3"
    algorithm: ClassVar[str]
    policy_defaults: ClassVar[Mapping[str, Any]] = {}
    """What the algorithm itself gives its policy, where `policy_kwargs` does not say."""

    own: ClassVar[tuple[str, ...]] = ("name", "policy", "policy_kwargs", "learning_rate", "learning_rate_schedule")

    policy: str = "MlpPolicy"
    policy_kwargs: Mapping[str, Any] = field(default_factory=small_network, hash=False)
    learning_rate: Positive = 1e-3
    learning_rate_schedule: Literal["linear", "constant"] = "linear"

    def arguments(self) -> dict[str, Any]:
        """Arguments of the algorithm, apart from policy and learning rate."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in self.own}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPolicyConfig(Sb3Config):
    """Settings of algorithms that learn from the rollout that they just made.

    Attributes:
        n_steps: steps of each environment between two updates.
        gamma: discount of a reward one minute later; longer steps discount more, by simulated time.
        gae_lambda: of generalised advantage estimation.
        normalize_advantage: whether advantages are normalised.
        stats_window_size: episodes over which the learning curve averages.
    """

    trains_on_several: ClassVar[bool] = True

    n_steps: Count = 64
    gamma: Fraction = 0.998
    gae_lambda: Share = 0.98
    normalize_advantage: bool = True
    stats_window_size: Count = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ClippedConfig(OnPolicyConfig):
    """Settings of the PPO family.

    Attributes:
        batch_size: transitions per gradient step.
        n_epochs: passes over a rollout.
        clip_range: of the probability ratio.
        clip_range_vf: of the change of the value; None: no limit.
        ent_coef: weight of the entropy bonus.
        vf_coef: weight of the value's loss.
        max_grad_norm: largest norm of a gradient.
        target_kl: divergence at which the passes over a rollout end early; None: never.
    """

    batch_size: Count = 1024
    n_epochs: Count = 2
    clip_range: Positive = 0.2
    clip_range_vf: Positive | None = None
    ent_coef: NotNegative = 0.001
    vf_coef: NotNegative = 0.5
    max_grad_norm: Positive = 0.5
    target_kl: Positive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicyConfig(Sb3Config):
    """Settings of algorithms that learn from a replay buffer.

    Attributes:
        buffer_size: transitions in the replay buffer.
        learning_starts: environment steps by random actions before the first update.
        batch_size: transitions per gradient step.
        gamma: discount of a reward one minute later; longer steps discount more, by simulated time.
        train_freq: steps of each environment between two updates.
        gradient_steps: gradient steps of an update; -1: as many as steps since the last one.
        n_steps: steps whose rewards a target sums up before it bootstraps.
    """

    trains_on_several: ClassVar[bool] = True

    buffer_size: Count = 200_000
    learning_starts: Annotated[int, Field(ge=0)] = 2_560
    batch_size: Count = 256
    gamma: Fraction = 0.998
    train_freq: Count = 4
    gradient_steps: Annotated[int, Field(ge=-1)] = 1
    n_steps: Count = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QLearningConfig(OffPolicyConfig):
    """Settings of the DQN family.

    Attributes:
        tau: part of the target network that an update replaces.
        target_update_interval: environment steps between two updates of the target network.
        exploration_fraction: part of the training in which epsilon falls to its final value.
        exploration_initial_eps: epsilon at the beginning.
        exploration_final_eps: epsilon in the end.
        max_grad_norm: largest norm of a gradient; None: no limit.
        stats_window_size: episodes over which the learning curve averages.
    """

    action_spaces: ClassVar[tuple[str, ...]] = ("Discrete",)

    batch_size: Count = 1024
    tau: Fraction = 1.0
    target_update_interval: Count = 10_000
    exploration_fraction: Fraction = 0.3
    exploration_initial_eps: Share = 1.0
    exploration_final_eps: Share = 0.05
    max_grad_norm: Positive | None = 10.0
    stats_window_size: Count = 100


@dataclass(frozen=True, slots=True)
class ActionNoiseConfig:
    """Noise that is added to continuous actions while exploring.

    Attributes:
        kind: `normal`, or `ornstein-uhlenbeck`, which is correlated in time.
        sigma: standard deviation, in units of an action that spans -1 to 1.
    """

    kind: Literal["normal", "ornstein-uhlenbeck"] = "normal"
    sigma: Positive = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuousConfig(OffPolicyConfig):
    """Settings of off-policy agents with continuous actions.

    Attributes:
        action_noise: noise for exploration; None: none.
    """

    action_spaces: ClassVar[tuple[str, ...]] = ("Box",)

    action_noise: ActionNoiseConfig | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropyConfig(ContinuousConfig):
    """Settings of agents that keep the entropy of their actions near a target, as SAC does.

    Attributes:
        ent_coef: weight of the entropy; `auto`: learned, `auto_0.1`: learned from 0.1 on.
        target_entropy: the entropy that is aimed at; `auto`: minus the number of actions.
        use_sde: state-dependent exploration instead of independent noise.
        sde_sample_freq: steps between two draws of its noise; -1: once a rollout.
        use_sde_at_warmup: whether it is used instead of random actions before `learning_starts`.
        stats_window_size: episodes over which the learning curve averages.
    """

    ent_coef: NotNegative | Annotated[str, Field(pattern=r"^auto(_[0-9.]+)?$")] = "auto"
    target_entropy: float | Literal["auto"] = "auto"
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1)] = -1
    use_sde_at_warmup: bool = False
    stats_window_size: Count = 100
