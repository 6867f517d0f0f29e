"""Every example of docs/gymnasium.md runs as it stands on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from envs.registry import register_envs
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "gymnasium.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def examples() -> list[tuple[str, str]]:
    """(heading and number, code) of each Python block."""
    found: list[tuple[str, str]] = []
    for match in BLOCK.finditer(PAGE):
        if match.group(1) == "python":
            heading = HEADING.findall(PAGE[: match.start()])[-1]
            number = 1 + sum(name.startswith(heading) for name, _ in found)
            found.append((f"{heading} {number}", match.group(2)))
    return found


@pytest.mark.parametrize(("heading", "code"), examples(), ids=[name for name, _ in examples()])
def test_an_example_runs(heading: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register_envs()
    monkeypatch.chdir(tmp_path)
    for match in BLOCK.finditer(PAGE):
        if match.group(1) == "yaml":
            (tmp_path / "zoo.yml").write_text(match.group(2))
    exec(compile(code, f"docs/gymnasium.md: {heading}", "exec"), {"__name__": "example"})


def test_the_page_has_an_example_for_each_kind_of_reader() -> None:
    code = "\n".join(text for _, text in examples())
    for word in (
        "gymnasium.make(",
        "make_vec(",
        "PPO(",
        "DQN(",
        "MaskablePPO(",
        "env_kwargs",
        "from_json",
        "action_masks",
    ):
        assert word in code


def test_the_lines_of_the_page_are_short() -> None:
    assert max(len(line) for line in PAGE.splitlines()) < 160
