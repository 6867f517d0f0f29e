"""`autoscaler deploy` beside a test: in this process, or in one of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoscaler.live.config import LiveConfig
from autoscaler.live.kube.client import connect
from autoscaler.live.names import GATE_PLACEMENT
from autoscaler.live.observer import Observation
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.policy.setpoints import Setpoints
from autoscaler.live.preflight import check_cluster
from autoscaler.live.process import Options, Process
from autoscaler.live.providers.cluster_api.node_group import with_node_groups
from configs.loader import load_config
from tests.cluster.cluster import Cluster
from tests.cluster.waiting import PATIENCE_SECONDS

TIME_SCALE = 60.0
GATED = {"schedulingGates": [{"name": GATE_PLACEMENT}]}
OVERRIDES = (
    f"clock.time_scale={TIME_SCALE}",
    "http.port=0",
    "guardrails.removal.taint_wait_seconds=0.2",
    "guardrails.backoff.provision_timeout_seconds=3600.0",
)
QUICK_LEASE = (
    "leader_election.lease_seconds=5",
    "leader_election.renew_deadline_seconds=3.5",
    "leader_election.retry_seconds=0.3",
    "leader_election.request_timeout_seconds=1.0",
)
"""A Lease that a killed process leaves soon, and that a slow machine can still renew in time."""


def live_settings(*overrides: str) -> LiveConfig:
    """The preset for KWOK at 60 times the wall clock, acting."""
    config = load_config("live/kwok", LiveConfig, [*OVERRIDES, *overrides])
    return replace(config, dry_run=False)


class Running:
    """A process in a thread, and everything that it saw.

    Attributes:
        process: the process.
        observations: each look at the cluster.
        states: what the guardrails remembered at each look.
        setpoints: which were in force at each look.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.observations: list[Observation] = []
        self.states: list[Any] = []
        self.setpoints: list[Setpoints] = []
        self.status: int | None = None
        look = process.observer.observe

        def observe(state: Any, setpoints: Any = None) -> Observation:
            seen = look(state, setpoints)
            self.observations.append(seen)
            self.states.append(state)
            self.setpoints.append(setpoints or {})
            return seen

        process.observer.observe = observe  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.status = self.process.run()

    def stop(self) -> None:
        """End it like SIGTERM, and wait."""
        self.process.stop()
        self._thread.join(PATIENCE_SECONDS)
        assert self.status is not None, "the process did not end"


@contextmanager
def deployed(cluster: Cluster, config: LiveConfig, policy: str = "reactive") -> Iterator[Running]:
    """Run a policy on a cluster while the block runs."""
    client = connect(str(cluster.kubeconfig), None, config.api.request_timeout_seconds)
    check_cluster(client, config)
    config = with_node_groups(config, client)
    running = Running(Process(config, client, make_decider(policy, config.codec), Options(policy)))
    try:
        yield running
    finally:
        running.stop()
        client.close()


class Command:
    """`autoscaler deploy` in a process of its own, with its log.

    Attributes:
        port: of its HTTP server.
    """

    def __init__(self, kubeconfig: Path, log: Path, *overrides: str, arguments: Sequence[str] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        settings = [*OVERRIDES, *overrides, f"http.port={self.port}"]
        command = [
            sys.executable,
            "-m",
            "autoscaler",
            "deploy",
            "--config",
            "live/kwok",
            "--kubeconfig",
            str(kubeconfig),
        ]
        command += [word for setting in settings for word in ("--set", setting)]
        self._log = log
        with log.open("a") as stream:
            self._process = subprocess.Popen([*command, *arguments], stdout=stream, stderr=stream, env=dict(os.environ))

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server; status 0 while there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5.0) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, line: str) -> float | None:
        """The value of a metric by its name and labels as they stand in /metrics."""
        for found in self.get("/metrics")[1].splitlines():
            if found.startswith(f"{line} "):
                return float(found.rsplit(" ", 1)[1])
        return None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, timeout_seconds: float = PATIENCE_SECONDS) -> int:
        """Its exit status."""
        return self._process.wait(timeout_seconds)

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)

    def log(self) -> list[dict[str, Any]]:
        """Its log so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
