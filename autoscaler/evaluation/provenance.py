"""Provenance: what a result came from, so that someone else can get it again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import autoscaler
from traces.trace import Trace

PACKAGES = ("numpy", "numba", "pyarrow", "torch", "gymnasium", "stable-baselines3", "sb3-contrib")


def machine() -> dict[str, Any]:
    """System, processor, and the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": platform.platform(), "processor": processor(), "cores": cores}


def processor() -> str:
    """The name of the processor, as the operating system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def package_versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that a result depends on; None where one is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def git_revision() -> str | None:
    """The commit of the checkout that this code runs from, `-dirty` where it was changed; None outside a checkout."""
    folder = Path(__file__).resolve().parents[2]
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    if not (folder / ".git").exists():
        return None  # an installed copy that lies inside someone else's repository is not that repository's
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def trace_digest(trace: Trace) -> str:
    """SHA-256 of what the simulator reads of a trace: submission, run time and GPUs of each job."""
    digest = hashlib.sha256()
    for column in (trace.submit_milliseconds, trace.duration_milliseconds, trace.gpu_milli):
        digest.update(np.ascontiguousarray(column, np.int64).tobytes())
    return digest.hexdigest()


def command_line() -> str:
    """The command that runs now, as a shell takes it: of the command line, or of a program that uses the library."""
    program = Path(sys.argv[0])
    if program.name == "autoscaler" or program.parts[-2:] == ("autoscaler", "__main__.py"):
        return shlex.join(["autoscaler", *sys.argv[1:]])
    return shlex.join(["python", *sys.argv])


def provenance() -> dict[str, Any]:
    """What is known about this process: command, versions, machine, time."""
    return {
        "command": command_line(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": autoscaler.__version__,
        "git_revision": git_revision(),
        "packages": package_versions(),
        "machine": machine(),
    }
