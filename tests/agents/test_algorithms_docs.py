"""The examples of docs/algorithms.md run as they stand there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from agents.baselines.baseline import LITERATURE
from agents.registry import BASELINES
from autoscaler.experiment import ExperimentConfig
from configs.loader import load_config
from tests.agents.builders import LAYOUTS, observations_and_masks, write_artifact

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "algorithms.md").read_text()


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", examples("yaml"))
def test_every_yaml_example_is_an_experiment(text: str, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    load_config(path, ExperimentConfig)


@pytest.mark.slow
def test_the_example_that_replays_many_policies_runs() -> None:
    names: dict[str, object] = {}
    exec(examples("python")[0], names)
    assert "simulator" in names


@pytest.mark.slow
def test_the_policy_and_its_onnx_file_choose_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_artifact(tmp_path / "runs" / "first" / "policy", "maskable-ppo")
    observations, masks = observations_and_masks(LAYOUTS["maskable-ppo"], 1)
    names = {"observation": observations[0], "action_mask": masks[0]}
    _, loaded, exported = examples("python")
    exec(loaded, names)
    first = names["action"]
    exec(exported, names)
    np.testing.assert_array_equal(names["action"], first)


def test_every_rule_stands_in_the_table() -> None:
    assert [name for name in BASELINES if f"| `{name}` |" not in PAGE] == []


@pytest.mark.parametrize("name", [name for name in BASELINES if BASELINES[name].group == LITERATURE])
def test_every_rule_of_the_literature_names_its_source(name: str) -> None:
    module = import_module(f"agents.baselines.{name.replace('-', '_')}")
    assert "\nSource: " in (module.__doc__ or "")
