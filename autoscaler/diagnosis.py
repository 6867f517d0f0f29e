"""What this installation is made of, what is wrong with it and how to fix that: what `autoscaler doctor` calls."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from autoscaler import DISTRIBUTION, __version__

SCHEMA = "autoscaler.doctor/1"
PACKAGES = ("autoscaler", "agents", "envs", "traces", "configs")
REQUIRED = ("numpy", "numba", "pyarrow", "torch", "gymnasium", "stable-baselines3", "sb3-contrib", "safetensors")
OPTIONAL = ("onnxruntime", "kubernetes", "wandb")
ENVIRONMENT_ID = "autoscaler/GpuCluster-v0"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, and what the user does about it."""

    what: str
    fix: str


@dataclass(slots=True)
class Findings:
    """All that doctor prints; the JSON holds the same names.

    Attributes:
        versions: Distribution to its version; None where it is not installed.
        machine: Operating system, cores this process may use, memory in GiB.
        codec_fingerprint: Of the default layout; None where the codec cannot be loaded.
        environment: The id that Gymnasium finds without an import of ours; None where it does not.
        compiler: Which one makes the kernels, `fast` or `stock`; None where that cannot be told.
        numba_cache: Folder of the compiled kernels, and whether it is writable.
        packages: Each top-level package of ours to the folder that Python imports.
        wandb: How Weights & Biases would log: `online`, `offline`, `disabled` or `not installed`.
        problems: What is wrong.
    """

    versions: dict[str, str | None] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    codec_fingerprint: str | None = None
    environment: str | None = None
    compiler: str | None = None
    numba_cache: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, str | None] = field(default_factory=dict)
    wandb: str = "not installed"
    problems: list[Problem] = field(default_factory=list)


def examine() -> Findings:
    """Look at everything; a check that fails becomes a problem and the others go on."""
    findings = Findings()
    for check in (
        check_versions,
        check_machine,
        check_packages,
        check_codec,
        check_environment,
        check_compiler,
        check_numba_cache,
        check_wandb,
    ):
        _guarded(check, findings)
    return findings


def _guarded(check: Callable[[Findings], None], findings: Findings) -> None:
    try:
        check(findings)
    except Exception as error:  # doctor must outlive whatever is broken
        name = check.__name__.removeprefix("check_").replace("_", " ")
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        fix = f"install {DISTRIBUTION} again into a new virtual environment"
        findings.problems.append(Problem(f"{name}: not available: {reason}", fix))


def check_versions(findings: Findings) -> None:
    """Versions from the installed metadata, so that nothing heavy is imported."""
    findings.versions = {"python": platform.python_version(), DISTRIBUTION: __version__}
    for name in (*REQUIRED, *OPTIONAL):
        try:
            findings.versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            findings.versions[name] = None
            if name in REQUIRED:
                findings.problems.append(Problem(f"{name} is not installed", f"pip install {name}"))


def check_machine(findings: Findings) -> None:
    """Cores that this process may use (not all that the machine has) and memory."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    findings.machine = {"system": platform.platform(), "cores": cores, "memory_gib": round(memory_bytes / 2**30, 1)}


def check_packages(findings: Findings) -> None:
    """Whether Python finds our own top-level packages, or others of the same names first."""
    root = installed_root()
    if root is None:
        fix = "pip install it, in a checkout with -e ."
        findings.problems.append(Problem(f"{DISTRIBUTION} is not installed, it runs from its source", fix))
        root = Path(__file__).resolve().parents[1]
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        folder = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
        findings.packages[name] = None if folder is None else str(folder)
        if folder != root / name:
            what = f"the package {name!r} is imported from {folder}, ours is in {root / name}"
            fix = "remove or rename the other one, or use a virtual environment of its own"
            findings.problems.append(Problem(what, fix))
    owners = importlib.metadata.packages_distributions()
    for name in PACKAGES:
        for other in sorted(set(owners.get(name, [])) - {DISTRIBUTION}):
            what = f"the distribution {other!r} installs files into the package {name!r} too"
            findings.problems.append(Problem(what, f"pip uninstall {other}, then install {DISTRIBUTION} again"))


def installed_root() -> Path | None:
    """The folder that holds our packages as the installer recorded it; None where nothing is installed."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
    direct = json.loads(distribution.read_text("direct_url.json") or "{}")
    if direct.get("dir_info", {}).get("editable"):
        return Path(unquote(urlparse(direct["url"]).path)).resolve()
    return Path(str(distribution.locate_file(""))).resolve()


def check_codec(findings: Findings) -> None:
    """The fingerprint that policies of this version carry, for the default layout."""
    from envs.gpu_cluster.codec import CodecLayout, fingerprint

    findings.codec_fingerprint = fingerprint(CodecLayout())


def check_environment(findings: Findings) -> None:
    """Whether Gymnasium finds our environment with no import of ours."""
    import gymnasium

    if ENVIRONMENT_ID in gymnasium.registry:
        findings.environment = ENVIRONMENT_ID
    else:
        fix = f"install {DISTRIBUTION} again; until then import envs.registry and call register_envs() first"
        findings.problems.append(Problem(f"Gymnasium does not find {ENVIRONMENT_ID}", fix))


def check_compiler(findings: Findings) -> None:
    """Which compiler makes the kernels; see `envs.compiled.choice`."""
    from envs.compiled.choice import chosen_compiler

    findings.compiler = chosen_compiler()


def check_numba_cache(findings: Findings) -> None:
    """Where numba keeps compiled kernels; without a writable place every start compiles again."""
    from envs.compiled.compiler import cache_root

    folder = cache_root()
    writable = is_writable(folder)
    findings.numba_cache = {"path": str(folder), "writable": writable}
    if not writable:
        fix = "set NUMBA_CACHE_DIR to a folder that you may write to"
        findings.problems.append(Problem(f"numba cannot write its cache to {folder}", fix))


def is_writable(folder: Path) -> bool:
    """Whether a file can be made in `folder`, or, where it is missing, in the nearest folder above it."""
    existing = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            return True
    except OSError:
        return False


def check_wandb(findings: Findings) -> None:
    """How Weights & Biases would log; offline needs neither account nor network."""
    if findings.versions.get("wandb") is None:
        return
    mode = os.environ.get("WANDB_MODE", "").lower()
    if mode in ("disabled", "dryrun", "offline"):
        findings.wandb = "offline" if mode == "dryrun" else mode
    else:
        findings.wandb = "online" if os.environ.get("WANDB_API_KEY") else "offline, unless `wandb login` has been run"


def text(findings: Findings) -> str:
    """All findings for humans, and each problem with its fix."""
    machine, cache = findings.machine, findings.numba_cache
    rows: list[tuple[str, str]] = [(name, version or "not installed") for name, version in findings.versions.items()]
    rows += [
        ("machine", f"{machine.get('system')}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB"),
        ("interpreter", sys.executable),
        ("packages", str(Path(findings.packages.get("autoscaler") or "not found").parent)),
        ("codec", findings.codec_fingerprint or "not available"),
        ("environment", findings.environment or "not registered"),
        ("compiler", findings.compiler or "not available"),
        ("numba cache", f"{cache.get('path')} ({'writable' if cache.get('writable') else 'not writable'})"),
        ("wandb logging", findings.wandb),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    lines += ["", "No problem found." if not findings.problems else f"{len(findings.problems)} problem(s):"]
    lines += [f"- {problem.what}\n  fix: {problem.fix}" for problem in findings.problems]
    return "\n".join(lines)
