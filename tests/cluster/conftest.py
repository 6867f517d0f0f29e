"""Fixtures: one control plane for the whole session, emptied for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import progress
from tests.cluster.binaries import Binaries, cache_directory, find_binaries
from tests.cluster.constants import ALLOW_SKIP_VARIABLE
from tests.cluster.control_plane import ControlPlane
from tests.cluster.gobuild import BuildError, GoUnavailableError

BINARIES: pytest.StashKey[Binaries | GoUnavailableError | BuildError] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Show lines of progress although pytest captures what tests write."""
    capture = config.pluginmanager.getplugin("capturemanager")

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            progress.to_stderr(line)

    progress.write = write


def pytest_unconfigure() -> None:
    """Give the terminal back."""
    progress.write = progress.to_stderr


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder with `cluster`, and give it one more try, which the summary shows as RERUN.

    The slow ones come first, so that no process waits at the end for another one's. Tests of other folders stay in
    their order, because some share a fixture of their module.
    """
    own = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    mine = set(own)
    others = [item for item in items if item not in mine]
    for item in own:
        item.add_marker("cluster")
        item.add_marker(pytest.mark.flaky(reruns=1))
    items[:] = [*others, *sorted(own, key=lambda item: item.get_closest_marker("slow") is None)]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the programs of the control plane on first use, with progress on the terminal.

    Here and not in a fixture, because that takes longer on a slow machine than a test may take.
    """
    wanted = sum("binaries" in getattr(item, "fixturenames", ()) for item in session.items)
    if not wanted or session.config.option.collectonly:
        return
    progress.say(f"{wanted} tests need a control plane; its programs are looked for in PATH and {cache_directory()}")
    try:
        session.config.stash[BINARIES] = find_binaries(karpenter=True)
    except (GoUnavailableError, BuildError) as error:
        session.config.stash[BINARIES] = error


@pytest.fixture(scope="session")
def binaries(request: pytest.FixtureRequest) -> Binaries:
    """The programs of the control plane."""
    found = request.config.stash[BINARIES]
    if isinstance(found, GoUnavailableError) and os.environ.get(ALLOW_SKIP_VARIABLE):
        pytest.skip(f"no control plane: {found}")
    if isinstance(found, Exception):
        raise found
    return found


@pytest.fixture(scope="session")
def control_plane(binaries: Binaries) -> Iterator[ControlPlane]:
    """The session's control plane, as the test before left it."""
    with ControlPlane(binaries) as control_plane:
        yield control_plane


@pytest.fixture
def cluster(control_plane: ControlPlane, request: pytest.FixtureRequest) -> ControlPlane:
    """The session's control plane: all programs run, and nothing of an earlier test is left.

    For a second try of a test it is a new one: what the first try failed of may still be in it.
    """
    if getattr(request.node, "execution_count", 1) > 1:
        control_plane.begin_anew()
    control_plane.repair()
    control_plane.reset()
    return control_plane


@pytest.fixture
def karpenter(cluster: ControlPlane) -> Iterator[ControlPlane]:
    """The session's control plane with the real Karpenter beside it."""
    cluster.start_karpenter()
    yield cluster
    # Emptied while Karpenter runs, or it would leave finalizers that nobody serves.
    cluster.reset()
    cluster.stop_karpenter()
