"""The command `python -m tests.cluster`: run a control plane by hand, or build its programs beforehand."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tests.cluster import constants, kubeconfig
from tests.cluster.binaries import find_binaries
from tests.cluster.control_plane import ControlPlane
from tests.cluster.gobuild import BuildError, GoUnavailableError
from tests.cluster.processes import ComponentError
from tests.cluster.progress import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A shell lets its background jobs ignore SIGINT: here it is the way to end. nohup's wish is respected.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _exit)
    try:
        if options.command == "build":
            find_binaries(karpenter=options.karpenter)
            return 0
        return _up(options)
    except (GoUnavailableError, BuildError, ComponentError) as error:
        say(f"error: {error}")
        return 1


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    # An exception, so that every `finally` on the way out runs.
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    karpenter = argparse.ArgumentParser(add_help=False)
    karpenter.add_argument("--karpenter", action="store_true", help="with the real Karpenter and its KWOK provider")
    commands.add_parser("build", parents=[karpenter], help="build what is missing into the cache and end")
    up = commands.add_parser("up", parents=[karpenter], help="run a control plane until Ctrl-C")
    up.add_argument("--kubeconfig", type=Path, required=True, help="file to write, removed at the end")
    up.add_argument("--nodes", type=int, default=0, help="fake GPU nodes to create (default: none)")
    up.add_argument("--gpus-per-node", type=int, default=8, help="nvidia.com/gpu of each (default: 8)")
    up.add_argument("--boot-seconds", type=float, default=0.0, help="until each is Ready (default: 0)")
    up.add_argument("--spread", action="store_true", help="the scheduler spreads pods, as is its default")
    return parser


def _up(options: argparse.Namespace) -> int:
    target: Path = options.kubeconfig
    if target.exists() and not kubeconfig.is_ours(target):
        say(f"error: {target} exists and is not a kubeconfig of a test cluster: name another file")
        return 2
    with ControlPlane(find_binaries(karpenter=options.karpenter), spread=options.spread) as control_plane:
        try:
            if options.karpenter:
                control_plane.start_karpenter()
            for index in range(options.nodes):
                control_plane.create_gpu_node(
                    f"gpu-{index}", gpus=options.gpus_per_node, boot_seconds=options.boot_seconds
                )
            control_plane.write_kubeconfig(target)
            say(f"Kubernetes {constants.KUBERNETES_VERSION} serves at {control_plane.server}")
            say(f"kubeconfig {target}, logs {control_plane.directory / 'logs'}; Ctrl-C ends it")
            _watch(control_plane)
        finally:
            if kubeconfig.is_ours(target):
                target.unlink()
    return 0


def _watch(control_plane: ControlPlane) -> None:
    """Return never; raise when a program of the control plane ends."""
    pause = threading.Event()
    while not pause.wait(1.0):
        for component in control_plane.components.values():
            if component.pid is None:
                raise ComponentError(f"{component.name} ended:\n{component.log_tail()}")


if __name__ == "__main__":
    sys.exit(main())
