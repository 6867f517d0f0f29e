"""docs/json.md names exactly the fields that the documents have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoscaler.cli import main
from tests.conftest import ROOT

FREE = ("settings", "packages", "environment")
"""Objects whose keys other documentation describes."""


def documented() -> dict[str, set[str]]:
    """The fields in the first column of each section's tables."""
    sections: dict[str, set[str]] = {}
    heading = ""
    for line in (ROOT / "docs" / "json.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ").strip("`")
        elif line.startswith("| `"):
            sections.setdefault(heading, set()).update(re.findall(r"`([^`]+)`", line.split(" | ")[0]))
    return sections


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Dotted paths of all values; every policy is `<name>`, every item of a list `[]`."""
    if isinstance(value, dict) and path.rpartition(".")[2] not in FREE:
        for key, item in value.items():
            name = "<name>" if path == "policies" else key
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value or [None]:
            yield from leaves(item, f"{path}[]")
    else:
        yield path


def document_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--quiet", "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_simulate(capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(capsys, "simulate", "--trace", "synthetic:quickstart?days=1&seed=0")
    sections = documented()
    assert set(leaves(document)) == sections["autoscaler.simulate/1"] | sections["Numbers of a run"]


def test_the_usage_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = "synthetic:quickstart?days=1&seed=0"
    usage = document_of(capsys, "simulate", "--trace", trace, "--usage", str(tmp_path / "usage.csv"))["usage"]
    fields = documented()["Usage of a run"]
    assert list(usage) == ["by_user", "by_group", "by_pool", "unattributed"]
    assert set(usage["unattributed"]) == fields - {"user", "group", "pool"}
    for kind in ("user", "group", "pool"):
        assert all(set(row) == set(usage["unattributed"]) | {kind} for row in usage[f"by_{kind}"])


def test_evaluate(capsys: pytest.CaptureFixture[str]) -> None:
    document = document_of(
        capsys, "evaluate", "--trace", "synthetic:quickstart?days=2&seed=0", "--baselines", "reactive,reactive-tuned"
    )
    sections = documented()
    estimate = {"mean", "low", "high"}
    fields = sections["autoscaler.evaluate/1"] - estimate - {"cluster"}
    cluster = {field for field in sections["autoscaler.simulate/1"] if field.startswith("cluster.")}
    numbers = {f"policies.<name>.{field}" for field in sections["Numbers of a run"]}
    versus = {field for field in fields if ".versus_reference." in field and not field.endswith("[]")}
    expected = (fields - versus) | cluster
    gap = {"policies.<name>.gap_closed"}  # null of the reference itself
    expected |= {f"{field}.{part}" for field in numbers | versus | gap for part in estimate}
    assert set(leaves(document)) == expected
