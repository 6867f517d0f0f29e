"""Programs of a control plane as child processes that do not outlive their owner."""

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.cluster import watchdog
from tests.cluster.constants import DIRECTORY_PREFIX
from tests.cluster.progress import Waiting
from tests.cluster.waiting import PATIENCE_SECONDS

# Below the ports that the kernel hands out to connections, so that none of those takes a port between our
# test of it and its use.
PORTS = range(20000, 30000)
# An API server waits much longer for its watches to end.
STOP_TIMEOUT_SECONDS = 5.0


class ComponentError(RuntimeError):
    """A program of the control plane ended or did not become ready."""


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    for port in random.sample(PORTS, k=100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ComponentError(f"no free port on 127.0.0.1 between {PORTS.start} and {PORTS.stop}")


class Component:
    """One program, its log, and the signals that tests send to it.

    Args:
        directory: The cluster's folder.
        name: Name of the program.
        command: The program, and arguments that come before all flags.
        flags: Its flags.
        environment: What its environment has more than ours.
        is_ready: Tells whether it serves; may raise OSError meaning no.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        command: Sequence[str],
        flags: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        is_ready: Callable[[], bool],
    ) -> None:
        self.name = name
        self.log = directory / "logs" / f"{name}.log"
        # A link in the cluster's folder makes the process recognizable: see watchdog.processes_of.
        link = directory / "bin" / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(command[0])
        self._arguments = [str(link), *command[1:], *flags]
        self._environment = {**os.environ, **(environment or {})}
        self._directory = directory
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None
        self._frozen = False

    @property
    def pid(self) -> int | None:
        """Process id, or None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        if self.pid is not None:
            return
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            # A process group of its own: Ctrl-C in the terminal reaches its owner only.
            self._process = subprocess.Popen(
                self._arguments,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self._frozen = False

    def wait_ready(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until it serves.

        Raises:
            ComponentError: It ended, or the time is up; the message holds the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        waiting = Waiting(f"{self.name} serves")
        while True:
            with contextlib.suppress(OSError):
                if self._is_ready():
                    return
            waiting.go_on()
            if self.pid is None:
                code = self._process.returncode if self._process else "no start"
                raise ComponentError(f"{self.name} ended with {code}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ComponentError(f"{self.name} not ready in {timeout_seconds} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def stop(self, *, polite: bool = True) -> None:
        """End it and wait until it is gone: with SIGTERM, and SIGKILL after a while or when not `polite`."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            if polite and not self._frozen:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_TIMEOUT_SECONDS)
            if process.poll() is None:
                process.kill()
            process.wait()
        self._process = None

    def restart(self, *, polite: bool = True) -> None:
        """Stop it, start it with the same flags and wait until it is ready."""
        self.stop(polite=polite)
        self.start()
        self.wait_ready()

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP): its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._signal(signal.SIGCONT)
        self._frozen = False

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            raise ComponentError(f"{self.name} does not run: no {number.name} for it")
        os.kill(pid, number)

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(line[:500] for line in text.splitlines()[-lines:])


class Workspace:
    """The folder of one cluster, with a watchdog that cleans up when this process dies.

    Attributes:
        path: The folder.
    """

    def __init__(self) -> None:
        # One process at a time, or another one would take the new folder, not locked yet, for a leftover.
        with (Path(tempfile.gettempdir()) / f"{DIRECTORY_PREFIX}{os.getuid()}.lock").open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            remove_leftovers()
            self.path = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX)).resolve()
            self._lock = _lock(self.path)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", watchdog.__file__, str(self.path)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        """Kill what still runs, remove the folder and end the watchdog."""
        watchdog.clean_up(self.path)
        if self._lock is not None:
            self._lock.close()
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        try:
            self._watchdog.wait(2 * watchdog.CLEANUP_SECONDS)
        except subprocess.TimeoutExpired:
            self._watchdog.kill()
            self._watchdog.wait()


def remove_leftovers() -> None:
    """Clean up after clusters whose owner and whose watchdog were both killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*"):
        if path.is_dir() and path.stat().st_uid == os.getuid() and (lock := _lock(path)) is not None:
            watchdog.clean_up(path.resolve())
            lock.close()


def _lock(directory: Path) -> IO[str] | None:
    """Lock a cluster's folder; None when its owner lives. The lock ends with the process that holds it."""
    try:
        file = (directory / "owner.lock").open("a")
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
