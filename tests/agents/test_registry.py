"""Names of policies and settings of agents: what exists can be made, what does not is named with the nearest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agents.config import AgentConfig, TrainConfig
from agents.errors import AgentConfigError, UnknownPolicyError
from agents.registry import AGENTS, BASELINES, make_baseline
from envs.gpu_cluster.codec import CodecLayout, fingerprint

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_every_baseline_can_be_made_and_bears_its_name(name: str) -> None:
    layout = CodecLayout(**dict.fromkeys(BASELINES[name].needs, True))
    policy = make_baseline(name, layout)
    assert policy.name == name
    assert policy.codec_fingerprint == fingerprint(layout)


def test_an_unknown_baseline_proposes_the_nearest_name() -> None:
    with pytest.raises(UnknownPolicyError) as caught:
        make_baseline("reactiv", CodecLayout())
    assert str(caught.value) == "unknown policy 'reactiv'; did you mean 'reactive'?"


def test_an_unknown_agent_proposes_the_nearest_name() -> None:
    with pytest.raises(AgentConfigError, match="unknown agent 'maskableppo'; did you mean 'maskable-ppo'"):
        AgentConfig("maskableppo")


def test_every_agent_of_the_list_has_a_module() -> None:
    import torch

    from agents.sb3.models import agent_module

    for name in AGENTS:
        module = agent_module(name)
        assert AgentConfig(name).name == name
        assert callable(module.make_model)
        assert callable(module.actor_body)
        assert isinstance(module.empty_body(CodecLayout(), 4), torch.nn.Module)


def test_importing_agents_needs_neither_torch_nor_numba() -> None:
    """The live loop imports them."""
    script = (
        "import sys, agents, agents.registry, agents.artifact, agents.config, agents.policy;"
        "print(sorted(name for name in ('torch', 'numba', 'stable_baselines3') if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("hidden_units", [0, -1]),
        ("rollout_steps", [0]),
        ("batch_size", [0]),
        ("epochs", [0]),
        ("replay_transitions", [0]),
        ("learning_rate", [0.0, -1e-3, NAN, INFINITY]),
        ("clip_range", [0.0, NAN]),
        ("discount", [0.0, 1.1, NAN]),
        ("gae_lambda", [0.0, 1.1]),
        ("exploration_fraction", [0.0, 1.1]),
        ("entropy_coefficient", [-0.1, NAN, INFINITY]),
        ("start_logit", [-0.1, INFINITY]),
    ],
)
def test_a_hyperparameter_without_meaning_is_refused(name: str, values: list[float]) -> None:
    for value in values:
        with pytest.raises(AgentConfigError, match=f"agent.{name} is {value}; it must be"):
            AgentConfig(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TrainConfig.__slots__)
def test_lengths_and_sizes_are_at_least_1(name: str) -> None:
    with pytest.raises(AgentConfigError, match=rf"train\.{name} is 0; it must be at least"):
        TrainConfig(**{name: 0})


@pytest.mark.parametrize("name", AgentConfig.__slots__)
def test_every_hyperparameter_is_documented(name: str) -> None:
    assert f"{name}: " in (AgentConfig.__doc__ or "")
