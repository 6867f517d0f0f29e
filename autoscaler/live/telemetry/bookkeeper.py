"""Keeps the account and shows it with the signals behind it: metrics, log, Events, status and audit."""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from autoscaler.live.account import LiveAccount, cost_parts
from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.grid_config import event_at
from autoscaler.live.kube.client import KubeClient
from autoscaler.live.model import ClusterView
from autoscaler.live.names import (
    EVENT_SIGNAL_KNOWN,
    EVENT_SIGNAL_UNKNOWN,
    METRIC_CARBON,
    METRIC_CARBON_UNKNOWN,
    METRIC_COST,
    METRIC_ENERGY,
    METRIC_GPU_ENERGY,
    METRIC_POWER_DROPPED,
    METRIC_POWER_RATIO,
    METRIC_POWER_READS,
    METRIC_SIGNAL_AGE,
    METRIC_SIGNAL_READS,
    METRIC_SIGNAL_STATE,
    METRIC_SIGNAL_VALUE,
)
from autoscaler.live.objects import NodeView
from autoscaler.live.telemetry.events import EventType
from autoscaler.live.telemetry.metrics import Metrics

if TYPE_CHECKING:  # they need NumPy alone, but their package loads more; who has no signals need not wait for it
    from autoscaler.live.signals.feed import Feed, Status
    from autoscaler.live.signals.live import LiveSignals
    from autoscaler.live.signals.power import PowerFeed

_LOG = logging.getLogger(__name__)

Tell = Callable[[EventType, str, str], None]
"""Takes an Event about the Lease: type, reason, message."""


class Bookkeeper:
    """The account of one process, and the signals that it is made of.

    Args:
        config: regions, pools and prices.
        clock: the time.
        metrics: shows it.
        client: reads ConfigMaps; None: there is no cluster.
        tell: takes Events.
        on_value: called when a signal has another value or state than before, and when power was read for a grid event.

    Attributes:
        signals: the signals; None: the config has none.
        account: what was spent.
    """

    def __init__(
        self,
        config: LiveConfig,
        clock: Clock,
        metrics: Metrics,
        client: KubeClient | None = None,
        tell: Tell = lambda *_: None,
        on_value: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock, self._metrics, self._client, self._tell, self._on_value = clock, metrics, client, tell, on_value
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], str] = {}
        self._values: dict[tuple[str, str], float | None] = {}
        self._shown: dict[tuple[str, str, str], float] = {}
        self._pods: dict[str, tuple[tuple[str, ...], float]] = {}
        self._running = False
        self.signals: LiveSignals | None = None
        self._power: PowerFeed | None = None
        self._config = config
        self._connect()
        self.account = LiveAccount(config, self.signals)

    def _connect(self) -> None:
        settings = self._config.signals
        if settings.regions:
            from autoscaler.live.signals.base import Around
            from autoscaler.live.signals.live import LiveSignals

            around = Around(self._clock.now, self._client, self._config.leader_election.namespace)
            self.signals = LiveSignals(self._config, around, self._was_read)
        if settings.power is not None:
            from autoscaler.live.signals.power import PowerFeed

            self._power = PowerFeed(settings.power, self._clock.now, self._power_was_read)

    def use(self, config: LiveConfig) -> None:
        """Let another config count; sources begin anew where their settings changed."""
        changed, self._config = config.signals != self._config.signals, config
        if changed:
            was_running = self._running
            self.stop()
            self.signals = self._power = None
            self._told.clear()
            self._connect()
            if was_running:
                self.start()
        if self.signals is not None:
            self.signals.use(config)
        self.account.use(config, self.signals)

    def start(self) -> None:
        """Begin to read signals."""
        self._running = True
        for each in (self.signals, self._power):
            if each is not None:
                each.start()

    def stop(self) -> None:
        """Read no more."""
        self._running = False
        for each in (self.signals, self._power):
            if each is not None:
                each.stop()

    def observe(self, view: ClusterView) -> None:
        """Count the time since the last look, and show all that changed."""
        is_measured = self._power is not None and self._power.is_good
        if self._power is not None:
            self._power.know_nodes(node.name for pool in view.pools for node in pool.nodes)
            measured = self._power.take_kwh()
            self.account.measured_kwh += measured if is_measured else 0.0
        self.account.observe(view, self._clock.to_wall(view.now_seconds), is_measured)
        self._show_account()
        self.show_signals()

    def with_power(self, view: ClusterView) -> ClusterView:
        """A view with the measured power of its nodes.

        What was measured before pods came to a node or left it says nothing of what it draws now, and is left out.
        """
        pods = {node.uid: node.pods for pool in view.pools for node in pool.nodes}
        same = {uid: since for uid, (names, since) in self._pods.items() if pods.get(uid) == names}
        self._pods = {uid: (names, same.get(uid, view.now_seconds)) for uid, names in pods.items()}
        power = {} if self._power is None else self._power.power

        def measured(node: NodeView) -> NodeView:
            found = power.get(node.name)
            if found is None or found.since_seconds < self._pods[node.uid][1]:
                return node
            return replace(node, measured_gpu_watts=found.watts)

        if not power:
            return view
        pools = (replace(pool, nodes=tuple(measured(node) for node in pool.nodes)) for pool in view.pools)
        return replace(view, pools=tuple(pools))

    def report(self) -> dict[str, Any]:
        """The account by names."""
        return self.account.report()

    def signal_report(self) -> list[dict[str, Any]]:
        """How each signal is, by names."""
        return [] if self.signals is None else [_status_dict(each) for each in self.signals.statuses()]

    def restore(self, text: str) -> None:
        """Go on from what the process before left; a damaged text is reported, and the account begins at zero."""
        try:
            self.account.restore(text)
        except (ValueError, TypeError) as error:
            _LOG.warning("the account begins at zero", extra={"problem": str(error)})

    def show_signals(self) -> None:
        """Set the gauges of all signals, and tell what changed; called by the loop, by readers, and before metrics."""
        if self.signals is None:
            return
        with self._lock:
            for status in self.signals.statuses():
                self._show_signal(status)

    def _show_signal(self, status: Status) -> None:
        from autoscaler.live.signals.feed import NOT_READ, State

        labels = (status.region, status.quantity)
        self._metrics.set(METRIC_SIGNAL_VALUE, math.nan if status.value is None else status.value, *labels)
        self._metrics.set(METRIC_SIGNAL_AGE, status.age_seconds, *labels)
        for state in State:
            self._metrics.set(METRIC_SIGNAL_STATE, float(state is status.state), *labels, str(state))
        before = self._told.get(labels, "")
        if status.problem == NOT_READ or before == status.state:
            return
        is_first = not before
        self._told[labels] = str(status.state)
        about = {"region": status.region, "quantity": status.quantity, "source": status.source, "value": status.value}
        if status.state is State.KNOWN:
            _LOG.info("a signal is known", extra=about)
        else:
            _LOG.warning("a signal is %s", status.state, extra={**about, "problem": status.problem})
        if not is_first and str(State.UNKNOWN) in (before, status.state):
            what = f"{status.quantity} of region {status.region} from {status.source}"
            if status.state is State.UNKNOWN:
                self._tell("Warning", EVENT_SIGNAL_UNKNOWN, f"{what}: {status.problem}")
            else:
                self._tell("Normal", EVENT_SIGNAL_KNOWN, f"{what}: {status.value:g}")

    def _was_read(self, feed: Feed, result: str) -> None:
        self._metrics.add(METRIC_SIGNAL_READS, 1, feed.region, feed.quantity, result)
        self.show_signals()
        key, value = (feed.region, feed.quantity), feed.status().value
        changed, self._values[key] = self._values.get(key) != value, value
        if changed:
            self._on_value()

    def _power_was_read(self, result: str, dropped: Counter[Any]) -> None:
        self._metrics.add(METRIC_POWER_READS, 1, result)
        for reason, count in dropped.items():
            self._metrics.add(METRIC_POWER_DROPPED, count, str(reason))
        event = event_at(self._config.guardrails.grid_events, self._clock.now())
        if event is not None:  # more power than was believed leaves less of its budget
            self._on_value()

    def _show_account(self) -> None:
        for name in self.account.names:
            entry = self.account.pool(name)
            for metric, parts in ((METRIC_ENERGY, entry.energy), (METRIC_CARBON, entry.carbon)):
                for state, value in parts._asdict().items():
                    self._count(metric, name, state, value)
        for part, usd in cost_parts(self.account.total).items():
            self._metrics.set(METRIC_COST, usd, part)
        self._metrics.set(METRIC_CARBON_UNKNOWN, self.account.carbon_unknown_kwh)
        if self._power is not None:
            self._metrics.set(METRIC_GPU_ENERGY, self.account.measured_kwh, "measured")
            self._metrics.set(METRIC_GPU_ENERGY, self.account.gpu_kwh, "believed")
            self._metrics.set(METRIC_POWER_RATIO, math.nan if self.account.ratio is None else self.account.ratio)

    def _count(self, metric: str, pool: str, state: str, value: float) -> None:
        """Raise a counter to a value."""
        key = (metric, pool, state)
        before = self._shown.get(key, 0.0)
        self._metrics.add(metric, max(0.0, value - before), pool, state)
        self._shown[key] = max(before, value)


def _status_dict(status: Status) -> dict[str, Any]:
    age = status.age_seconds
    return {
        "region": status.region,
        "quantity": str(status.quantity),
        "source": status.source,
        "state": str(status.state),
        "value": status.value,
        "ageSeconds": None if math.isinf(age) else round(age, 1),
        **({"problem": status.problem} if status.problem else {}),
    }
