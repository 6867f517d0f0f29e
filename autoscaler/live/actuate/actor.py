"""Acts: suspends jobs, places gangs, orders nodes, starts removals and takes them further in a thread, and tells."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from autoscaler.live.actuate.admission import serve_checks
from autoscaler.live.actuate.eviction import evict
from autoscaler.live.actuate.orders import ScaleUp, known_names
from autoscaler.live.actuate.placement import place
from autoscaler.live.actuate.removal import Outcome, RemovalMachine, Report
from autoscaler.live.actuate.repair import carry_out
from autoscaler.live.actuate.suspension import resume, suspend
from autoscaler.live.actuate.taints import soft_taint_changes, write_soft_taints
from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import (
    Allowed,
    GuardrailState,
    Release,
    RepairAction,
    RepairKind,
    Resumption,
    Stranded,
    Suspension,
    after_consolidation,
    after_order,
    after_order_failure,
    after_reboot,
    after_release,
    after_removal_failure,
    after_suspension,
)
from autoscaler.live.kube.client import KubeClient, KubeError, PausedError
from autoscaler.live.kube.lease import LeaseLostError
from autoscaler.live.model import ClusterView
from autoscaler.live.names import (
    ANNOTATION_IDLE_SINCE,
    EVENT_CONSOLIDATED,
    EVENT_CONSOLIDATION_FAILED,
    EVENT_FAILED_TO_RESERVE,
    EVENT_FAILED_TO_SCALE_UP,
    EVENT_PLACED,
    EVENT_POOL_UNAVAILABLE,
    EVENT_REPAIR,
    EVENT_REPAIR_FAILED,
    EVENT_RESERVED,
    EVENT_RESUMED_FOR_POLICY,
    EVENT_RESUMED_JOB,
    EVENT_SCALE_DOWN,
    EVENT_SCALE_DOWN_FAILED,
    EVENT_SCALED_UP,
    EVENT_SUSPENDED,
    EVENT_SUSPENDED_BY_POLICY,
    EVENT_SUSPENSION_FAILED,
    EVENT_TRIGGERED_SCALE_UP,
    METRIC_CONSOLIDATED,
    METRIC_ERRORS,
    METRIC_EVICTED_PODS,
    METRIC_FAILED_CONSOLIDATIONS,
    METRIC_FAILED_SCALE_DOWNS,
    METRIC_FAILED_SCALE_UPS,
    METRIC_PLACED_PODS,
    METRIC_REPAIRS,
    METRIC_SCALED_DOWN,
    METRIC_SCALED_UP,
    METRIC_SUSPENSIONS,
)
from autoscaler.live.objects import ObjectRef, SuspendedBy
from autoscaler.live.observer import unwritten_idle_nodes
from autoscaler.live.providers import ProviderError, Reserves, TransientError, drop_reserves, make_providers
from autoscaler.live.switch import Switch
from autoscaler.live.telemetry.bookkeeper import Bookkeeper
from autoscaler.live.telemetry.events import Recorder
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.status_map import StatusWriter
from autoscaler.live.telemetry.tell import tell_job, times_of

_LOG = logging.getLogger(__name__)

ADVANCE_SECONDS = 0.5
"""Removals are taken further this often, in wall seconds."""


class LiveActor:
    """Carries out what the guardrails allowed.

    Args:
        config: pools and guardrails.
        client: calls the API server.
        clock: the time.
        metrics: counts.
        recorder: takes Events.
        check: raises `LeaseLostError` when this process may not write any more; called before every write.
        switch: says what is paused; None: nothing ever is.
        policy: the policy as the user gave it, for the status.
        books: counts what was spent, for the status; None: nothing does.
    """

    def __init__(
        self,
        config: LiveConfig,
        client: KubeClient,
        clock: Clock,
        metrics: Metrics,
        recorder: Recorder,
        check: Callable[[], None],
        switch: Switch | None = None,
        policy: str = "",
        books: Bookkeeper | None = None,
    ) -> None:
        self._config, self._clock, self._metrics, self._recorder = config, clock, metrics, recorder
        # So that no write is under way any more when another process may lead.
        self._switch = switch or Switch()
        timeout = config.leader_election.request_timeout_seconds
        self._check = check
        self._client = client.fenced(self._may_write, timeout)
        providers = make_providers(self._client, config, clock)
        self._providers = providers
        self._scale_up = ScaleUp(self._client, config, clock, providers)
        self._removals = RemovalMachine(self._client, config, clock, providers, self._reported, self._switch.stops)
        self._status = StatusWriter(client.fenced(check, timeout), config, clock, policy, books)
        self._when = times_of(clock)
        self._failed_seconds: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._advance, name="removals", daemon=True)

    def _may_write(self) -> None:
        """Called before every write but that of the status."""
        self._check()
        why = self._switch.everything
        if why:
            raise PausedError(0, "Paused", why)

    def recover(self) -> GuardrailState:
        """Take over what another process left: its removals, and its cooldowns and backoffs, which are returned.

        Removals are taken further from now on.

        Raises:
            KubeError: the nodes cannot be listed, or the status cannot be read.
        """
        state = self._status.restore()
        self._removals.recover()
        for provider, error in drop_reserves(self._client, self._config, self._clock).items():
            self._reserve_failed(provider, error)
        if self._removals.under_way:
            _LOG.info("removals taken over", extra={"nodes": self._removals.under_way})
        self._thread.start()
        return state

    def close(self) -> None:
        """Finish the step in hand; what is left stands on the nodes."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(4.0 * self._config.leader_election.request_timeout_seconds)

    def carry_out(self, allowed: Allowed, view: ClusterView) -> GuardrailState:
        """Suspend, resume, place, order, remove, empty, in this order; see `autoscaler.live.loop.Actor`."""
        state = allowed.state
        if view.paused:
            self._status.update(view, allowed, state)
            return state
        self._serve_checks(view)
        for each in allowed.suspensions:
            state = self._suspend(each, state)
        for resumption in allowed.resumptions:
            self._resume(resumption)
        for release in allowed.releases:
            state = self._place(release, state)
        for gang in allowed.stranded:
            self._rescue(gang)
        for pool, count in allowed.orders.items():
            state = self._order(pool, count, allowed, view, state)
        for pool, nodes in allowed.reserves.items():
            self._reserve(pool, nodes)
        for action in allowed.repairs:
            state = self._repair(action, state)
        self._removals.adopt(view)
        self._removals.start(allowed.removals)
        for pool in self._removals.empty(allowed.consolidations):
            state = after_consolidation(state, pool, view.now_seconds)
        self._remember_idle(view)
        self._mark_candidates(allowed, view)
        failed, self._failed_seconds = self._failed_seconds, None
        if failed is not None:
            state = after_removal_failure(state, failed)
        self._status.update(view, allowed, state)
        return state

    def _serve_checks(self, view: ClusterView) -> None:
        try:
            serve_checks(self._client, view, self._clock.wall())
        except KubeError as error:  # the next reconcile tries again
            self._metrics.add(METRIC_ERRORS, 1, error.kind)

    def _place(self, release: Release, state: GuardrailState) -> GuardrailState:
        placed = place(self._client, release, self._clock.wall())
        self._metrics.add(METRIC_PLACED_PODS, len(placed.pods), release.pool)
        for refused in placed.refused:
            self._metrics.add(METRIC_ERRORS, 1, "placement")
            _LOG.warning("a pod was not placed", extra={"pod": refused.about.name, "reason": refused.reason})
        if placed.pods or placed.admitted:
            where = f"sent to pool {release.pool}" if release.pool else "it follows the rest of its group"
            self._recorder.event(release.gang.ref, "Normal", EVENT_PLACED, where)
        uids = [release.gang.key] if placed.admitted else [pod.uid for pod in placed.pods]
        return after_release(state, uids, release.pool, self._clock.now())

    def _suspend(self, suspension: Suspension, state: GuardrailState) -> GuardrailState:
        """Suspend a job; what fails is tried again by the next reconcile."""
        ref, by = suspension.gang.ref, suspension.by
        try:
            done = suspend(self._client, suspension, self._clock)
        except KubeError as error:
            self._suspension_failed(ref, by, "it could not be suspended", error)
            return state
        if done:
            event = EVENT_SUSPENDED_BY_POLICY if by is SuspendedBy.POLICY else EVENT_SUSPENDED
            self._metrics.add(METRIC_SUSPENSIONS, 1, "suspended", str(by))
            self._recorder.event(ref, "Normal", event, suspension.reason)
        return after_suspension(state, ref.uid, self._clock.now())

    def _resume(self, resumption: Resumption) -> None:
        ref, by = resumption.job.ref, resumption.job.by
        try:
            done = resume(self._client, resumption.job, self._clock)
        except KubeError as error:
            self._suspension_failed(ref, by, "it could not be resumed", error)
            return
        if done:
            event = EVENT_RESUMED_FOR_POLICY if by is SuspendedBy.POLICY else EVENT_RESUMED_JOB
            self._metrics.add(METRIC_SUSPENSIONS, 1, "resumed", str(by))
            self._recorder.event(ref, "Normal", event, f"it goes on: {resumption.reason}")

    def _suspension_failed(self, job: ObjectRef, by: SuspendedBy, what: str, error: KubeError) -> None:
        self._metrics.add(METRIC_SUSPENSIONS, 1, "failed", str(by))
        self._metrics.add(METRIC_ERRORS, 1, error.kind)
        self._recorder.event(job, "Warning", EVENT_SUSPENSION_FAILED, f"{what}: {error.message}")

    def _rescue(self, stranded: Stranded) -> None:
        """Evict the pods of a gang whose pool cannot run it, as far as that goes: the next reconcile sees the rest."""
        self._recorder.event(stranded.gang.ref, "Warning", EVENT_POOL_UNAVAILABLE, stranded.reason)
        for pod in stranded.gang.pods if stranded.restart else ():
            if pod.deleted_seconds is None:
                try:
                    evict(self._client, pod, only_unchanged=True)
                    self._metrics.add(METRIC_EVICTED_PODS, 1)
                except KubeError as error:
                    self._metrics.add(METRIC_ERRORS, 1, error.kind)

    def _repair(self, action: RepairAction, state: GuardrailState) -> GuardrailState:
        """Reboot a node or give it back; what fails is tried again, or the node is replaced when its time is over."""
        try:
            request = self._config.pool(action.pool).repair.reboot_request
            if not carry_out(self._client, self._clock, self._providers, request, action):
                return state
        except (KubeError, ProviderError) as error:
            self._metrics.add(METRIC_ERRORS, 1, "repair")
            self._recorder.event(action.node.ref, "Warning", EVENT_REPAIR_FAILED, f"{action.kind}: {error}")
        else:
            self._metrics.add(METRIC_REPAIRS, 1, action.pool, str(action.kind))
            self._recorder.event(action.node.ref, "Normal", EVENT_REPAIR, f"{action.kind}: {action.reason}")
        if action.kind is RepairKind.REBOOT:
            state = after_reboot(state, action.node.uid, self._clock.now())
        return state

    def _order(
        self, pool: str, count: int, allowed: Allowed, view: ClusterView, state: GuardrailState
    ) -> GuardrailState:
        ordered = self._scale_up.order(self._config.pool(pool), count, known_names(view, state))
        for order in ordered.orders:
            state = after_order(state, order)
            self._recorder.event(ObjectRef("Node", order.name), "Normal", EVENT_SCALED_UP, f"ordered for pool {pool}")
        self._metrics.add(METRIC_SCALED_UP, len(ordered.orders), pool)
        if ordered.orders:
            self._tell_waiting(pool, len(ordered.orders), allowed, view)
        if ordered.error is not None:
            state = self._order_failed(pool, ordered.error, state)
        return state

    def _reserve(self, pool: str, nodes: int) -> None:
        """Tell the autoscaler that makes the nodes of a pool how many to keep free; what fails is tried again."""
        provider = self._providers[pool]
        assert isinstance(provider, Reserves)
        try:
            if provider.reserve(self._config.pool(pool), nodes):
                self._recorder.lease_event("Normal", EVENT_RESERVED, f"pool {pool}: {nodes} nodes are to be kept free")
        except ProviderError as error:
            self._reserve_failed(f"pool {pool}", error)

    def _reserve_failed(self, what: str, error: ProviderError) -> None:
        self._metrics.add(METRIC_ERRORS, 1, "reserve")
        self._recorder.lease_event("Warning", EVENT_FAILED_TO_RESERVE, f"{what}: {error}")

    def _order_failed(self, pool: str, error: ProviderError, state: GuardrailState) -> GuardrailState:
        self._metrics.add(METRIC_FAILED_SCALE_UPS, 1, pool, type(error).__name__)
        self._recorder.lease_event("Warning", EVENT_FAILED_TO_SCALE_UP, f"pool {pool}: {error}")
        if isinstance(error, TransientError):
            return state  # the API server's fault, not the pool's; the next reconcile orders under the same name
        return after_order_failure(state, pool, self._clock.now(), self._config.guardrails.backoff)

    def _tell_waiting(self, pool: str, nodes: int, allowed: Allowed, view: ClusterView) -> None:
        ready = self._when(view.now_seconds + self._config.pool(pool).boot_seconds)
        message = f"pool {pool}: {nodes} node{'s' if nodes > 1 else ''} ordered, to be ready at {ready}"
        released = {release.gang.key for release in allowed.releases}
        for gang in view.queue:
            if gang.key not in released and pool in gang.allowed_pools:
                pods = [pod.ref for pod in gang.pending]
                tell_job(gang.ref, pods, "Normal", EVENT_TRIGGERED_SCALE_UP, message, self._recorder)

    def _remember_idle(self, view: ClusterView) -> None:
        """Write idle times on the nodes, so that a restart keeps them; a failure costs nothing but that."""
        for node, text in unwritten_idle_nodes(view, self._clock):
            body = {"metadata": {"uid": node.uid, "annotations": {ANNOTATION_IDLE_SINCE: text}}}
            try:
                self._client.patch(f"/api/v1/nodes/{node.name}", body)
            except KubeError as error:
                self._metrics.add(METRIC_ERRORS, 1, error.kind)

    def _mark_candidates(self, allowed: Allowed, view: ClusterView) -> None:
        """Let the scheduler prefer nodes that stay; what fails is tried again in the next reconcile."""
        if allowed.candidates is None:
            return
        limit = self._config.guardrails.steps.max_soft_taints
        changes = soft_taint_changes(view, allowed.candidates, limit)
        for error in write_soft_taints(self._client, changes, self._clock.wall()):
            self._metrics.add(METRIC_ERRORS, 1, error.kind)

    def _reported(self, report: Report) -> None:
        failed = report.outcome in (Outcome.UNDONE, Outcome.FAILED)
        if report.outcome is Outcome.REMOVED:
            self._metrics.add(METRIC_SCALED_DOWN, 1, report.pool)
        elif report.outcome is Outcome.EMPTIED:
            self._metrics.add(METRIC_CONSOLIDATED, 1, report.pool)
        elif report.outcome is Outcome.EVICTED:
            self._metrics.add(METRIC_EVICTED_PODS, 1)
        elif failed:
            self._failed_seconds = self._clock.now()
            failures = METRIC_FAILED_CONSOLIDATIONS if report.moves else METRIC_FAILED_SCALE_DOWNS
            self._metrics.add(failures, 1, report.pool, str(report.outcome))
        if report.moves:
            reason = EVENT_CONSOLIDATION_FAILED if failed else EVENT_CONSOLIDATED
        else:
            reason = EVENT_SCALE_DOWN_FAILED if failed else EVENT_SCALE_DOWN
        message = f"{report.outcome}: {report.reason}"
        self._recorder.event(report.about, "Warning" if failed else "Normal", reason, message)

    def _advance(self) -> None:
        # The Lease's own thread ends the process when it is lost.
        with suppress(LeaseLostError):
            while not self._stop.wait(ADVANCE_SECONDS):
                self._advance_once()

    def _advance_once(self) -> None:
        try:
            if self._removals.under_way:
                self._removals.advance()
            self._status.flush()
        except LeaseLostError:
            raise
        except KubeError as error:
            self._metrics.add(METRIC_ERRORS, 1, error.kind)
            _LOG.warning("the status was not written", extra={"error": error.message})
        except Exception:
            _LOG.exception("removals could not be taken further")
