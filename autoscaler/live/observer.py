"""Puts the parts together: watches keep the store, and `observe` makes view and snapshot from it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.gangs.base import Collection
from autoscaler.live.gangs.registry import collections
from autoscaler.live.guardrails.state import GuardrailState
from autoscaler.live.kube.client import KubeClient, KubeError
from autoscaler.live.kube.discovery import kinds, served_version
from autoscaler.live.model import ClusterView
from autoscaler.live.names import (
    ANNOTATION_IDLE_SINCE,
    CONFIG_MAP,
    METRIC_ERRORS,
    METRIC_RELISTS,
    METRIC_SKIPPED,
    METRIC_STALE_SECONDS,
    STATUS_CONFIG_MAP,
)
from autoscaler.live.objects import NodeState, NodeView
from autoscaler.live.policy.crowded import leave_crowded
from autoscaler.live.policy.pool_signals import PoolSignals, UnknownSignals
from autoscaler.live.policy.setpoints import Setpoints
from autoscaler.live.policy.snapshot import fill_snapshot, plan_backlog
from autoscaler.live.providers import machine_watches
from autoscaler.live.switch import Switch, SwitchStore
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.view.parse import Parser
from autoscaler.live.view.pauses import with_pauses
from autoscaler.live.view.run_times import RunTimes
from autoscaler.live.view.store import Store, Trigger
from autoscaler.live.view.submissions import Submissions
from autoscaler.live.view.view import ViewBuilder
from autoscaler.live.view.watch import DEVICE_PATHS, DEVICES, PATHS, Path, Watcher, Watchers
from autoscaler.live.wake import Wake
from envs.gpu_cluster.codec import ClusterSnapshot

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at the cluster.

    Attributes:
        view: what guardrails and acting read.
        snapshot: what the policy reads.
    """

    view: ClusterView
    snapshot: ClusterSnapshot


class Observer:
    """Watches a cluster.

    Args:
        config: pools, time-outs and prices.
        clock: the time.
        metrics: counts odd objects and failed calls.
        wake: told when something happened that the loop should decide on.
        switch: says what is paused; None: nothing ever is.
        signals: what energy costs and emits; None: nothing is known of it.
    """

    def __init__(
        self,
        config: LiveConfig,
        clock: Clock,
        metrics: Metrics,
        wake: Wake,
        switch: Switch | None = None,
        signals: PoolSignals | None = None,
    ) -> None:
        self._signals = signals or UnknownSignals(config)
        self._switch = switch or Switch()
        self._config, self._clock, self._metrics, self._wake = config, clock, metrics, wake
        self._machines = machine_watches(config, clock)
        self.store = Store(Parser(config, clock), clock, self._triggered, self._skipped, self._machines)
        self._views = ViewBuilder(config, clock)
        self._submissions = Submissions(clock.now(), config.codec.arrival_features)
        self._run_times = None if config.prediction.method == "none" else RunTimes(config.prediction)
        self._watchers = Watchers(())

    def start(self, client: KubeClient) -> None:
        """Begin to watch. Devices and objects that describe groups of pods are watched where they are served.

        Raises:
            ClusterAccessError: the API server cannot say what it serves.
        """
        paths: dict[str, Path] = {
            **PATHS,
            **self._device_paths(client),
            **{watch.resource: watch.path for watch in self._machines},
            **{each.resource: partial(path_of, client, each) for each in collections()},
        }
        watchers = [
            Watcher(client, resource, path, self.store, self._config.api, self._relisted, self._failed)
            for resource, path in paths.items()
        ]
        self._watchers = Watchers([*watchers, *self._switch_watchers(client)])
        self._watchers.start()

    def _device_paths(self, client: KubeClient) -> dict[str, str]:
        if "ResourceSlice" in kinds(client, DEVICES):
            return DEVICE_PATHS
        if any(pool.devices for pool in self._config.pools):
            _LOG.warning("the API server has no %s: device claims are not served", DEVICES)
        return {}

    def _switch_watchers(self, client: KubeClient) -> Iterable[Watcher]:
        """Those of the kill switch; a dry run changes nothing anyway, and needs no right to read it."""
        if self._config.dry_run:
            return
        store = SwitchStore(self._switch)
        path = f"/api/v1/namespaces/{self._config.leader_election.namespace}/configmaps"
        for name in (STATUS_CONFIG_MAP, CONFIG_MAP):
            only = f"metadata.name={name}"
            yield Watcher(client, name, path, store, self._config.api, self._relisted, self._failed, only)

    def stop(self) -> None:
        """End the watches."""
        self._watchers.stop()

    def wait_listed(self, stop: threading.Event, timeout_seconds: float) -> bool:
        """Wait until everything was listed once; False: it was not in time, or `stop` was set."""
        return self._watchers.wait_listed(stop, timeout_seconds)

    def stale(self) -> tuple[str, ...]:
        """Resources whose data may no longer be true."""
        for resource, age in self._watchers.ages_seconds().items():
            self._metrics.set(METRIC_STALE_SECONDS, age, resource)
        return self._watchers.stale()

    def observe(self, state: GuardrailState, setpoints: Setpoints | None = None) -> Observation:
        """Look at the cluster.

        Args:
            state: what was ordered and is not visible yet, and which pools cannot grow now.
            setpoints: which are in force; None: none is.
        """
        contents = self.store.contents()
        view, submissions = self._views.build(contents, self.stale(), state.starting_since)
        if self._run_times is not None:
            self._run_times.note(contents)
            view = self._run_times.expected(view)
        view = with_pauses(view, self._switch.everything, self._switch.pools)
        self._submissions.note(submissions, view.now_seconds)
        full = {pool.name for pool in self._config.pools if state.in_backoff(pool.name, view.now_seconds)}
        full |= view.paused_pools.keys()
        moved = {pool.name: state.consolidated_seconds(pool.name) for pool in self._config.pools}
        orders = unseen_orders(view, state)
        signals = self._signals.signals_now(view.now_seconds) if self._config.codec.signals else None
        snapshot = fill_snapshot(
            view, self._submissions, self._config, orders, full, moved, setpoints, signals, state.suspended
        )
        leave_crowded(view, state, self._config, snapshot)
        return Observation(plan_backlog(view, self._config, snapshot), snapshot)

    def _triggered(self, _: Trigger) -> None:
        self._wake.set()

    def _skipped(self, resource: str, _name: str, _problem: str) -> None:
        self._metrics.add(METRIC_SKIPPED, 1, resource)

    def _relisted(self, resource: str, reason: str) -> None:
        self._metrics.add(METRIC_RELISTS, 1, resource, reason)

    def _failed(self, error: KubeError) -> None:
        self._metrics.add(METRIC_ERRORS, 1, error.kind)


def path_of(client: KubeClient, collection: Collection) -> str | None:
    """Where the API server has a collection; None: it serves no such thing.

    Raises:
        KubeError: it cannot say.
    """
    version = served_version(client, collection.group, collection.versions, collection.kind)
    return None if version is None else collection.path(version)


def unseen_orders(view: ClusterView, state: GuardrailState) -> Counter[str]:
    """Nodes by pool that were ordered and that the view does not show yet."""
    seen = {node.name for pool in view.pools for node in pool.nodes} | {machine.name for machine in view.machines}
    return Counter(order.pool for order in state.orders.values() if order.name not in seen | view.gone.keys())


def unwritten_idle_nodes(view: ClusterView, clock: Clock) -> Iterable[tuple[NodeView, str]]:
    """Idle nodes whose annotation does not say since when, and what it should say."""
    for pool in view.pools:
        for node in pool.in_state(NodeState.IDLE) if pool.name not in view.paused_pools else ():
            if node.idle_since_seconds is None:
                continue
            wanted = f"{clock.to_wall(node.idle_since_seconds):.3f}"
            if node.annotations.get(ANNOTATION_IDLE_SINCE) != wanted:
                yield node, wanted
