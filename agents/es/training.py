"""Train an agent by search inside a run folder: learning curve, validation, checkpoints, and the chosen policy."""

from __future__ import annotations

from pathlib import Path

from agents.cluster_task import ClusterTask
from agents.config import AgentConfig, TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError
from agents.es.cma_es import CmaES
from agents.es.environment import EnvironmentSearchRun
from agents.es.generations import refuse_parts
from agents.es.run import SearchRun
from agents.training import Hooks, Result, Task
from configs.errors import did_you_mean
from envs.gpu_cluster.codec import CodecLayout, feature_choices

WIDEST = CodecLayout(consolidation=True, power_caps=True, elastic_width=True, signals=True)


def check(agent: AgentConfig, config: TrainConfig) -> None:
    """Refuse settings in which a name names nothing, or that search has no use for; see `agents.training.check`."""
    assert isinstance(agent, CmaES)
    _check_features(agent, WIDEST)
    refuse_parts(agent, config, "the cost of whole windows")


def _check_features(agent: CmaES, layout: CodecLayout) -> None:
    choices = feature_choices(layout)
    if not agent.features:
        raise AgentConfigError("agent.features is empty; a policy must read something, such as since_submit")
    for name in agent.features:
        if name not in choices:
            raise AgentConfigError(f"agent.features: unknown feature {name!r}{did_you_mean(name, choices)}")
    if len(set(agent.features)) < len(agent.features):
        raise AgentConfigError("agent.features names a feature twice; leave one of them out")


def train(task: Task, folder: Path, hooks: Hooks, resume: bool) -> Result:
    """Train; see `agents.training.train`."""
    settings = task.agent
    assert isinstance(settings, CmaES)
    if isinstance(task, ClusterTask):
        _check_features(settings, task.layout)
        return SearchRun(task, settings, folder, hooks).run(resume)
    assert isinstance(task, EnvironmentTask)
    return EnvironmentSearchRun(task, settings, folder, hooks).run(resume)
