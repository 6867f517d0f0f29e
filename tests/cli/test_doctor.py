"""`autoscaler doctor` finds what is wrong and names the fix."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
from pathlib import Path

import pytest

from autoscaler import DISTRIBUTION, cli, diagnosis
from envs.compiled import choice


@pytest.fixture
def findings():
    return diagnosis.Findings()


def test_json_holds_all_that_the_text_shows(capsys):
    status = cli.main(["doctor", "--json", "-"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == diagnosis.SCHEMA
    assert document["versions"]["python"].startswith("3.")
    assert set(document["packages"]) == set(diagnosis.PACKAGES)
    assert status == (1 if document["problems"] else 0)
    assert all(problem["what"] and problem["fix"] for problem in document["problems"])


def test_text_names_every_problem_and_its_fix(monkeypatch, capsys):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/nowhere")
    assert cli.main(["doctor"]) == 1
    output = capsys.readouterr().out
    assert "- numba cannot write its cache to /proc/nowhere/autoscaler\n  fix: set NUMBA_CACHE_DIR" in output


def test_a_check_that_breaks_becomes_a_problem_and_the_others_go_on(monkeypatch):
    def broken(_layout):
        raise RuntimeError("no such\nfield")

    import envs.gpu_cluster.codec

    monkeypatch.setattr(envs.gpu_cluster.codec, "fingerprint", broken)
    found = diagnosis.examine()
    assert found.codec_fingerprint is None
    assert "codec: not available: RuntimeError: no such field" in [problem.what for problem in found.problems]
    assert found.wandb


def test_a_missing_requirement_is_a_problem_and_a_missing_extra_is_not(monkeypatch, findings):
    def version(name):
        if name in ("torch", "wandb"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    diagnosis.check_versions(findings)
    assert [problem.what for problem in findings.problems] == ["torch is not installed"]
    assert findings.versions["wandb"] is None
    diagnosis.check_wandb(findings)
    assert findings.wandb == "not installed"


def test_a_package_that_shadows_ours_is_named(monkeypatch, findings, tmp_path):
    other = tmp_path / "envs"
    other.mkdir()
    (other / "__init__.py").write_text("")
    find_spec = importlib.util.find_spec
    shadow = importlib.util.spec_from_file_location("envs", other / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: shadow if name == "envs" else find_spec(name))
    diagnosis.check_packages(findings)
    assert findings.packages["envs"] == str(other)
    assert any(f"the package 'envs' is imported from {other}" in problem.what for problem in findings.problems)


def test_a_distribution_that_owns_one_of_our_packages_is_named(monkeypatch, findings):
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"envs": [DISTRIBUTION, "other-envs"]})
    diagnosis.check_packages(findings)
    assert "the distribution 'other-envs' installs files into the package 'envs' too" in [
        problem.what for problem in findings.problems
    ]


def test_the_installed_root_of_an_editable_install_is_the_checkout(monkeypatch, tmp_path):
    class Distribution:
        def read_text(self, _name):
            return json.dumps({"url": (tmp_path / "my checkout").as_uri(), "dir_info": {"editable": True}})

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Distribution())
    assert diagnosis.installed_root() == tmp_path / "my checkout"


def test_the_cache_is_where_the_kernels_are_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert diagnosis.examine().numba_cache == {"path": str(tmp_path / "autoscaler"), "writable": True}


def test_it_says_which_compiler_makes_the_kernels(monkeypatch):
    monkeypatch.setenv("AUTOSCALER_COMPILER", "stock")
    choice.chosen_compiler.cache_clear()
    try:
        assert diagnosis.examine().compiler == "stock"
    finally:
        choice.chosen_compiler.cache_clear()


def test_a_folder_that_is_missing_is_writable_when_it_can_be_made(tmp_path):
    assert diagnosis.is_writable(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    assert not diagnosis.is_writable(Path("/proc/a/b"))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"WANDB_MODE": "offline"}, "offline"),
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "k"}, "disabled"),
        ({"WANDB_API_KEY": "k"}, "online"),
        ({}, "offline, unless `wandb login` has been run"),
    ],
)
def test_wandb_mode_follows_the_environment(monkeypatch, findings, environment, expected):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    findings.versions["wandb"] = "1.0"
    diagnosis.check_wandb(findings)
    assert findings.wandb == expected
    assert os.environ.get("WANDB_MODE", "") == environment.get("WANDB_MODE", "")
