"""Uses the installed wheel as a user would, from a folder outside the checkout: `make wheel-smoke` runs it.

A plain script and no pytest module: the environment of the wheel holds nothing but the wheel and what it requires.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PACKAGES = ("autoscaler", "agents", "envs", "traces", "configs")
CHECKOUT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(sysconfig.get_path("scripts"))
TRAIN_OVERRIDES = ("--set", "train.total_steps=4096")

MAKE_ENVIRONMENT = """
import gymnasium, numpy
env = gymnasium.make("autoscaler/GpuCluster-v0")
observation, info = env.reset(seed=0)
assert observation in env.observation_space
masks = numpy.split(env.unwrapped.action_masks(), env.action_space.nvec.cumsum()[:-1])
observation, reward, terminated, truncated, info = env.step(numpy.array([mask.argmax() for mask in masks]))
assert observation in env.observation_space
assert reward == reward
env.close()
"""

# The live loop runs where neither is installed.
IMPORT_LIGHTLY = """
import sys
import agents, autoscaler, autoscaler.live, configs, envs, envs.gpu_cluster.codec
loaded = {"torch", "numba"} & set(sys.modules)
assert not loaded, loaded
"""


def run(step: str, *command: str) -> str:
    """Run a command, stop with its output when it fails, return its stdout."""
    sys.stderr.write(f"wheel: {step}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"error: {' '.join(command)}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def check_packages() -> None:
    """Every package comes from the wheel, with its marker of types and the presets."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"{name} is not installed"
        assert spec.origin is not None, f"{name} has no __init__.py"
        folder = Path(spec.origin).resolve().parent
        # The environment itself lies below the checkout, so only the package's own folder can tell.
        assert folder != CHECKOUT / name, f"{name} is imported from the checkout"
        assert (folder / "py.typed").is_file(), f"{name} has no py.typed"
    from configs.presets import list_presets

    assert "experiment/quickstart" in list_presets(), f"presets in the wheel: {list_presets()}"


def check_page() -> None:
    """The page of the dashboard was built into the wheel, and its sources stayed out."""
    spec = importlib.util.find_spec("autoscaler")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "dashboard"
    assert (folder / "static" / "index.html").is_file(), "the wheel has no page; the build said why"
    assert not (folder / "web").exists()


def main() -> None:
    """Try everything that the wheel offers, the cheap things first."""
    autoscaler, python = str(SCRIPTS / "autoscaler"), sys.executable
    check_packages()
    check_page()
    assert run("version", autoscaler, "--version").startswith("autoscaler 0."), "odd version"
    run("light imports", python, "-c", IMPORT_LIGHTLY)
    run("gymnasium.make", python, "-W", "error", "-c", MAKE_ENVIRONMENT)
    doctor = json.loads(run("doctor", autoscaler, "doctor", "--json", "-"))
    assert doctor["problems"] == [], doctor["problems"]
    listed = json.loads(run("policies", autoscaler, "policies", "list", "--json", "-"))["policies"]
    assert listed, "no trained policy in the wheel"
    for entry in listed:
        card = run("card", autoscaler, "policies", "show", entry["name"])
        assert "## Limits" in card, f"{entry['name']}: no model card in the wheel"
    preset = "configs/experiment/quickstart.yaml"
    run("train", autoscaler, "train", preset, "--seed", "0", "--name", "smoke", "--out", "runs", *TRAIN_OVERRIDES)
    run("evaluate", autoscaler, "evaluate", "runs/smoke", "--report", "r.html", "--json", "r.json")
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["policies"], "no policies in the result"
    assert "<html" in Path("r.html").read_text(encoding="utf-8"), "no report"
    run(
        "pretrained",
        autoscaler,
        "evaluate",
        listed[0]["name"],
        "--baselines",
        "none",
        "--windows",
        "1",
        "--json",
        "p.json",
    )
    assert listed[0]["name"] in json.loads(Path("p.json").read_text(encoding="utf-8"))["policies"], "not evaluated"
    sys.stderr.write("wheel: all steps passed\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="wheel-smoke-") as folder:
        os.chdir(folder)
        main()
        os.chdir(CHECKOUT)
