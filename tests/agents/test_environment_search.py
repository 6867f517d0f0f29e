"""Search on an environment that brings what is searched: training, resuming and loading."""

from __future__ import annotations

import numpy as np
import pytest

from agents.artifact import WEIGHTS
from agents.config import TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError, ArtifactError
from agents.loading import load_policy
from agents.registry import make_agent
from agents.training import Hooks, train
from envs.training import training_of

ENV = "autoscaler/Serverless-v0"
KWARGS = {
    "workload": "synthetic-functions:mixed?functions=9&hours=6&seed=1",
    "config": {"episode_seconds": 7200.0, "warm_up_seconds": 600.0},
}


def task(steps: int = 30_000, env: str = ENV, kwargs=None, **settings) -> EnvironmentTask:
    agent = make_agent("cma-es", **{"restarts": 2, "windows": 1, "population": 6, "sigma": 0.3, **settings})
    kwargs = KWARGS if kwargs is None else kwargs
    config = TrainConfig(total_steps=steps, validations=2, validation_windows=2, checkpoint_steps=10_000)
    return EnvironmentTask(agent, config, env, kwargs, training_of(env, kwargs, 2), 0, "")


def test_a_search_is_resumed_to_the_same_bits_and_its_policy_loads(tmp_path):
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    whole = train(task(), tmp_path / "whole")
    calls = iter([False, False, True])
    stopped = train(task(), tmp_path / "part", Hooks(should_stop=lambda: next(calls, True)))
    assert not stopped.finished
    resumed = train(task(), tmp_path / "part", resume=True)
    assert resumed.best_score == whole.best_score
    weights = [(tmp_path / name / "policy" / WEIGHTS).read_bytes() for name in ("whole", "part")]
    assert weights[0] == weights[1]
    policy = load_policy(tmp_path / "whole")
    actions = policy.act(np.zeros((3, 25), np.float32))
    assert actions.shape == (3, 4)
    assert whole.baseline_score > 0.0


def test_a_policy_of_an_environment_that_nothing_searches_does_not_load(tmp_path):
    (tmp_path / "first").mkdir()
    train(task(5_000), tmp_path / "first")
    manifest = (tmp_path / "first" / "policy" / "manifest.json").read_text()
    (tmp_path / "first" / "policy" / "manifest.json").write_text(manifest.replace(ENV, "autoscaler/Serverless-v9"))
    with pytest.raises(ArtifactError, match="no search plays"):
        load_policy(tmp_path / "first")


def test_an_environment_without_a_search_says_so(tmp_path):
    with pytest.raises(AgentConfigError, match="cannot play CartPole-v1, which brings no search"):
        train(task(env="CartPole-v1", kwargs={}), tmp_path / "run")


def test_hidden_layers_are_refused(tmp_path):
    with pytest.raises(AgentConfigError, match="has linear policies"):
        train(task(hidden=(8,)), tmp_path / "run")
