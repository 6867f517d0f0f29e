"""The index of scenarios: every test that it names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "tests" / "cluster" / "README.md"


def rows():
    lines = [line for line in INDEX.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [line for line in lines if not line.startswith(("| --- ", "| convention ", "| must not "))]


def test_the_index_names_a_test_for_each_of_its_scenarios():
    assert len(rows()) >= 30
    assert all(re.search(r"\| `tests/[a-z_/]+\.py::test_\w+` \|$", row) for row in rows())


def test_every_test_that_the_index_names_exists():
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", INDEX.read_text(encoding="utf-8")):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"
