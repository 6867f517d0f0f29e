"""Fingerprints: what a result depends on, so that only what changed runs again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CODE = (
    *("envs", "traces", "agents", "autoscaler/evaluation"),
    *("autoscaler/training.py", "autoscaler/experiment.py", "autoscaler/bench/tasks.py"),
)
"""What numbers come from: simulator, codec, traces, policies, and how these are tuned, trained and measured."""

NO_NUMBERS = ("autoscaler/evaluation/report", "autoscaler/evaluation/fronts.py")
"""Below `CODE`, what only shows numbers."""


def digest_of(values: Mapping[str, Any]) -> str:
    """A digest of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:24]


@cache
def code_digest() -> str:
    """A digest of the code that numbers come from: other code gives other results, until shown otherwise."""
    return digest_of_files(_sources())


def _sources() -> list[Path]:
    found: list[Path] = []
    for name in CODE:
        path = ROOT / name
        found += [path] if path.is_file() else path.rglob("*.py")
    return [path for path in found if not path.relative_to(ROOT).as_posix().startswith(NO_NUMBERS)]


def digest_of_files(paths: Iterable[Path], root: Path = ROOT) -> str:
    """A digest of the names and contents of files.

    Args:
        paths: the files, in any order.
        root: their names are relative to it.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:24]


def folder_digest(folder: Path) -> str:
    """A digest of all files below a folder, such as the artifact of a trained policy."""
    return digest_of_files((path for path in folder.rglob("*") if path.is_file()), folder)


def module_digest(name: str) -> str:
    """A digest of the source of a module, such as that of a custom rule; the name alone where it has none."""
    spec = find_spec(name)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return name
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:24]
