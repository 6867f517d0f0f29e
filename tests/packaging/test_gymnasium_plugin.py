"""Gymnasium knows our environments without an import of ours, and other people's packages stay theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parents[2] / "packaging" / "gymnasium_plugin"


@pytest.fixture
def run(tmp_path):
    """Run a script as an installed plugin would see it, with `tmp_path` as the first folder of the path."""

    def run_script(script: str) -> str:
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PLUGIN}"}
        command = [sys.executable, "-c", f"import green_gpu_autoscaler_gymnasium; {script}"]
        result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        return result.stdout.strip()

    return run_script


@pytest.fixture
def registry(tmp_path):
    """A registry in the place of ours that notes how often it was called."""
    package = tmp_path / "envs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "registry.py").write_text(
        "def register_envs():\n"
        "    import gymnasium\n"
        "    gymnasium.register('autoscaler/Probe-v0', entry_point='nowhere:Env')\n"
    )


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    "statement",
    ["import gymnasium", "from gymnasium.envs.registration import register", "import gymnasium.spaces, gymnasium"],
)
def test_any_import_of_gymnasium_registers_our_environments_once(run, statement):
    output = run(f"{statement}; import gymnasium; print(gymnasium.spec('autoscaler/Probe-v0').id)")
    assert output == "autoscaler/Probe-v0"


def test_nothing_is_imported_before_gymnasium_is(run):
    names = "{'gymnasium', 'envs', 'autoscaler', 'importlib.metadata'}"
    assert run(f"import sys; print(sorted(set(sys.modules) & {names}))") == "[]"


def test_another_package_of_the_same_name_stays_usable(run, tmp_path):
    package = tmp_path / "envs"
    package.mkdir()
    (package / "__init__.py").write_text("WHOSE = 'theirs'\n")
    assert run("import gymnasium, envs; print(envs.WHOSE, 'CartPole-v1' in gymnasium.registry)") == "theirs True"
