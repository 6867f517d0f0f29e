"""Names of policies and settings of agents: what exists can be made, what does not is named with the nearest."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass, field

import pytest

from agents.baselines import Baseline
from agents.config import AgentConfig, TrainConfig, field_names
from agents.errors import AgentConfigError, PolicyNeedsTuningError, PolicyTypeError, UnknownPolicyError
from agents.registry import AGENTS, BASELINES, agents_for, make_agent, make_baseline
from agents.sb3.settings import Sb3Config
from configs.errors import ConfigError
from configs.loader import build_config, to_dict
from configs.registry import import_object
from envs.gpu_cluster.codec import CodecLayout, fingerprint

NAN, INFINITY = float("nan"), float("inf")


MADE = sorted(name for name in BASELINES if BASELINES[name].make is not None)


@pytest.mark.parametrize("name", MADE)
def test_every_baseline_can_be_made_and_bears_its_name(name: str) -> None:
    layout = CodecLayout(**dict.fromkeys(BASELINES[name].needs, True))
    policy = make_baseline(name, layout)
    assert policy.name == name
    assert policy.codec_fingerprint == fingerprint(layout)


def test_a_baseline_that_is_tuned_is_none_of_a_layout_alone() -> None:
    assert {"reactive-tuned", "hpa"} <= set(BASELINES) - set(MADE)
    with pytest.raises(PolicyNeedsTuningError, match="reactive-tuned is tuned on a training window"):
        make_baseline("reactive-tuned", CodecLayout())


def test_a_baseline_is_made_or_tuned_and_not_both() -> None:
    for wrong in (Baseline(), Baseline(make=lambda *_: None, tune=lambda *_: None)):  # type: ignore[arg-type,return-value]
        with pytest.raises(PolicyTypeError, match="must have either make or tune"):
            BASELINES["wrong"] = wrong


def test_an_unknown_baseline_proposes_the_nearest_name() -> None:
    with pytest.raises(UnknownPolicyError) as caught:
        make_baseline("reactiv", CodecLayout())
    assert str(caught.value) == "unknown policy 'reactiv'; did you mean 'reactive'?"


def test_an_unknown_agent_proposes_the_nearest_name() -> None:
    with pytest.raises(AgentConfigError, match="unknown agent 'maskableppo'; did you mean 'maskable-ppo'"):
        make_agent("maskableppo")


@dataclass(frozen=True)
class Holder:
    """A config with an agent in it."""

    agent: AgentConfig = field(default_factory=lambda: make_agent("maskable-ppo"))


STABLE_BASELINES = [name for name in AGENTS if issubclass(AGENTS[name], Sb3Config)]


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_of_the_list_can_be_made_by_name_and_from_yaml(name: str) -> None:
    made = make_agent(name)
    assert (made.name, type(made)) == (name, AGENTS[name])
    changed = {"learning_rate" if "learning_rate" in field_names(AGENTS[name]) else "sigma": 0.25}
    read = build_config({"agent": {"name": name, **changed}}, Holder)
    assert read.agent == make_agent(name, **changed)
    assert build_config(to_dict(read), Holder) == read


@pytest.mark.parametrize("name", STABLE_BASELINES)
def test_the_settings_of_an_agent_are_all_that_its_algorithm_takes(name: str) -> None:
    """But for what the engine gives: environment, seed, device, buffers, loggers."""
    settings = make_agent(name)
    assert isinstance(settings, Sb3Config)
    given = ["self", "env", "tensorboard_log", "verbose", "seed", "device", "_init_setup_model", "args", "kwargs"]
    # What it costs to leave out: memory is saved, but truncated episodes are lost.
    given += ["optimize_memory_usage"]
    classes = import_object(settings.algorithm, "").__mro__
    taken = list(inspect.signature(classes[0].__init__).parameters)
    taken += list(inspect.signature(classes[1].__init__).parameters) if "kwargs" in taken else []
    wanted = {
        entry for entry in taken if entry not in given and not entry.endswith(("_buffer_class", "_buffer_kwargs"))
    }
    ours = set(settings.arguments()) | {"policy", "policy_kwargs", "learning_rate"}
    assert ours == wanted


def test_an_unknown_setting_proposes_the_nearest_one_of_that_agent() -> None:
    with pytest.raises(AgentConfigError, match="agent a2c: unknown setting 'entcoef'; did you mean 'ent_coef'"):
        make_agent("a2c", entcoef=0.1)
    with pytest.raises(ConfigError, match=r"unknown key 'agent\.clip_rang'; did you mean 'clip_range'"):
        build_config({"agent": {"name": "ppo", "clip_rang": 0.1}}, Holder)
    with pytest.raises(ConfigError, match=r"unknown key 'agent\.clip_range'"):
        build_config({"agent": {"name": "dqn", "clip_range": 0.1}}, Holder)


def test_a_value_that_does_not_fit_says_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"agent\.tau is 2: input should be less than or equal to 1"):
        build_config({"agent": {"name": "dqn", "tau": 2}}, Holder)
    with pytest.raises(ConfigError, match=r"agent\.n_steps is \"3\": input should be a valid integer"):
        build_config({"agent": {"n_steps": "3"}}, Holder)


def test_an_unknown_agent_in_yaml_is_one_line() -> None:
    with pytest.raises(AgentConfigError, match="unknown agent 'pppo'; did you mean 'ppo'"):
        build_config({"agent": {"name": "pppo"}}, Holder)


def test_agents_are_found_by_the_actions_that_they_play() -> None:
    assert set(agents_for("MultiDiscrete")) == {"maskable-ppo", "ppo", "recurrent-ppo", "a2c", "trpo", "linear-cma-es"}
    assert set(agents_for("MultiDiscrete", clusters=True)) - set(agents_for("MultiDiscrete")) == {
        "cma-es",
        "setpoint-ppo",
        *("sac", "td3", "ddpg", "tqc", "crossq"),  # setpoints as a Box
    }
    assert {"dqn", "qrdqn", "ars"} < set(agents_for("Discrete"))
    assert {"sac", "td3", "ddpg", "tqc", "crossq", "ars"} < set(agents_for("Box"))


def test_importing_agents_needs_neither_torch_nor_numba() -> None:
    """The live loop imports them."""
    script = (
        "import sys, agents, agents.registry, agents.artifact, agents.config, agents.policy;"
        "[agents.registry.make_agent(name) for name in agents.registry.AGENTS];"
        "print(sorted(name for name in ('torch', 'numba', 'stable_baselines3') if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("hidden_units", [0, -1, 10**9, "8", None]),
        ("n_steps", [0]),
        ("batch_size", [0]),
        ("n_epochs", [0]),
        ("learning_rate", [0.0, -1e-3, NAN, INFINITY]),
        ("clip_range", [0.0, NAN]),
        ("gamma", [0.0, 1.1, NAN]),
        ("gae_lambda", [-0.1, 1.1]),
        ("ent_coef", [-0.1, NAN, INFINITY]),
        ("start_logit", [-0.1, INFINITY]),
    ],
)
def test_a_hyperparameter_without_meaning_is_refused(name: str, values: list[float]) -> None:
    for value in values:
        with pytest.raises(AgentConfigError, match=f"agent.{name} is {value!r}; it should be"):
            make_agent("maskable-ppo", **{name: value})


@pytest.mark.parametrize(
    "name", ["total_steps", "num_envs", "threads", "validations", "validation_windows", "checkpoint_steps"]
)
def test_lengths_and_sizes_are_at_least_1(name: str) -> None:
    with pytest.raises(AgentConfigError, match=rf"train\.{name} is 0; it should be greater than or equal to 1"):
        TrainConfig(**{name: 0})


@pytest.mark.parametrize("name", AGENTS)
def test_every_hyperparameter_is_documented(name: str) -> None:
    schema = AGENTS[name]
    documents = "".join(entry.__doc__ or "" for entry in schema.__mro__)
    assert [entry for entry in field_names(schema) if f"{entry}: " not in documents] == []
