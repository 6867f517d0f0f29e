"""Train `setpoint-ppo` inside a run folder: learning curve, validation, checkpoints, and the chosen policy."""

from __future__ import annotations

from pathlib import Path

import torch

from agents.cluster_task import ClusterTask
from agents.config import AgentConfig, TrainConfig
from agents.errors import AgentConfigError
from agents.es.generations import refuse_parts
from agents.es.training import WIDEST, check_features, check_levers
from agents.ppo.run import PPORun
from agents.ppo.setpoint_ppo import SetpointPPO
from agents.training import Hooks, Result, Task
from envs.gpu_cluster.codec import LEVERS, lever_columns


def check(agent: AgentConfig, config: TrainConfig) -> None:
    """Refuse settings in which a name names nothing, or that have no meaning; see `agents.training.check`."""
    assert isinstance(agent, SetpointPPO)
    check_features(agent, WIDEST)
    check_levers(agent, tuple(lever.name for lever in LEVERS))
    refuse_parts(agent, config, "what disturbances cost")
    if agent.device == "cuda" and not torch.cuda.is_available():
        raise AgentConfigError("agent.device is cuda, and torch finds no such device; set agent.device=auto")
    if agent.least_sigma > agent.sigma:
        raise AgentConfigError(
            f"agent.least_sigma is {agent.least_sigma:g}, above agent.sigma, which is {agent.sigma:g}; lower it"
        )


def train(task: Task, folder: Path, hooks: Hooks, resume: bool) -> Result:
    """Train; see `agents.training.train`."""
    settings = task.agent
    assert isinstance(settings, SetpointPPO)
    if not isinstance(task, ClusterTask):
        raise AgentConfigError(f"agent {settings.name} plays GPU clusters only; choose another, such as maskable-ppo")
    check_features(settings, task.layout)
    check_levers(settings, tuple(lever_columns(task.layout)))
    torch.set_num_threads(task.train.threads)
    return PPORun(task, settings, folder, hooks).run(resume)
