"""The section `sweep` of a config: what can be searched, and what is refused before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import optuna
import pytest

from autoscaler.sweeps.space import Range, load_sweep
from configs.errors import ConfigError, UserError

SPACE = {"agent.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}


def draws(span: Range, count: int = 200) -> list[Any]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [span.suggest(study.ask(), "key") for _ in range(count)]


def test_whole_ends_draw_whole_numbers_with_both_ends() -> None:
    assert set(draws(Range(1, 3))) == {1, 2, 3}
    assert set(draws(Range(0, 10, step=5))) == {0, 5, 10}


def test_other_ends_draw_from_the_range() -> None:
    values = draws(Range(1e-4, 1e-2, log=True))
    assert all(isinstance(value, float) and 1e-4 <= value <= 1e-2 for value in values)
    assert 0.35 < sum(value < 1e-3 for value in values) / len(values) < 0.65  # half of a logarithmic range
    assert set(draws(Range(0.0, 1.0, step=0.5))) == {0.0, 0.5, 1.0}


def test_choices_may_be_anything_that_a_config_holds() -> None:
    choices = ([64, 64], "text", None, True)
    found = draws(Range(choices=choices))
    assert all(value in choices for value in found)
    assert [64, 64] in found
    assert None in found


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ({}, "give low and high, or choices"),
        ({"low": 1}, "give low and high, or choices"),
        ({"low": 2, "high": 1}, "low must be less than high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "a logarithmic range needs low > 0"),
        ({"low": 1, "high": 2, "step": 3}, "fit between low and high"),
        ({"low": 1, "high": 4, "step": 0.5}, "must be whole"),
        ({"choices": []}, "a list that is not empty"),
        ({"choices": [1], "low": 1}, "with neither low"),
        ({"choice": [1]}, "did you mean 'choices'"),
        ({"low": "small", "high": 1}, "agent.learning_rate.low"),
    ],
)
def test_a_range_without_meaning_is_refused(span: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_sweep({"sweep": {"agent.learning_rate": span}})


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "sweep is empty"),
        ({"agent.learning_rat": SPACE["agent.learning_rate"]}, "did you mean 'learning_rate'"),
        ({"agent.learning_rate": {"low": -1.0, "high": 1.0}}, "learning_rate"),
        (
            {"environment.objective.usd_per_kwh": {"low": 0.1, "high": 0.2}},
            "cannot be searched, because trials",
        ),
        ({"train.validation_windows": {"low": 2, "high": 6}}, "cannot be searched"),
        ({"trace": {"choices": ["a"]}}, "cannot be searched"),
    ],
)
def test_a_search_without_meaning_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        load_sweep({"sweep": space})


def test_an_experiment_takes_the_drawn_values_and_nothing_else() -> None:
    config = load_sweep({"sweep": SPACE, "seed": 7})
    experiment = config.experiment({"agent.learning_rate": 1e-05, "environment.codec.window_slots": 3})
    assert experiment.agent.learning_rate == 1e-5
    assert experiment.environment.codec.window_slots == 3
    assert config.experiment({"agent.learning_rate": config.experiment().agent.learning_rate}) == config.experiment()
    assert config.experiment().seed == 7


def test_a_sweep_is_read_from_yaml_with_overrides(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("sweep:\n  agent.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}\n")
    config = load_sweep(path, ["seed=3", "sweep={train.num_envs: {choices: [8, 16]}}"])
    assert config.seed == 3
    assert config.sweep == {"train.num_envs": Range(choices=(8, 16))}
