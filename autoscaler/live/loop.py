"""The reconcile loop: observe, decide, cut down to what is allowed, act. One reconcile is one `env.step`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.explain.waiting import Reasons
from autoscaler.live.guardrails import Allowed, GuardrailState, evaluate, with_backlog
from autoscaler.live.kube.client import KubeError
from autoscaler.live.model import ClusterView
from autoscaler.live.moments import next_moment_seconds
from autoscaler.live.names import METRIC_DECISIONS, METRIC_ERRORS, METRIC_FALLBACKS, METRIC_HELD_DECISIONS
from autoscaler.live.observer import Observation, Observer
from autoscaler.live.policy.decide import Decided, Decider
from autoscaler.live.policy.setpoints import Setpoints, setpoints_after
from autoscaler.live.providers import Provider, Reserves
from autoscaler.live.telemetry.audit import AuditWriter
from autoscaler.live.telemetry.bookkeeper import Bookkeeper
from autoscaler.live.telemetry.events import Recorder
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health
from autoscaler.live.telemetry.status import report_outcome, report_view
from autoscaler.live.telemetry.tell import tell_waiting, times_of
from autoscaler.live.wake import Wake
from envs.gpu_cluster.codec import Decision, decision_time

_LOG = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
"""Clock seconds from a look at the cluster that led to no decision to the next one."""


class Actor(Protocol):
    """Carries out what is allowed."""

    def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
        """Place, order and remove; return the guardrails' memory of what was done. Failures are its own to report."""
        ...


class DryRun:
    """Changes nothing, and shows in the log which objects it would write for other autoscalers.

    Args:
        config: the pools.
        providers: by pool.
    """

    def __init__(self, config: LiveConfig, providers: Mapping[str, Provider]) -> None:
        self._config, self._providers = config, providers
        self._shown: dict[str, int] = {}

    def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
        """Remember only what the view showed."""
        for pool, nodes in allowed.reserves.items():
            provider = self._providers[pool]
            if isinstance(provider, Reserves) and self._shown.get(pool) != nodes:
                self._shown[pool] = nodes
                objects = provider.manifests(self._config.pool(pool), nodes)
                _LOG.info("would write", extra={"pool": pool, "objects": objects})
        return allowed.state


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One pass of the loop.

    Attributes:
        observation: what was seen.
        decided: what the policy decided; None: nothing, the data were stale.
        allowed: what the guardrails left; None likewise.
    """

    observation: Observation
    decided: Decided | None = None
    allowed: Allowed | None = None


class Loop:
    """Reconciles until it is told to stop.

    Args:
        config: intervals and pools.
        clock: the time.
        observer: what it sees.
        decider: what decides.
        actor: what acts.
        metrics: counts.
        recorder: takes Events.
        health: is told that the loop is alive.
        wake: says that something happened.
        audit: keeps the decisions; None: nothing does.
        check: called before each reconcile; raises when this process may not act any more.
        state: what the guardrails remember at first; None: nothing.
        books: counts what was spent; None: nothing does.

    Attributes:
        state: what the guardrails remember now.
        latest: the last pass that decided; None: none did.
    """

    def __init__(
        self,
        config: LiveConfig,
        clock: Clock,
        observer: Observer,
        decider: Decider,
        actor: Actor,
        metrics: Metrics,
        recorder: Recorder,
        health: Health,
        wake: Wake,
        audit: AuditWriter | None = None,
        check: Callable[[], None] = lambda: None,
        state: GuardrailState | None = None,
        books: Bookkeeper | None = None,
    ) -> None:
        self._config, self._clock, self._observer, self._decider, self._actor = config, clock, observer, decider, actor
        self._metrics, self._recorder, self._health, self._wake = metrics, recorder, health, wake
        self._audit, self._check, self._books = audit, check, books
        self._holding: tuple[str, ...] = ()
        self.latest: Reconciled | None = None
        self._setpoints: Setpoints = {}
        self.state = replace(state or GuardrailState(), began_seconds=clock.now())

    def run(self, stop: threading.Event, max_reconciles: int | None = None) -> None:
        """Reconcile, wait, and so on.

        Args:
            stop: ends it after the reconcile in hand; whoever sets it also sets the wake.
            max_reconciles: ends it as well; None: never.
        """
        done = 0
        while not stop.is_set():
            self._check()
            # Before the look: what happens during the reconcile must wake the next one.
            self._wake.clear()
            view = self._reconcile_or_wait()
            done += 1
            if max_reconciles is not None and done >= max_reconciles:
                return
            self._wait(view, stop)

    def _reconcile_or_wait(self) -> ClusterView:
        """One pass; a call that failed costs this pass and not the process."""
        try:
            return self.reconcile().observation.view
        except KubeError as error:
            self._metrics.add(METRIC_ERRORS, 1, error.kind)
            _LOG.warning("a reconcile was cut short", extra={"error": error.message})
            # What was seen may be acted on in part: the next pass looks again.
            return ClusterView(now_seconds=self._clock.now(), pools=())

    def reconcile(self) -> Reconciled:
        """One pass."""
        with self._metrics.timed("reconcile"):
            with self._metrics.timed("observe"):
                observation = self._observer.observe(self.state, self._setpoints)
            report_view(observation.view, observation.snapshot, self._config, self._metrics)
            if self._books is not None:
                self._books.observe(observation.view)
                observation = replace(observation, view=self._books.with_power(observation.view))
            self._health.active()
            if observation.view.stale_resources:
                return self._hold(observation)
            self._holding = ()
            with self._metrics.timed("decide"):
                decided = self._decide(observation)
            self._setpoints = setpoints_after(self._setpoints, decided.decision, observation.view)
            with self._metrics.timed("guardrails"):
                decision = with_backlog(decided.decision, observation.view)
                allowed = evaluate(observation.view, decision, self.state, self._config)
            if self._audit is not None:
                self._audit.verdicts(observation.view, self.state, allowed)
                if self._books is not None:
                    self._audit.account(observation.view.now_seconds, self._books.report(), self._books.signal_report())
            self.state = allowed.state
            report_outcome(observation.view, decided, allowed, self._config, self._metrics, self._recorder)
            self._tell(observation.view, decision, allowed)
            with self._metrics.timed("act"):
                self.state = self._actor.carry_out(allowed, observation.view)
        self._health.active()
        self.latest = Reconciled(observation, decided, allowed)
        return self.latest

    def _tell(self, view: ClusterView, decision: Decision | None, allowed: Allowed | None) -> None:
        """Tell every waiting job why it waits."""
        reasons = Reasons(view, decision, allowed, self._config, times_of(self._clock))
        tell_waiting(reasons.all(), self._recorder)

    def _decide(self, observation: Observation) -> Decided:
        decided = self._decider.decide(observation.snapshot)
        self._metrics.add(METRIC_DECISIONS, 1)
        if decided.fallback:
            self._metrics.add(METRIC_FALLBACKS, 1, _kind_of(decided.fallback))
            _LOG.warning("the policy's output is unusable, the fallback decided", extra={"problem": decided.fallback})
        if self._audit is not None:
            now = observation.view.now_seconds
            self._audit.decision(now, self._clock.to_wall(now), observation.snapshot, decided)
        return decided

    def _hold(self, observation: Observation) -> Reconciled:
        """Stale data: what was decided last stays, nothing is changed."""
        stale = observation.view.stale_resources
        self._metrics.add(METRIC_HELD_DECISIONS, 1)
        if stale != self._holding:
            _LOG.warning("data are stale, the last decision holds", extra={"resources": stale})
            if self._audit is not None:
                self._audit.held(observation.view.now_seconds, stale)
        self._holding = stale
        self._tell(observation.view, None, None)
        return Reconciled(observation)

    def _wait(self, view: ClusterView, stop: threading.Event) -> None:
        """Wait for the next decision, by the rule of the simulator.

        It follows the first event after the last decision, or what time alone changes, see `decision_time` of the
        codec. Where nothing was decided, because data are stale or a call failed, it is tried again after
        `RETRY_SECONDS`, whether or not something happens.
        """
        last, config = view.now_seconds, self._config
        if view.stale_resources or not view.pools:
            self._clock.wait(stop, last + max(RETRY_SECONDS, config.settle_seconds) - self._clock.now())
        else:
            self._clock.wait(stop, last + config.settle_seconds - self._clock.now())
            moment = next_moment_seconds(view, self.state, config)
            until = decision_time(last, moment, config.settle_seconds, config.resync_interval_seconds)
            if self._clock.wait(self._wake.event, until - self._clock.now()):
                self._wait_for_the_rest(stop)
        # Who waits is alive: only a reconcile that hangs is not.
        self._health.active()

    def _wait_for_the_rest(self, stop: threading.Event) -> None:
        """Let a burst of events end, but for no longer than `settle_seconds` from the first of them."""
        quiet, longest = self._config.api.quiet_seconds, self._config.settle_seconds / self._clock.time_scale
        while (pause := self._wake.pause_seconds(quiet, longest)) > 0.0:
            if stop.wait(pause):
                return


def _kind_of(problem: str) -> str:
    """A label with few values for a problem of many."""
    return "not-finite" if "finite" in problem else "invalid-action" if "choice" in problem else "error"
