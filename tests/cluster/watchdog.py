"""Clean up after a test cluster whose owner died, whatever it died of.

Runs as a process of its own, by path and with the standard library only. Its standard input is a pipe
from the owner: when that ends, or when the owner is no longer its parent, every program of the cluster is
killed and the cluster's folder is removed.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_SECONDS = 1.0
CLEANUP_SECONDS = 10.0


def processes_of(directory: Path) -> list[int]:
    """Return the ids of the processes that run a program of this folder's bin/.

    The programs are links in the folder, so their command lines begin with its name, which no other
    cluster shares: an id that was recorded somewhere could by now be somebody else's.
    """
    prefix = f"{directory}/bin/"
    found = []
    for pid, command in _commands():
        if command.startswith(prefix) and pid != os.getpid():
            found.append(pid)
    return found


def _commands() -> list[tuple[int, str]]:
    proc = Path("/proc")
    if not (proc / "self" / "cmdline").exists():
        return commands_by_ps()
    commands = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # It ended meanwhile.
                commands.append((int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace")))
    return commands


def commands_by_ps() -> list[tuple[int, str]]:
    """Return id and command line of every process, for systems without /proc."""
    listing = ["ps", "-axww", "-o", "pid=", "-o", "command="]
    reply = subprocess.run(listing, capture_output=True, text=True, check=True)
    pairs = (line.split(None, 1) for line in reply.stdout.splitlines())
    return [(int(pair[0]), pair[1]) for pair in pairs if len(pair) == 2]


def clean_up(directory: Path) -> None:
    """Kill every program of a cluster's folder and remove the folder."""
    deadline = time.monotonic() + CLEANUP_SECONDS
    quiet = 0
    # Twice quiet: a program that was just being started may not show its name yet.
    while quiet < 2 and time.monotonic() < deadline:
        found = processes_of(directory)
        quiet = 0 if found else quiet + 1
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Wait for the end of the owner, then clean up."""
    directory = Path(sys.argv[1])
    owner = os.getppid()
    # Ctrl-C and a polite kill are the owner's to handle; this process outlives it.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    while os.getppid() == owner:
        readable, _, _ = select.select([sys.stdin.fileno()], [], [], POLL_SECONDS)
        if readable and not os.read(sys.stdin.fileno(), 1):
            break
    clean_up(directory)


if __name__ == "__main__":
    main()
