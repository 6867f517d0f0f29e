"""A control plane leaves nothing behind, whatever its owner dies of."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import kubeconfig, processes, rest, watchdog
from tests.cluster.binaries import Binaries
from tests.cluster.waiting import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]


class Up:
    """A running `python -m tests.cluster up`."""

    def __init__(self, target: Path, *arguments: str) -> None:
        self.kubeconfig = target
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster", "up", "--kubeconfig", str(target), *arguments],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        seen = []
        for line in self.process.stderr:
            seen.append(line)
            if "logs " in line:
                self.directory = Path(line.partition("logs ")[2].partition(";")[0]).parent
                return
        pytest.fail(f"up ended with {self.process.wait()}: {''.join(seen)}")

    def children(self) -> list[int]:
        return watchdog.processes_of(self.directory)

    def is_gone(self) -> bool:
        return not self.children() and not self.directory.exists()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


StartUp = Callable[..., Up]


def watchdog_of(up: Up) -> int:
    (pid,) = (pid for pid, command in watchdog.commands_by_ps() if command.endswith(f"watchdog.py {up.directory}"))
    return pid


@pytest.fixture
def start_up(binaries: Binaries, tmp_path: Path) -> Iterator[StartUp]:
    """Start `up` with these arguments; what a test leaves running is killed."""
    started: list[Up] = []

    def start(*arguments: str) -> Up:
        started.append(Up(tmp_path / "kubeconfig", *arguments))
        return started[-1]

    yield start
    for up in started:
        up.kill()
        wait_until(up.is_gone, "everything is gone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_until_a_signal_and_leaves_nothing(start_up: StartUp, number: signal.Signals) -> None:
    up = start_up("--nodes", "2")
    assert len(up.children()) == 5
    with rest.api_client(up.kubeconfig) as api:
        nodes = rest.request(api, "GET", "/api/v1/nodes")["items"]
    assert [node["metadata"]["name"] for node in nodes] == ["gpu-0", "gpu-1"]

    up.process.send_signal(number)
    assert up.process.wait(timeout=PATIENCE_SECONDS) == 128 + number
    assert up.is_gone()
    assert not up.kubeconfig.exists()


def test_the_watchdog_cleans_up_after_a_kill_and_up_works_again(start_up: StartUp) -> None:
    up = start_up()
    assert up.children()
    up.kill()
    wait_until(up.is_gone, "the watchdog has killed everything")
    assert kubeconfig.is_ours(up.kubeconfig)

    again = start_up()
    assert again.directory != up.directory
    assert len(again.children()) == 5


def test_leftovers_of_a_killed_owner_and_a_killed_watchdog_are_removed(start_up: StartUp) -> None:
    up = start_up()
    os.kill(watchdog_of(up), signal.SIGKILL)
    up.kill()
    time.sleep(2 * watchdog.POLL_SECONDS)
    assert up.children()
    processes.remove_leftovers()
    assert up.is_gone()


def test_programs_are_found_where_there_is_no_proc(start_up: StartUp) -> None:
    up = start_up()
    found = {pid for pid, command in watchdog.commands_by_ps() if command.startswith(f"{up.directory}/bin/")}
    assert found == set(up.children())


def test_a_cluster_in_use_is_no_leftover(start_up: StartUp) -> None:
    up = start_up()
    processes.remove_leftovers()
    assert len(up.children()) == 5


def test_up_does_not_overwrite_a_kubeconfig_of_somebody_else(tmp_path: Path) -> None:
    target = tmp_path / "config"
    target.write_text("apiVersion: v1\nkind: Config\ncurrent-context: production\n")
    before = target.read_bytes()
    reply = subprocess.run(
        [sys.executable, "-m", "tests.cluster", "up", "--kubeconfig", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert reply.returncode == 2
    assert reply.stderr.count("\n") == 1
    assert "name another file" in reply.stderr
    assert target.read_bytes() == before
