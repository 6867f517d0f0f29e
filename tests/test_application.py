"""`import autoscaler`: a handful of names that load what they need when they are used, with their types."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import autoscaler
from autoscaler.evaluation.provenance import command_line
from tests.conftest import ROOT

HEAVY = ("torch", "numba", "pyarrow", "gymnasium", "numpy", "yaml", "matplotlib", "kubernetes", "wandb", "optuna")


def test_importing_the_package_loads_nothing_else() -> None:
    program = f"import sys, autoscaler; sys.exit(' '.join(name for name in {HEAVY!r} if name in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", autoscaler.__all__)
def test_every_name_is_what_its_module_defines(name: str) -> None:
    module = importlib.import_module(autoscaler.LAZY_NAMES[name])
    assert getattr(autoscaler, name) is getattr(module, name)


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse((ROOT / "autoscaler" / "__init__.py").read_text(encoding="utf-8"))
    typed = {
        alias.asname: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == autoscaler.LAZY_NAMES
    assert sorted(autoscaler.__all__) == sorted(autoscaler.LAZY_NAMES)


@pytest.mark.slow
def test_mypy_knows_the_types_of_the_names(tmp_path: Path) -> None:
    program = tmp_path / "use.py"
    program.write_text("import autoscaler\nreveal_type(autoscaler.train)\nautoscaler.simulate('reactive', trace=5)\n")
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", program], cwd=ROOT, capture_output=True, text=True)
    assert "-> autoscaler.training.TrainedRun" in done.stdout, done.stdout
    assert 'Argument "trace" to "simulate" has incompatible type "int"' in done.stdout


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        autoscaler.trian  # noqa: B018
    assert {"train", "simulate", "__version__"} <= set(dir(autoscaler))


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["/venv/bin/autoscaler", "train", "a b"], "autoscaler train 'a b'"),
        (["/src/autoscaler/__main__.py", "doctor"], "autoscaler doctor"),
        (["study.py", "--seeds", "3"], "python study.py --seeds 3"),
    ],
)
def test_the_command_of_a_result_is_that_of_the_program_that_made_it(
    words: list[str], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", words)
    assert command_line() == command
