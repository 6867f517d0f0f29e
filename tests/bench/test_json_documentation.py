"""docs/json.md names exactly the fields that the documents of the suite have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autoscaler.bench.grid import GridResult
from autoscaler.bench.listing import list_document
from autoscaler.bench.query import query
from autoscaler.bench.table import bench_table
from tests.bench.test_table import row
from tests.conftest import ROOT


def documented(section: str) -> set[str]:
    """The fields in the first column of a section's table; `.low` alone continues the name before it."""
    text = (
        (ROOT / "docs" / "json.md").read_text(encoding="utf-8").partition(f"## `{section}`\n")[2].partition("\n## ")[0]
    )
    found: set[str] = set()
    for line in text.splitlines():
        if line.startswith("| `"):
            names = re.findall(r"`([^`]+)`", line.split(" | ")[0])
            found |= {name if not name.startswith(".") else names[0].rpartition(".")[0] + name for name in names}
    return found


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Dotted paths of all values; names of policies and scenarios are `<name>` and `<scenario>`."""
    if isinstance(value, dict):
        for key, item in value.items():
            name = {"policies": "<name>", "policies.<name>.scenarios": "<scenario>"}.get(path, key)
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value or [None]:
            yield from leaves(item, f"{path}[]")
    else:
        yield path


def test_the_list() -> None:
    found = set(leaves(list_document(None)))
    assert found - {"scenarios[].data[]"} == documented("autoscaler.bench.list/1")  # some need no data


def test_a_run() -> None:
    document = GridResult(Path("results.parquet"), pa.table({"a": [1]}), 1, 0, ("why",)).document()
    assert set(leaves(document)) == documented("autoscaler.bench.run/1")


def test_the_table_and_an_answer(tmp_path: Path) -> None:
    rows = [
        row("a", policy, 0, window, usd, learning_cpu_seconds=1.0)
        for policy, usd in (("reactive-tuned", 110.0), ("other", 105.0))
        for window in range(1, 6)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "results.parquet")
    found = set(leaves(bench_table(tmp_path).document()))
    unknown = {f"policies.<name>.{name}" for name in ("gap_closed_iqm", "probability_of_improvement")}
    assert found - unknown == documented("autoscaler.bench.table/1")  # the reference has neither of itself
    assert set(leaves(query("select policy from results", tmp_path).document())) == documented("autoscaler.results/1")
