"""Train an agent by search inside a run folder: learning curve, validation, checkpoints, and the chosen policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agents.cluster_task import ClusterTask
from agents.config import AgentConfig, TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError
from agents.es.cma_es import CmaES, SetpointConfig
from agents.es.environment import EnvironmentSearchRun
from agents.es.generations import refuse_parts
from agents.es.run import SearchRun
from agents.training import Hooks, Result, Task
from configs.errors import did_you_mean
from envs.gpu_cluster.codec import LEVERS, CodecLayout, feature_choices, lever_columns

WIDEST = CodecLayout(**dict.fromkeys([lever.switch for lever in LEVERS], True), signals=True, arrival_features=True)


def check(agent: AgentConfig, config: TrainConfig) -> None:
    """Refuse settings in which a name names nothing, or that search has no use for; see `agents.training.check`."""
    assert isinstance(agent, SetpointConfig)
    check_features(agent, WIDEST)
    check_levers(agent, tuple(lever.name for lever in LEVERS))
    refuse_parts(agent, config, "the cost of whole windows")


def check_features(agent: SetpointConfig, layout: CodecLayout) -> None:
    """Refuse features that a layout has not, or no features.

    Raises:
        AgentConfigError: as above.
    """
    choices = feature_choices(layout)
    if not agent.features:
        raise AgentConfigError("agent.features is empty; a policy must read something, such as since_submit")
    for name in agent.features:
        if name not in choices:
            raise AgentConfigError(f"agent.features: unknown feature {name!r}{did_you_mean(name, choices)}")
    if len(set(agent.features)) < len(agent.features):
        raise AgentConfigError("agent.features names a feature twice; leave one of them out")


def check_levers(agent: SetpointConfig, names: Sequence[str]) -> None:
    """Refuse levers that are not among these names, or named twice.

    Raises:
        AgentConfigError: as above.
    """
    for name in agent.levers or ():
        if name not in names:
            where = f"of {', '.join(names)}" if names else "because the codec switches none on"
            raise AgentConfigError(f"agent.levers: {name!r} is no lever {where}{did_you_mean(name, names)}")
    if len(set(agent.levers or ())) < len(agent.levers or ()):
        raise AgentConfigError("agent.levers names a lever twice; leave one of them out")


def train(task: Task, folder: Path, hooks: Hooks, resume: bool) -> Result:
    """Train; see `agents.training.train`."""
    settings = task.agent
    assert isinstance(settings, CmaES)
    if isinstance(task, ClusterTask):
        check_features(settings, task.layout)
        check_levers(settings, tuple(lever_columns(task.layout)))
        return SearchRun(task, settings, folder, hooks).run(resume)
    assert isinstance(task, EnvironmentTask)
    return EnvironmentSearchRun(task, settings, folder, hooks).run(resume)
