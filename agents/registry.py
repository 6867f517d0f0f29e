"""Names of policies: baselines that need no training, and agents that are trained. Each entry is one module."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.baselines.baseline import Baseline
from agents.config import AgentConfig, field_names
from agents.errors import AgentConfigError, PolicyNeedsLeverError, PolicyNeedsTuningError, UnknownPolicyError
from agents.policy import Policy
from configs.errors import did_you_mean
from configs.registry import Registry
from envs.gpu_cluster.codec import CodecLayout

BASELINES: Registry[Baseline] = Registry(
    "policy",
    {
        "always-on": "agents.baselines.always_on:BASELINE",
        "reactive": "agents.baselines.reactive:BASELINE",
        "consolidating": "agents.baselines.consolidating:BASELINE",
        "tiers-in-order": "agents.baselines.tiers_in_order:BASELINE",
        "random": "agents.baselines.random:BASELINE",
        "reactive-tuned": "agents.baselines.reactive_tuned:BASELINE",
        "cluster-autoscaler": "agents.baselines.cluster_autoscaler:BASELINE",
        "karpenter-when-empty-or-underutilized": "agents.baselines.karpenter_when_empty_or_underutilized:BASELINE",
        "karpenter-balanced": "agents.baselines.karpenter_balanced:BASELINE",
        "hpa": "agents.baselines.hpa:BASELINE",
        "keda": "agents.baselines.keda:BASELINE",
        "elasticflow": "agents.baselines.elasticflow:BASELINE",
        "zeus-caps": "agents.baselines.zeus_caps:BASELINE",
        "lifetime-aware": "agents.baselines.lifetime_aware:BASELINE",
        "seasonal": "agents.baselines.seasonal:BASELINE",
        "helios-ces": "agents.baselines.helios_ces:BASELINE",
        "lets-wait-awhile": "agents.baselines.lets_wait_awhile:BASELINE",
        "gaia": "agents.baselines.gaia:BASELINE",
        "carbon-scaler": "agents.baselines.carbon_scaler:BASELINE",
        "suspend-resume": "agents.baselines.suspend_resume:BASELINE",
        "gavel": "agents.baselines.gavel:BASELINE",
        "class-aware": "agents.baselines.class_aware:BASELINE",
        "tuned-placement": "agents.baselines.tuned_placement:BASELINE",
        "learned-placement": "agents.baselines.learned_placement:BASELINE",
        "tuned-combination": "agents.baselines.tuned_combination:BASELINE",
    },
    UnknownPolicyError,
    check="agents.baselines.baseline:check_baseline",
)
"""Policies that are not trained."""

AGENTS: Registry[type[AgentConfig]] = Registry(
    "agent",
    {
        "maskable-ppo": "agents.sb3.maskable_ppo:MaskablePPO",
        "ppo": "agents.sb3.ppo:PPO",
        "recurrent-ppo": "agents.sb3.recurrent_ppo:RecurrentPPO",
        "a2c": "agents.sb3.a2c:A2C",
        "trpo": "agents.sb3.trpo:TRPO",
        "dqn": "agents.sb3.dqn:DQN",
        "qrdqn": "agents.sb3.qrdqn:QRDQN",
        "ars": "agents.sb3.ars:ARS",
        "cma-es": "agents.es.cma_es:CmaES",
        "setpoint-ppo": "agents.ppo.setpoint_ppo:SetpointPPO",
        "linear-cma-es": "agents.linear.linear_cma_es:LinearCmaES",
        "learned-hazard": "agents.hazard.learned_hazard:LearnedHazard",
        "sac": "agents.sb3.sac:SAC",
        "td3": "agents.sb3.td3:TD3",
        "ddpg": "agents.sb3.ddpg:DDPG",
        "tqc": "agents.sb3.tqc:TQC",
        "crossq": "agents.sb3.crossq:CrossQ",
    },
    AgentConfigError,
    check="agents.config:check_agent_class",
)
"""Trainable agents: the class of the settings of each, which says everything else of it."""


def make_agent(name: str, /, **settings: Any) -> AgentConfig:
    """The settings of an agent, with the nearest name for one that does not exist.

    Args:
        name: a name in `AGENTS`, or `module:Class` of a custom one.
        settings: its hyperparameters; what is left out keeps its default.

    Raises:
        AgentConfigError: no such agent or setting, or a value is out of its range.
    """
    schema = AGENTS[name]
    known = field_names(schema)
    for key in settings:
        if key not in known:
            raise AgentConfigError(f"agent {name}: unknown setting {key!r}{did_you_mean(key, known)}")
    return schema(**{"name": name, **settings})


def agents_for(action_space: str, clusters: bool = False) -> list[str]:
    """Names of the agents that can play an action space.

    Args:
        action_space: name of Gymnasium's class, such as `MultiDiscrete`.
        clusters: it is that of a GPU cluster.
    """
    return [
        name
        for name, agent in ((name, AGENTS[name]) for name in AGENTS)
        if action_space in agent.action_spaces or (clusters and (agent.clusters_only or agent.is_continuous()))
    ]


def make_baseline(name: str, layout: CodecLayout, seed: int = 0) -> Policy:
    """Build a baseline.

    Args:
        name: a name in `BASELINES`, or `module:NAME` of a custom one.
        layout: the codec layout.
        seed: of stochastic ones.

    Raises:
        UnknownPolicyError: there is no such baseline.
        PolicyNeedsLeverError: it needs a lever or hints that the layout has not.
        PolicyNeedsTuningError: it is tuned on a training window.
    """
    baseline = BASELINES[name]
    if baseline.make is None:
        raise PolicyNeedsTuningError(
            f"policy {name} is tuned on a training window, as autoscaler evaluate and simulate do; choose one that is "
            f"not, such as reactive"
        )
    check_levers(name, layout)
    return baseline.make(layout, np.random.default_rng(seed))


def check_levers(name: str, layout: CodecLayout) -> None:
    """Refuse a layout that lacks what a baseline needs.

    Raises:
        PolicyNeedsLeverError: as above.
    """
    for switch in BASELINES[name].needs:
        if not getattr(layout, switch):
            raise PolicyNeedsLeverError(
                f"policy {name} needs codec.{switch}; switch it on with --set codec.{switch}=true"
            )
