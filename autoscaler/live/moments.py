"""When something can change by time alone: until then the loop may sleep, and no longer.

Everything else that the loop must look at is an event in the cluster and wakes it (see `view.store.Trigger`).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from autoscaler.live.config import LiveConfig
from autoscaler.live.grid_config import event_at
from autoscaler.live.guardrails.ailing import repair_moments
from autoscaler.live.guardrails.state import GuardrailState, overdue_moments
from autoscaler.live.model import ClusterView
from autoscaler.live.objects import NodeState, SuspendedBy
from envs.gpu_cluster.codec import IDLE_AGE_EDGES_SECONDS, next_change_seconds

CURB_SECONDS = 10.0
"""From a look at a cluster that a grid event curbs, or with jobs that are to go on, to the next one."""


class Moment(StrEnum):
    """What happens at a moment."""

    IDLE_AGE = "idle-age"  # an idle node reaches an age that a setpoint can choose
    UNNEEDED = "unneeded"  # an idle node has been unneeded for long enough
    AFTER_SCALE_UP = "after-scale-up"  # the cooldown after an order ends
    AFTER_FAILURE = "after-failure"  # the cooldown after a removal that failed ends
    BACKOFF = "backoff"  # a pool that failed may be tried again
    PROVISION_TIMEOUT = "provision-timeout"  # an order or a node without GPUs is given up
    CONSOLIDATION = "consolidation"  # jobs of a pool may be moved again
    DISRUPTION = "disruption"  # a window opens or closes, or a budget begins or ends
    REPAIR = "repair"  # a broken node is to be repaired, or counts as well
    LATEST_START = "latest-start"  # a job can be deferred no longer
    GRID_EVENT = "grid-event"  # a grid event becomes known, starts or ends
    CURB = "curb"  # what has to stop, or to go on, is tried again
    RESUME = "resume"  # a job has been suspended by the policy for as long as it may be
    SIGNALS = "signals"  # an hour begins, and with it another price of energy


def moments(view: ClusterView, state: GuardrailState, config: LiveConfig) -> Iterator[tuple[Moment, float]]:
    """Every moment at which a decision may come out differently, in clock seconds; some of them are over.

    Args:
        view: the cluster as it was seen last.
        state: memory of the guardrails with what was done since.
        config: pools and guardrails.
    """
    yield from _removal_moments(view, state, config)
    for backoff in state.backoffs.values():
        yield Moment.BACKOFF, backoff.until_seconds
    for pool in view.pools:
        for seconds in overdue_moments(pool, state, config.guardrails.backoff):
            yield Moment.PROVISION_TIMEOUT, seconds
        if config.codec.consolidation and pool.in_state(NodeState.BUSY):
            interval = config.codec.consolidation_interval_seconds
            yield Moment.CONSOLIDATION, state.consolidated_seconds(pool.name) + interval
    for seconds in repair_moments(view, state.ailing, config):
        yield Moment.REPAIR, seconds
    if config.codec.signals:
        yield Moment.SIGNALS, next_change_seconds(view.now_seconds)
    yield from _grid_moments(view, config)
    yield from _suspension_moments(view)
    for gang in view.queue:
        if gang.latest_start_seconds is not None:
            yield Moment.LATEST_START, gang.latest_start_seconds


def _grid_moments(view: ClusterView, config: LiveConfig) -> Iterator[tuple[Moment, float]]:
    """Edges of grid events, and when to look again at what they stop."""
    for each in config.guardrails.grid_events:
        for seconds in (each.known_seconds, each.start_seconds, each.end_seconds):
            yield Moment.GRID_EVENT, seconds
    event = event_at(config.guardrails.grid_events, view.now_seconds)
    is_on = event is not None and event.start_seconds <= view.now_seconds
    if is_on and config.guardrails.curb_for_grid_events:
        yield Moment.CURB, view.now_seconds + CURB_SECONDS


def _suspension_moments(view: ClusterView) -> Iterator[tuple[Moment, float]]:
    """When a suspension ends, and when to look again at those that are to end."""
    ends = [each.until_seconds for each in view.suspended if each.by is SuspendedBy.POLICY]
    for seconds in ends:
        yield Moment.RESUME, seconds
    if len(ends) < len(view.suspended) or any(seconds <= view.now_seconds for seconds in ends):
        yield Moment.CURB, view.now_seconds + CURB_SECONDS


def _removal_moments(view: ClusterView, state: GuardrailState, config: LiveConfig) -> Iterator[tuple[Moment, float]]:
    """Moments from which on an idle node may go; none without an idle node."""
    idle = [node for pool in view.pools for node in pool.in_state(NodeState.IDLE)]
    if not idle:
        return
    for schedule in config.guardrails.disruption.schedules:
        ends = schedule.ends(view.now_seconds)
        yield Moment.DISRUPTION, schedule.begins(view.now_seconds) if ends is None else ends
    times = config.guardrails.cooldowns
    for since in {node.idle_since_seconds for node in idle if node.idle_since_seconds is not None}:
        for edge in IDLE_AGE_EDGES_SECONDS:
            yield Moment.IDLE_AGE, since + edge
        yield Moment.UNNEEDED, since + times.unneeded_seconds
    for ordered in state.scaled_up.values():
        yield Moment.AFTER_SCALE_UP, ordered + times.after_scale_up_seconds
    if state.removal_failed_seconds is not None:
        yield Moment.AFTER_FAILURE, state.removal_failed_seconds + times.after_failure_seconds


def next_moment_seconds(view: ClusterView, state: GuardrailState, config: LiveConfig) -> float:
    """The first moment after the view; infinite: time alone changes nothing."""
    coming = (seconds for _, seconds in moments(view, state, config) if seconds > view.now_seconds)
    return min(coming, default=float("inf"))
