"""Programs are found, or built once, whole or not at all, by one process at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import binaries, constants, gobuild
from tests.cluster.progress import Progress
from tests.cluster.waiting import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]

BUILDER = """
import sys, time
from pathlib import Path
from tests.cluster import binaries

def build(folder, progress):
    with Path(sys.argv[1]).open("a") as log:
        log.write("built\\n")
    time.sleep(1)
    (folder / "program").write_text("whole")

folder = binaries._cached("thing", ["input"], build, lambda message: None)
assert (folder / "program").read_text() == "whole"
"""


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return binaries.cache_directory()


def ignore(message: str) -> None:
    """Progress that nobody reads."""


def executable(path: Path, output: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)


def test_two_processes_build_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = [subprocess.Popen([sys.executable, "-c", BUILDER, str(log)], cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=PATIENCE_SECONDS) for process in running] == [0, 0]
    assert log.read_text() == "built\n"


def test_a_failed_build_leaves_nothing_in_the_cache(empty_cache: Path) -> None:
    def build(folder: Path, progress: Progress) -> None:
        (folder / "program").write_text("half")
        raise gobuild.BuildError("no")

    with pytest.raises(gobuild.BuildError):
        binaries._cached("thing", ["input"], build, ignore)
    assert [path.name for path in empty_cache.iterdir()] == ["thing.lock"]


def test_other_inputs_are_another_build(empty_cache: Path) -> None:
    def build(folder: Path, progress: Progress) -> None:
        (folder / "program").touch()

    first = binaries._cached("thing", ["input"], build, ignore)
    assert binaries._cached("thing", ["input"], build, ignore) == first
    assert binaries._cached("thing", ["other"], build, ignore) != first


def test_installed_programs_are_used_when_all_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in binaries.COMPONENTS:
        executable(tmp_path / "assets" / name, f"Kubernetes {constants.KUBERNETES_VERSION}")
    executable(tmp_path / "assets" / "kwok", f"kwok version {constants.KWOK_VERSION}")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    found = binaries.find_binaries(progress=ignore)
    assert found.kwok == (str(tmp_path / "assets" / "kwok"),)
    assert found.components == {name: (str(tmp_path / "assets" / name),) for name in binaries.COMPONENTS}


def test_installed_programs_of_another_version_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in binaries.COMPONENTS:
        executable(tmp_path / "assets" / name, "Kubernetes v1.30.0")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    said: list[str] = []
    assert binaries._installed_components(said.append) is None
    assert "no kube-apiserver v1.36" in said[0]


def test_an_old_go_and_no_installer_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin" / "go", "go version go1.19.2 linux/amd64")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/bin")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: str(tmp_path / "bin" / "go") if name == "go" else None)
    said: list[str] = []
    with pytest.raises(gobuild.GoUnavailableError, match="install Go by hand"):
        gobuild.find_go(tmp_path / "cache", said.append)
    assert "only go 1.19 on PATH, go 1.26 is needed" in said[0]


def test_a_build_that_fails_shows_the_end_of_its_output(tmp_path: Path) -> None:
    executable(tmp_path / "go", "")
    (tmp_path / "go").write_text("#!/bin/sh\necho 'undefined: thing' >&2\nexit 3\n")
    with pytest.raises(gobuild.BuildError, match="undefined: thing"):
        gobuild.run_go(str(tmp_path / "go"), ["build"], cwd=tmp_path, what="thing", progress=ignore)
