"""The documents: lines are short, and links and paths point at files that exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

MAX_CHARACTERS = 160
TABLE = re.compile(r"^<!-- table: .*?^<!-- end -->", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:autoscaler|envs|agents|traces|configs|tests|benchmarks|deploy)/[\w./-]*)(?:::\w+)?`")
ENVIRONMENT = re.compile(r"autoscaler/\w+-v\d+")
RECORDS = ROOT / "docs" / "adr"


def tracked_documents() -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split() if listed.returncode == 0 else ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    return tuple(ROOT / name for name in names)


DOCUMENTS = tracked_documents()
GUIDES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(page: Path) -> Iterator[str]:
    """Targets of the page's relative links, without the heading that they may name."""
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, _ = target.partition("#")
        if path and "://" not in path and not path.startswith("mailto:"):
            yield path


def paths(page: Path) -> Iterator[str]:
    """What looks like a path of the repository; ids of environments look the same but for their version."""
    return (path for path in PATH.findall(page.read_text(encoding="utf-8")) if not ENVIRONMENT.fullmatch(path))


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_no_line_is_longer_than_a_screen(page: Path) -> None:
    """But for tables that are made from the code: a row is one line."""
    text = TABLE.sub(lambda found: "\n" * found.group().count("\n"), page.read_text(encoding="utf-8"))
    lines = text.splitlines()
    assert [f"line {number}" for number, line in enumerate(lines, start=1) if len(line) > MAX_CHARACTERS] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_every_relative_link_points_at_a_file(page: Path) -> None:
    assert [target for target in links(page) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_every_path_of_the_repository_exists(page: Path) -> None:
    assert [path for path in paths(page) if not (ROOT / path).exists()] == []


def test_a_missing_link_a_missing_path_and_a_heading_are_told_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "[a](gone.md) [b](#here) [c](page.md#top) [d](https://example.org)\n```\n[e](in/code.md)\n```\n"
        "`envs/gone.py::test_x`, `envs/<name>.py`, `other/file.py`, `autoscaler/GpuCluster-v0`\n"
    )
    assert list(links(page)) == ["gone.md", "page.md"]
    assert list(paths(page)) == ["envs/gone.py"]


def test_the_index_of_decision_records_lists_each_record_once() -> None:
    records = sorted(path.name for path in RECORDS.glob("[0-9]*.md"))
    index = (RECORDS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[\d+\]\(([^)]+)\)", index, re.MULTILINE) == records


def test_every_decision_record_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in RECORDS.glob("[0-9]*.md")]
    assert len(set(numbers)) == len(numbers)
