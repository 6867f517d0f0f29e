"""The simulator as a library: the examples of the documentation run, and its exports are what they use."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import envs.gpu_cluster.simulator
from envs.gpu_cluster.registry import PACKERS

ROOT = Path(__file__).resolve().parents[3]
PAGES = ("docs/simulator.md", "docs/energy.md")
EXAMPLES = [
    pytest.param(code, id=f"{page} {number}")
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    )
    if "envs.gpu_cluster.simulator" in code
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        exec(compile(code, "example", "exec"), {})
    finally:
        for name in set(PACKERS) - set(PACKERS.listed):  # other tests compare the packers of the package
            del PACKERS[name]
    assert capsys.readouterr().out
    for path in tmp_path.iterdir():
        assert pq.read_table(path).schema.equals(envs.gpu_cluster.simulator.EVENT_SCHEMA)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_exports_exist() -> None:
    for name in envs.gpu_cluster.simulator.__all__:
        assert getattr(envs.gpu_cluster.simulator, name) is not None
