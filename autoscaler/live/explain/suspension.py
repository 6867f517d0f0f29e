"""Who suspended a job and until when, and whether one that runs may be suspended."""

from __future__ import annotations

from collections.abc import Set

from autoscaler.live.config import LiveConfig
from autoscaler.live.explain.waiting import When
from autoscaler.live.grid_config import event_at
from autoscaler.live.guardrails import Allowed
from autoscaler.live.guardrails.suspendable import Suspendable, may_be_suspended
from autoscaler.live.model import ClusterView
from autoscaler.live.names import ANNOTATION_CHECKPOINTABLE, ANNOTATION_FLEXIBILITY
from autoscaler.live.objects import JobView, SuspendedBy


def suspended_reason(job: JobView, view: ClusterView, allowed: Allowed, config: LiveConfig, when: When) -> str:
    """Who suspended a Job, and until when."""
    ours = next((each for each in view.suspended if each.ref.uid == job.uid), None)
    if ours is None:
        return "It is suspended (spec.suspend), so it asks for nothing yet."
    is_policys = ours.by is SuspendedBy.POLICY
    since = f"{'The policy' if is_policys else 'A grid event'} suspended it at {when(ours.since_seconds)}"
    resumption = next((each for each in allowed.resumptions if each.job == ours), None)
    if resumption is not None:
        return f"{since}; it goes on now: {resumption.reason}."
    name = f"{job.namespace}/{job.name}"
    held = next((each.reason for each in allowed.verdicts if each.kind == "gang" and each.subject == name), "")
    if held:
        return f"{since}; {held}."
    event = None if is_policys else event_at(config.guardrails.grid_events, view.now_seconds)
    if event is not None:
        return f"{since}; it goes on when the event is over, at {when(event.end_seconds)}."
    if is_policys and ours.until_seconds > view.now_seconds:
        return f"{since}; it goes on when the policy says so, at {when(ours.until_seconds)} at the latest."
    return f"{since}; it goes on as soon as something may be changed again."


def running_reason(uids: Set[str], view: ClusterView, allowed: Allowed, config: LiveConfig, when: When) -> str:
    """Whether a job that runs may be suspended by the policy; empty: no policy of the config can.

    Args:
        uids: of the Job and its pods.
        view: what was seen.
        allowed: what the guardrails left of the decision.
        config: pools and guardrails.
        when: writes times.
    """
    gang = next((each for each in view.running if uids & {each.ref.uid, *(pod.uid for pod in each.pods)}), None)
    if gang is None or not config.codec.suspension:
        return ""
    chosen = next((each.reason for each in allowed.suspensions if each.gang.key == gang.key), "")
    if chosen:
        return f"It is suspended now: {chosen}."
    if not may_be_suspended(gang):
        return (
            f'The policy never suspends it: its pods do not all say {ANNOTATION_FLEXIBILITY}: "3" and '
            f'{ANNOTATION_CHECKPOINTABLE}: "true".'
        )
    suspendable = Suspendable(view, config)
    hold = suspendable.policy_hold(gang)
    if hold is not None:
        return f"The policy may not suspend it now: {hold.reason}."
    return f"The policy may suspend it, until {when(suspendable.until_ms(gang) / 1000.0)} at the latest."
