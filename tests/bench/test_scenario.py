"""Scenarios: what the package ships can be read, and bad descriptions and missing data are one clear line."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from autoscaler.bench.errors import BenchError, MissingDataError
from autoscaler.bench.scenario import choose_scenarios, data_folder, find_scenario, shipped_names
from autoscaler.cli import main
from configs.errors import ConfigError
from tests.bench.worlds import SMALL, small_scenario


def test_the_suite_goes_from_one_pool_to_three_regions_and_mixed_gpus() -> None:
    scenarios = {name: find_scenario(name, None).config for name in shipped_names()}
    pools = {name: 1 if isinstance(one.cluster, str) else len(one.cluster.pools) for name, one in scenarios.items()}
    assert {1, 3} <= set(pools.values())
    assert max(len(one.environment.regions) for one in scenarios.values()) == 3
    assert {"serverless-generated", "synthetic-one-pool"} <= {name for name, one in scenarios.items() if not one.data}
    assert len(scenarios) >= 8


@pytest.mark.parametrize("name", [name for name in shipped_names() if name.startswith("synthetic")])
def test_an_embedded_scenario_can_be_loaded(name: str) -> None:
    scenario = find_scenario(name, None)
    world = scenario.load()
    assert len(world.windows) == scenario.config.windows
    assert world.windows[0].start_ms / 1000.0 >= world.experiment.training_window(world.trace)[1]
    world.scenario.problem()


@pytest.mark.parametrize("name", [name for name in shipped_names() if not name.startswith("synthetic")])
def test_a_scenario_with_data_can_be_loaded(name: str, data_dir: Path) -> None:
    scenario = find_scenario(name, str(data_dir))
    scenario.check_data()
    if scenario.config.env is not None:
        assert len(scenario.load_environment().evaluation.windows) == scenario.config.windows
        return
    world = scenario.load()
    assert min(window.num_jobs for window in world.windows) > 50
    world.scenario.problem()


def test_the_fingerprint_follows_what_changes_results_and_nothing_else(tmp_path: Path) -> None:
    def fingerprint(text: str) -> str:
        return find_scenario(small_scenario(tmp_path, text=text), None).config.fingerprint

    base = fingerprint(SMALL)
    assert fingerprint(SMALL.replace("a few days", "some days")) == base
    assert fingerprint(SMALL + "  packer: best-fit\n") == base  # the default, said aloud
    assert fingerprint(SMALL + "  packer: first-fit\n") != base
    assert fingerprint(SMALL.replace("version: 1", "version: 2")) != base


def test_without_data_scenarios_are_skipped_with_the_reason() -> None:
    reasons: list[str] = []
    chosen = choose_scenarios([], None, reasons.append)
    assert {scenario.name for scenario in chosen} >= {"synthetic-one-pool", "synthetic-three-regions"}
    assert not [scenario.name for scenario in chosen if scenario.config.data]
    assert any("itp08-one-pool: needs traces/itp/cluster08.csv.gz" in reason for reason in reasons)


def test_a_scenario_that_is_named_is_refused_without_its_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOSCALER_DATA", str(tmp_path))
    assert main(["bench", "run", "itp08-one-pool", "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr().err
    assert captured.startswith(f"error: itp08-one-pool: there is no traces/itp/cluster08.csv.gz in {tmp_path}")
    assert len(captured.splitlines()) == 1
    assert not (tmp_path / "out").exists()


DATA = """\
version: 1
description: needs a file
trace: "itp:{data}/jobs.csv.gz"
data:
  - {path: jobs.csv.gz, sha256: SUM, source: somewhere}
"""


def test_a_file_with_another_content_is_refused_and_one_packed_again_is_not(tmp_path: Path, data_dir: Path) -> None:
    content = gzip.decompress((data_dir / "traces" / "itp" / "cluster10.csv.gz").read_bytes())
    digest = "139abea485b52090f5950d0f28d82878169df408e36052ec5c7cd04a3f3fcfa7"
    path = small_scenario(tmp_path, text=DATA.replace("SUM", digest))
    (tmp_path / "jobs.csv.gz").write_bytes(gzip.compress(content, 1))
    find_scenario(path, str(tmp_path)).check_data()
    (tmp_path / "jobs.csv.gz").write_bytes(gzip.compress(content + b"\n", 1))
    with pytest.raises(MissingDataError, match="another content than version 1"):
        find_scenario(path, str(tmp_path)).check_data()
    (tmp_path / "jobs.csv.gz").write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(MissingDataError, match="get it again"):
        find_scenario(path, str(tmp_path)).check_data()


def test_data_may_lie_flat_in_the_folder(tmp_path: Path, data_dir: Path) -> None:
    shutil.copy(data_dir / "traces" / "itp" / "cluster08.csv.gz", tmp_path)
    scenario = find_scenario("itp08-one-pool", str(tmp_path))
    scenario.check_data()
    assert scenario.config.fingerprint == find_scenario("itp08-one-pool", str(data_dir)).config.fingerprint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SMALL + "bond: cost\n", "did you mean 'bound'"),
        (SMALL.replace("windows: 2", "windows: 0"), "windows"),
        (SMALL + "env: autoscaler/Serverless-v0\n", "either trace"),
        (SMALL + "env_kwargs: {workload: x}\n", "env_kwargs has arguments of env"),
        (SMALL.replace("trace: ", "env: autoscaler/Serverless-v0 #"), "environment: only GPU clusters"),
        (SMALL.replace("synthetic:quickstart?days=3&seed=0", "itp:{data}/jobs.csv"), "is not listed in data"),
        (SMALL.replace("window_slots: 4", "power_caps: true"), "bound: none"),
    ],
)
def test_a_bad_description_is_one_clear_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        find_scenario(small_scenario(tmp_path, text=text), None)
    assert "\n" not in str(caught.value)


def test_an_unknown_scenario_has_a_nearest_name() -> None:
    with pytest.raises(BenchError, match="did you mean 'itp08-one-pool'"):
        find_scenario("itp8-one-pool", None)


def test_a_folder_of_data_that_is_none_is_refused() -> None:
    with pytest.raises(BenchError, match="which is no folder"):
        data_folder("/no/such/folder")
