"""Find the programs of the control plane, or build them once into the user's cache.

Order: the folder `KUBEBUILDER_ASSETS`, PATH, the cache, a build from Go modules. The cache is keyed by the
inputs of the build, a build appears in it whole or not at all, and one process at a time builds.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import constants, gobuild
from tests.cluster.progress import Progress, say

SOURCE = Path(__file__).parent / "controlplane"
COMPONENTS = ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager")

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where each program is: a command line to which its flags are appended.

    Attributes:
        components: For each name in `COMPONENTS` its command.
        kwok: The command of KWOK.
        karpenter: Command of Karpenter with its KWOK provider; None when it is not wanted.
        karpenter_crds: Files of the CustomResourceDefinitions that Karpenter needs.
    """

    components: dict[str, Command]
    kwok: Command
    karpenter: Command | None = None
    karpenter_crds: tuple[Path, ...] = ()


def cache_directory() -> Path:
    """Return the folder of the cache: `$XDG_CACHE_HOME/autoscaler/cluster`, by default under ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "autoscaler" / "cluster"


def find_binaries(*, karpenter: bool = False, progress: Progress = say) -> Binaries:
    """Return all programs; what is neither installed nor cached is built, in about 12 minutes, once.

    Raises:
        GoUnavailableError: Something must be built and there is no Go.
        BuildError: The build failed.
    """
    components = _installed_components(progress)
    if components is None:
        binary = _cached("controlplane", _control_plane_inputs(), _build_control_plane, progress)
        components = {name: (str(binary / "controlplane"), name) for name in COMPONENTS}
    kwok = _installed("kwok", constants.KWOK_VERSION)
    if kwok is None:
        kwok = str(_cached("kwok", [constants.KWOK_VERSION], _build_kwok, progress) / "kwok")
    if not karpenter:
        return Binaries(components, (kwok,))
    folder = _cached("karpenter", [constants.KARPENTER_VERSION], _build_karpenter, progress)
    crds = tuple(sorted((folder / "crds").glob("*.yaml")))
    return Binaries(components, (kwok,), (str(folder / "kwok"),), crds)


def _installed_components(progress: Progress) -> dict[str, Command] | None:
    # envtest's assets have no scheduler and no controller manager: only a full set of one minor version serves.
    minor = constants.KUBERNETES_VERSION.rpartition(".")[0]
    found: dict[str, Command] = {}
    for name in COMPONENTS:
        path = _installed(name, "" if name == "etcd" else minor + ".")
        if path is None:
            if found:
                progress(f"no {name} {minor} beside the installed {', '.join(found)}: using our own build")
            return None
        found[name] = (path,)
    return found


def _installed(name: str, version: str) -> str | None:
    """Return the path of an installed program whose --version contains `version`."""
    folders = [os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ.get("PATH", "")]
    path = shutil.which(name, path=os.pathsep.join(folder for folder in folders if folder))
    if path is None:
        return None
    try:
        reply = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return path if version in reply.stdout else None


def _cached(
    name: str,
    inputs: list[str],
    build: Callable[[Path, Progress], None],
    progress: Progress,
) -> Path:
    """Return the cache's folder for these inputs; call `build` with an empty folder when there is none."""
    stamp = json.dumps([*inputs, platform.system(), platform.machine(), _flags()])
    key = hashlib.sha256(stamp.encode()).hexdigest()[:16]
    cache = cache_directory()
    folder = cache / f"{name}-{key}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{name}.lock", name, progress):
        if folder.is_dir():  # Another process built it while this one waited.
            return folder
        for old in cache.glob(f"{name}.part-*"):  # Of a build that was killed: the lock is ours now.
            shutil.rmtree(old, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{name}.part-", dir=cache))
        try:
            build(part, progress)
            part.chmod(0o755)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


@contextlib.contextmanager
def _locked(path: Path, name: str, progress: Progress) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"another process builds {name}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _flags() -> list[str]:
    version = constants.KUBERNETES_VERSION
    match = re.match(r"v(\d+)\.(\d+)\.", version)
    assert match, version
    values = {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": match[1],
        "k8s.io/component-base/version.gitMinor": match[2],
        "k8s.io/component-base/version.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }
    return ["-trimpath", "-ldflags", "-s -w " + " ".join(f"-X {key}={value}" for key, value in values.items())]


def _control_plane_inputs() -> list[str]:
    return [(SOURCE / name).read_text() for name in ("main.go", "go.mod", "go.sum")]


def _build_control_plane(folder: Path, progress: Progress) -> None:
    progress(f"building Kubernetes {constants.KUBERNETES_VERSION} from Go modules: about 12 minutes, once")
    go = gobuild.find_go(cache_directory(), progress)
    arguments = ["build", "-v", "-mod=readonly", *_flags(), "-o", str(folder / "controlplane"), "."]
    gobuild.run_go(go, arguments, cwd=SOURCE, what="control plane", progress=progress)


def _build_kwok(folder: Path, progress: Progress) -> None:
    _install(f"sigs.k8s.io/kwok/cmd/kwok@{constants.KWOK_VERSION}", folder, "KWOK", progress)


def _build_karpenter(folder: Path, progress: Progress) -> None:
    version = constants.KARPENTER_VERSION
    go = _install(f"sigs.k8s.io/karpenter/kwok@{version}", folder, "Karpenter", progress)
    _copy_crds(go, f"sigs.k8s.io/karpenter@{version}", ("pkg/apis/crds", "kwok/apis/crds"), folder)


def find_crds(module: str, version: str, folder: str, progress: Progress = say) -> tuple[Path, ...]:
    """Return files of the CustomResourceDefinitions in a folder of a Go module; it is downloaded once.

    Raises:
        GoUnavailableError: It must be downloaded and there is no Go.
        BuildError: The download failed.
    """

    def build(target: Path, progress: Progress) -> None:
        _copy_crds(gobuild.find_go(cache_directory(), progress), f"{module}@{version}", (folder,), target)

    name = "crds-" + re.sub(r"[^a-z0-9]+", "-", module.lower())
    found = _cached(name, [module, version, folder], build, progress) / "crds"
    return tuple(sorted(found.glob("*.yaml")))


def _copy_crds(go: str, module: str, sources: tuple[str, ...], folder: Path) -> None:
    try:
        reply = subprocess.run(
            [go, "mod", "download", "-json", module], cwd=folder, capture_output=True, text=True, check=True
        )
    except subprocess.CalledProcessError as error:
        raise gobuild.BuildError(
            f"go mod download {module} failed: {error.stdout[-500:]}{error.stderr[-500:]}"
        ) from error
    root = Path(json.loads(reply.stdout)["Dir"])
    crds = folder / "crds"
    crds.mkdir()
    for source in sources:
        for crd in (root / source).glob("*.yaml"):
            (crds / crd.name).write_bytes(crd.read_bytes())


def _install(package: str, folder: Path, what: str, progress: Progress) -> str:
    progress(f"building {package}: about 3 minutes, once")
    go = gobuild.find_go(cache_directory(), progress)
    gobuild.run_go(
        go,
        ["install", "-v", *_flags()[:1], "-ldflags", "-s -w", package],
        cwd=folder,
        what=what,
        environment={"GOBIN": str(folder)},
        progress=progress,
    )
    return go
