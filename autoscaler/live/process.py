"""One live process: puts the parts together, leads, loops, takes new configs in, and ends in order."""

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
from functools import partial
from pathlib import Path
from types import FrameType

from autoscaler.live.actuate.actor import LiveActor
from autoscaler.live.clock import Clock, ScaledClock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import GuardrailState
from autoscaler.live.kube.client import ClusterAccessError, KubeClient, KubeError
from autoscaler.live.kube.lease import KubeLeaseStore, LeaseLock, LeaseLostError
from autoscaler.live.loop import Actor, DryRun, Loop
from autoscaler.live.names import (
    EVENT_CONFIG_APPLIED,
    EVENT_CONFIG_REFUSED,
    EVENT_PAUSED,
    EVENT_RESUMED,
    METRIC_AUDIT_LOST,
    METRIC_CONFIG_RELOADS,
    METRIC_LEADER,
    METRIC_PAUSED,
    METRIC_POOL_PAUSED,
)
from autoscaler.live.objects import ObjectRef
from autoscaler.live.observer import Observer
from autoscaler.live.policy.decide import Decider
from autoscaler.live.preflight import check_cluster
from autoscaler.live.providers import make_providers
from autoscaler.live.providers.cluster_api.node_group import with_node_groups
from autoscaler.live.reload import ConfigSource, ConfigWatch, check_fixed, state_for
from autoscaler.live.switch import BY_SIGNAL, Pause, Switch
from autoscaler.live.telemetry.audit import AuditWriter, Header
from autoscaler.live.telemetry.bookkeeper import Bookkeeper
from autoscaler.live.telemetry.events import EventRecorder, EventType, LogRecorder, Recorder
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health, HealthServer
from autoscaler.live.telemetry.status_map import cluster_status
from autoscaler.live.telemetry.stream import RecordRing
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
        source: where the config comes from, so that it can be read again; None: it cannot.
        exit_seconds: when the Lease is lost, end at once after so many wall seconds, whatever still waits for an
            answer; None: never, for a process that does other things too.
    """

    policy: str
    max_reconciles: int | None = None
    source: ConfigSource | None = None
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
        self.switch = Switch((), self._switched)
        self._recorder: Recorder = LogRecorder(self._lease())
        self.books = Bookkeeper(config, self.clock, self.metrics, client, self._told, self.wake.set)
        self._use(config)
        watch = None if options.source is None else ConfigWatch(options.source, self._offered, self._refused)
        self.config_watch = watch
        self._next: LiveConfig | None = None
        self._leave = threading.Event()
        self._state: GuardrailState | None = None
        self._loop: Loop | None = None
        self.identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._lost = False
        self._leading = False

    def stop(self) -> None:
        """End after the reconcile in hand."""
        self.stop_event.set()
        self._leave.set()
        self.wake.set()

    def pause(self, paused: bool) -> None:
        """Change nothing any more, or change again what this function stopped; may be called in a signal handler."""
        self.switch.say(BY_SIGNAL, Pause(everything=paused))

    def _use(self, config: LiveConfig) -> None:
        """Let a config count from now on."""
        self.config = config
        self.client.timeout_seconds = config.api.request_timeout_seconds
        self.switch.know(pool.name for pool in config.pools)
        self.switch.pause_pools(pool.name for pool in config.pools if pool.paused)
        self.books.use(config)
        self.observer = Observer(config, self.clock, self.metrics, self.wake, self.switch, self.books.signals)
        self._show_pauses()

    def _offered(self, config: LiveConfig) -> None:
        """Check a new config as a whole, and take it after the reconcile in hand.

        Raises:
            UserError: it cannot be used.
        """
        check_fixed(self.config, config)
        check_cluster(self.client, config)
        try:
            self._next = with_node_groups(config, self.client)
        except KubeError as error:
            raise ClusterAccessError(f"node groups cannot be read: {error.message}") from error
        self._leave.set()
        self.wake.set()

    def _refused(self, problem: str) -> None:
        self.metrics.add(METRIC_CONFIG_RELOADS, 1, "refused")
        _LOG.error("the new config is refused, the old one stays", extra={"problem": problem})
        self._recorder.lease_event("Warning", EVENT_CONFIG_REFUSED, f"the old config stays: {problem}")

    def _switched(self) -> None:
        """Something else is paused than before."""
        self._show_pauses()
        why = [self.switch.everything, *(f"pool {pool} is {by}" for pool, by in self.switch.pools.items())]
        words = "; ".join(each for each in why if each)
        if words:
            self._recorder.lease_event("Warning", EVENT_PAUSED, words)
        else:
            self._recorder.lease_event("Normal", EVENT_RESUMED, "nothing is paused")
        self.wake.set()

    def _told(self, kind: EventType, reason: str, message: str) -> None:
        self._recorder.lease_event(kind, reason, message)

    def _show_pauses(self) -> None:
        self.metrics.set(METRIC_PAUSED, float(bool(self.switch.everything)))
        for pool in self.config.pools:
            self.metrics.set(METRIC_POOL_PAUSED, float(bool(self.switch.stops(pool.name))), pool.name)

    def status(self) -> dict[str, object]:
        """What `/status` shows: who paused what, and the status of the last reconcile."""
        seen = None if self._loop is None else self._loop.latest
        status = None
        if seen is not None and seen.allowed is not None:
            status = cluster_status(seen.observation.view, seen.allowed, self.config)
        return {
            "paused": self.switch.everything or None,
            "pausedPools": self.switch.pools,
            "leading": self._leading,
            "dryRun": self.config.dry_run,
            "status": status,
            "signals": self.books.signal_report(),
            "account": self.books.report(),
        }

    def run(self) -> int:
        """Run until `stop`, the number of reconciles, or the loss of the Lease; return the exit status."""
        self.health.not_ready, self.health.before_metrics = self._not_ready, self._before_metrics
        self.health.status = self.status
        try:
            with contextlib.ExitStack() as stack:
                self._serve(stack)
                self._recorder = self._make_recorder(stack)
                self._watch_config(stack)
                self.books.start()
                stack.callback(self.books.stop)
                return self._generations(stack)
        except LeaseLostError:
            self._on_lost()
        except ClusterAccessError as error:
            _LOG.error("the cluster cannot be watched", extra={"error": str(error)})
        except KubeError as error:
            _LOG.error("the cluster failed while this process took over", extra={"error": error.message})
        return LOST

    def _generations(self, stack: contextlib.ExitStack) -> int:
        """Loop with one config after the other; the Lease, the server and the memory stay."""
        check: Callable[[], None] | None = None
        while not self.stop_event.is_set():
            with contextlib.ExitStack() as generation:
                self.observer.start(self.client)
                generation.callback(self.observer.stop)
                if not self.observer.wait_listed(self.stop_event, FIRST_LIST_SECONDS):
                    return 0 if self.stop_event.is_set() else self._give_up()
                check = check or stack.enter_context(self._leadership())
                if check is None:
                    break
                self._run_loop(generation, check)
            config, self._next = self._next, None
            if config is None:
                break
            self._adopt(config)
        return LOST if self._lost else 0

    def _adopt(self, config: LiveConfig) -> None:
        # First of all: a config that is offered from now on counts after this one.
        self._leave = threading.Event()
        if self.stop_event.is_set() or self._next is not None:
            self._leave.set()
        self._use(config)
        self.metrics.add(METRIC_CONFIG_RELOADS, 1, "applied")
        _LOG.info("the new config counts", extra={"pools": [pool.name for pool in config.pools]})
        self._recorder.lease_event("Normal", EVENT_CONFIG_APPLIED, "the config was read again, and counts from now on")

    def _watch_config(self, stack: contextlib.ExitStack) -> None:
        if self.config_watch is not None:
            self.config_watch.start()
            stack.callback(self.config_watch.stop)

    def _before_metrics(self) -> None:
        self.observer.stale()
        self.books.show_signals()

    def _give_up(self) -> int:
        _LOG.error("the cluster could not be listed in time", extra={"timeout_seconds": FIRST_LIST_SECONDS})
        return LOST

    def _serve(self, stack: contextlib.ExitStack) -> None:
        http = self.config.http
        if http.port is None:
            return
        if http.stream:
            self.health.ring = RecordRing()
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

    def _run_loop(self, stack: contextlib.ExitStack, check: Callable[[], None]) -> None:
        actor, state = self._actor(stack, check, self._recorder)
        if self._state is not None:
            state = state_for(self._state, [pool.name for pool in self.config.pools])
        loop = self._loop = Loop(
            self.config,
            self.clock,
            self.observer,
            self.decider,
            actor,
            self.metrics,
            self._recorder,
            self.health,
            self.wake,
            self._audit(stack),
            check,
            state,
            self.books,
        )
        try:
            loop.run(self._leave, self.options.max_reconciles)
        finally:
            self._state = loop.state

    def _lease(self) -> ObjectRef:
        settings = self.config.leader_election
        return ObjectRef("Lease", settings.name, settings.namespace, "", "coordination.k8s.io/v1")

    def _make_recorder(self, stack: contextlib.ExitStack) -> Recorder:
        if self.config.dry_run:
            return LogRecorder(self._lease())
        recorder = EventRecorder(self.client, self.metrics, self.identity, self._lease())
        stack.callback(recorder.close)
        return recorder

    def _audit(self, stack: contextlib.ExitStack) -> AuditWriter | None:
        path, ring = self.config.audit_path, self.health.ring
        if path is None and ring is None:
            return None
        layout = self.config.codec
        header = Header(layout, fingerprint(layout), self.options.policy, self.config.dry_run, self.config)
        file = None if path is None else Path(path)
        audit = AuditWriter(file, header, self.config.audit, self._audit_lost, ring)
        stack.callback(audit.close)
        return audit

    def _audit_lost(self) -> None:
        self.metrics.add(METRIC_AUDIT_LOST, 1)

    def _actor(
        self, stack: contextlib.ExitStack, check: Callable[[], None], recorder: Recorder
    ) -> tuple[Actor, GuardrailState]:
        """What acts, and what the process before remembered."""
        if self.config.dry_run:
            return DryRun(self.config, make_providers(self.client, self.config, self.clock)), GuardrailState()
        actor = LiveActor(
            self.config,
            self.client,
            self.clock,
            self.metrics,
            recorder,
            check,
            self.switch,
            self.options.policy,
            self.books,
        )
        stack.callback(actor.close)
        return actor, actor.recover()


@contextlib.contextmanager
def obey_signals(process: Process) -> Iterator[None]:
    """SIGTERM and SIGINT end the process after the reconcile in hand; a second one ends it at once.

    SIGUSR1 pauses everything, SIGUSR2 takes that back, SIGHUP reads the config again.
    """

    def end(number: int, _: FrameType | None) -> None:
        if process.stop_event.is_set():
            os._exit(128 + number)
        _LOG.info("stopping after the reconcile in hand", extra={"signal": signal.Signals(number).name})
        process.stop()

    def pause(paused: bool, _number: int, _: FrameType | None) -> None:
        # In a thread: what the switch tells may wait for a lock that the interrupted thread holds.
        threading.Thread(target=process.pause, args=(paused,), name="pause", daemon=True).start()

    def reload(_number: int, _: FrameType | None) -> None:
        if process.config_watch is not None:
            process.config_watch.ask()

    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGTERM: end,
        signal.SIGINT: end,
        signal.SIGUSR1: partial(pause, True),
        signal.SIGUSR2: partial(pause, False),
        signal.SIGHUP: reload,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
