"""The presets with signals from the command line: they train, are evaluated, and say what is wrong with a signal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.artifact import find_artifact, read_manifest
from autoscaler.cli import main
from envs.gpu_cluster.codec import observation_names

PRESETS = ("one-region", "three-regions")
SMALL = (
    "--trace=synthetic:quickstart?days=4&seed=0&deferrable=0.5&estimated=1",
    *("--set", "environment.episode_seconds=43200", "--set", "agent.hidden_units=8", "--set", "agent.n_steps=32"),
    *("--set", "agent.batch_size=128", "--set", "agent.n_epochs=1", "--set", "train.num_envs=16"),
    *("--set", "train.total_steps=1024", "--set", "train.validations=1", "--set", "train.validation_windows=1"),
)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_with_signals_trains_and_is_evaluated(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"experiment/{preset}", *SMALL, "--quiet", "--out", "runs", "--name", "run"]) == 0
    folder = find_artifact(Path("runs/run"))
    layout = read_manifest(folder).cluster_layout(folder)
    assert layout.signals
    assert "pool0.price_in_6h" in observation_names(layout)
    capsys.readouterr()
    assert main(["evaluate", "runs/run", "--json", "-", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ('[{name: here, carbon: {uri: "synthetic:solr"}}]', "did you mean 'solar'"),
        ('[{name: here, carbon: {uri: "eia:nowhere/eia2022_CISO.csv.gz"}}]', "nowhere/eia2022_CISO.csv.gz"),
        ('[{name: here, carbon: {uri: "synthetic:solar?days=1"}}]', "covers"),
        ('[{name: here, carbon: {uri: "synthetic:solar", forecast: pefect}}]', "did you mean 'perfect'"),
    ],
)
def test_a_signal_that_cannot_be_used_is_one_line(
    regions: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "experiment/one-region", "--set", f"environment.regions={regions}", "--quiet"]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not list(tmp_path.iterdir())


def test_data_in_a_region_that_is_not_there_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    trace = "synthetic:quickstart?days=1&seed=0&median_data_gb=10&data_regions=hre:1"
    assert main(["simulate", "--trace", trace, "--set", "regions=[{name: here}]", "--quiet"]) == 2
    error = capsys.readouterr().err.strip()
    assert "are in region 'hre', which is not there; did you mean 'here'?" in error
    assert "\n" not in error


def test_a_region_whose_carbon_nobody_knows_is_named_where_carbon_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    price = '{name: there, price: {uri: "synthetic:price"}}'
    simulate = ("simulate", "--trace", "synthetic:quickstart?days=1&seed=0", "--quiet", "--set")
    assert main([*simulate, f"regions=[{price}]"]) == 0
    assert "counted as 0 in there, where it is not known" in " ".join(capsys.readouterr().out.replace("│", "").split())
    assert main([*simulate, f"regions=[{price}]", "--set", "objective.carbon_g_per_kwh=400"]) == 0
    assert "counted as 0" not in capsys.readouterr().out
