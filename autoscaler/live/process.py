"""One live process: puts the parts together, leads, loops, and ends in order."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from autoscaler.live.actuate.actor import LiveActor
from autoscaler.live.clock import Clock, ScaledClock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.kube.client import ClusterAccessError, KubeClient, KubeError
from autoscaler.live.kube.lease import KubeLeaseStore, LeaseLock, LeaseLostError
from autoscaler.live.loop import Actor, DryRun, Loop
from autoscaler.live.model import ObjectRef
from autoscaler.live.names import METRIC_AUDIT_LOST, METRIC_LEADER
from autoscaler.live.observer import Observer
from autoscaler.live.policy.decide import Decider
from autoscaler.live.telemetry.audit import AuditWriter, Header
from autoscaler.live.telemetry.events import EventRecorder, LogRecorder, Recorder
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health, HealthServer
from autoscaler.live.wake import Wake
from envs.gpu_cluster.codec import fingerprint

_LOG = logging.getLogger(__name__)

FIRST_LIST_SECONDS = 60.0
EXIT_SECONDS = 1.0
"""What a process that lost its Lease may still take to end."""

LOST = 1
"""Exit status of a process that lost its Lease: whoever started it starts it again."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says besides the config.

    Attributes:
        policy: the policy as the user gave it, for the audit.
        max_reconciles: end after so many; None: run until SIGTERM.
        exit_seconds: when the Lease is lost, end at once after so many wall seconds, whatever still waits for an
            answer; None: never, for a process that does other things too.
    """

    policy: str
    max_reconciles: int | None = None
    exit_seconds: float | None = None


class Process:
    """A live autoscaler.

    Args:
        config: its settings.
        client: calls the API server; `check_cluster` was happy with it.
        decider: what decides.
        options: what the command line says.
        clock: the time; None: as the config says.
    """

    def __init__(
        self, config: LiveConfig, client: KubeClient, decider: Decider, options: Options, clock: Clock | None = None
    ) -> None:
        self.config, self.client, self.decider, self.options = config, client, decider, options
        self.clock = clock or ScaledClock(config.clock.time_scale, config.clock.epoch_seconds)
        self.metrics = Metrics()
        self.health = Health(config.http.activity_timeout_seconds)
        self.wake, self.stop_event = Wake(), threading.Event()
        self.observer = Observer(config, self.clock, self.metrics, self.wake)
        self.identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._lost = False
        self._leading = False

    def stop(self) -> None:
        """End after the reconcile in hand."""
        self.stop_event.set()
        self.wake.set()

    def run(self) -> int:
        """Run until `stop`, the number of reconciles, or the loss of the Lease; return the exit status."""
        self.health.not_ready, self.health.before_metrics = self._not_ready, self.observer.stale
        with contextlib.ExitStack() as stack:
            self._serve(stack)
            try:
                self.observer.start(self.client)
            except ClusterAccessError as error:
                _LOG.error("the cluster cannot be watched", extra={"error": str(error)})
                return LOST
            stack.callback(self.observer.stop)
            if not self.observer.wait_listed(self.stop_event, FIRST_LIST_SECONDS):
                return 0 if self.stop_event.is_set() else self._give_up()
            try:
                with self._leadership() as check:
                    if check is not None:
                        self._loop(stack, check)
            except LeaseLostError:
                self._on_lost()
            except KubeError as error:
                _LOG.error("the cluster failed while this process took over", extra={"error": error.message})
                return LOST
        return LOST if self._lost else 0

    def _give_up(self) -> int:
        _LOG.error("the cluster could not be listed in time", extra={"timeout_seconds": FIRST_LIST_SECONDS})
        return LOST

    def _serve(self, stack: contextlib.ExitStack) -> None:
        http = self.config.http
        if http.port is None:
            return
        server = HealthServer(http.host, http.port, self.health, self.metrics)
        stack.callback(server.close)
        _LOG.info("serving", extra={"host": http.host, "port": server.port})

    def _not_ready(self) -> str:
        stale = self.observer.stale()
        return f"no fresh data of: {', '.join(stale)}" if stale else ""

    @contextlib.contextmanager
    def _leadership(self) -> Iterator[Callable[[], None] | None]:
        """Lead, and give the Lease back at the end; yields what to call before every write, None: stopped before."""
        settings = self.config.leader_election
        if self.config.dry_run or not settings.enabled:
            self._leading = True
            yield lambda: None
            return
        lock = LeaseLock(KubeLeaseStore(self.client, settings), settings, self.identity)
        self.metrics.set(METRIC_LEADER, 0.0)
        threading.Thread(target=self._stay_alive, name="standby", daemon=True).start()
        try:
            if not lock.acquire(self.stop_event):
                yield None
                return
            self._leading = True
            self.metrics.set(METRIC_LEADER, 1.0)
            lock.keep(self._on_lost)
            yield lock.check
        finally:
            lock.release()
            self.metrics.set(METRIC_LEADER, 0.0)

    def _stay_alive(self) -> None:
        """A replica that waits for the Lease does nothing, and is healthy all the same."""
        while not self._leading and not self.stop_event.wait(1.0):
            self.health.active()

    def _on_lost(self) -> None:
        """Called by whoever notices first: the thread that renews, or the loop before it writes."""
        if self._lost:
            return
        self._lost = True
        _LOG.error("the Lease is lost, nothing more is changed", extra={"identity": self.identity})
        self.stop()
        if self.options.exit_seconds is not None:
            timer = threading.Timer(self.options.exit_seconds, os._exit, (LOST,))
            timer.daemon = True
            timer.start()

    def _loop(self, stack: contextlib.ExitStack, check: Callable[[], None]) -> None:
        recorder = self._recorder(stack)
        actor, state = self._actor(stack, check, recorder)
        loop = Loop(
            self.config,
            self.clock,
            self.observer,
            self.decider,
            actor,
            self.metrics,
            recorder,
            self.health,
            self.wake,
            self._audit(stack),
            check,
            state,
        )
        loop.run(self.stop_event, self.options.max_reconciles)

    def _recorder(self, stack: contextlib.ExitStack) -> Recorder:
        settings = self.config.leader_election
        lease = ObjectRef("Lease", settings.name, settings.namespace, "", "coordination.k8s.io/v1")
        if self.config.dry_run:
            return LogRecorder(lease)
        recorder = EventRecorder(self.client, self.metrics, self.identity, lease)
        stack.callback(recorder.close)
        return recorder

    def _audit(self, stack: contextlib.ExitStack) -> AuditWriter | None:
        if self.config.audit_path is None:
            return None
        layout = self.config.codec
        header = Header(layout, fingerprint(layout), self.options.policy, self.config.dry_run, self.config)
        audit = AuditWriter(Path(self.config.audit_path), header, self.config.audit, self._audit_lost)
        stack.callback(audit.close)
        return audit

    def _audit_lost(self) -> None:
        self.metrics.add(METRIC_AUDIT_LOST, 1)

    def _actor(
        self, stack: contextlib.ExitStack, check: Callable[[], None], recorder: Recorder
    ) -> tuple[Actor, GuardrailState]:
        """What acts, and what the process before remembered."""
        if self.config.dry_run:
            return DryRun(), GuardrailState()
        actor = LiveActor(self.config, self.client, self.clock, self.metrics, recorder, check)
        stack.callback(actor.close)
        return actor, actor.recover()


@contextlib.contextmanager
def stop_on_signals(process: Process) -> Iterator[None]:
    """SIGTERM and SIGINT end the process after the reconcile in hand; a second one ends it at once."""

    def handle(number: int, _: FrameType | None) -> None:
        if process.stop_event.is_set():
            os._exit(128 + number)
        _LOG.info("stopping after the reconcile in hand", extra={"signal": signal.Signals(number).name})
        process.stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
