"""The index of scenarios: every test that it names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "tests" / "cluster" / "README.md"


def scenarios():
    return re.findall(r"^- .*\n(?:  .*\n)*", INDEX.read_text(encoding="utf-8"), re.M)


def test_the_index_names_a_test_for_each_of_its_scenarios():
    assert len(scenarios()) >= 30
    unnamed = [each for each in scenarios() if not re.search(r":\n  `tests/[a-z_/]+\.py::test_\w+`\n$", each)]
    assert not unnamed


def test_every_test_that_the_index_names_exists():
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", INDEX.read_text(encoding="utf-8")):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"
