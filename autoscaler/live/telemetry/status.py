"""What a reconcile shows to people: gauges, counters of the rules, and one line of the log."""

from __future__ import annotations

import logging
import math
from collections import Counter

from autoscaler.live.config import LiveConfig
from autoscaler.live.explain.waiting import UNSERVED
from autoscaler.live.guardrails import Allowed
from autoscaler.live.model import ClusterView
from autoscaler.live.names import (
    EVENT_FALLBACK,
    METRIC_GUARDRAIL,
    METRIC_LAST_ACTIVITY,
    METRIC_MAX,
    METRIC_MIN,
    METRIC_NODES,
    METRIC_POWER_BUDGET,
    METRIC_POWER_DRAWN,
    METRIC_QUEUE_GPUS,
    METRIC_QUEUE_JOBS,
    METRIC_RESERVE,
    METRIC_RUNNING_JOBS,
    METRIC_SUSPENDED,
    METRIC_SUSPENDED_GPUS,
    METRIC_TARGET,
    METRIC_UNNEEDED,
    METRIC_UNSCHEDULABLE_PODS,
    METRIC_UNSERVED_PODS,
    METRIC_UNWELL,
    METRIC_USED_GPUS,
)
from autoscaler.live.objects import NodeState, SuspendedBy
from autoscaler.live.policy.decide import Decided
from autoscaler.live.telemetry.audit import verdict_dict
from autoscaler.live.telemetry.events import Recorder
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.view.gangs import unserved_reason
from envs.gpu_cluster.codec import ClusterSnapshot, Pool

_LOG = logging.getLogger(__name__)


def report_view(view: ClusterView, snapshot: ClusterSnapshot, config: LiveConfig, metrics: Metrics) -> None:
    """Set the gauges of what was seen."""
    for pool in view.pools:
        states = Counter(node.state for node in pool.nodes)
        for state in NodeState:
            metrics.set(METRIC_NODES, float(states[state]), pool.name, str(state))
        metrics.set(METRIC_NODES, float(len(pool.orders)), pool.name, "ordered")
        metrics.set(METRIC_UNWELL, float(sum(bool(node.faults) for node in pool.nodes)), pool.name)
        metrics.set(METRIC_UNNEEDED, float(states[NodeState.IDLE]), pool.name)
        metrics.set(METRIC_USED_GPUS, float(snapshot.pools[pool.index, Pool.USED_GPUS]), pool.name)
        settings = config.pools[pool.index]
        metrics.set(METRIC_MIN, float(settings.min_nodes), pool.name)
        metrics.set(METRIC_MAX, float(settings.max_nodes), pool.name)
    metrics.set(METRIC_QUEUE_JOBS, float(len(view.queue)))
    metrics.set(METRIC_QUEUE_GPUS, sum(gang.pending_gpu_milli for gang in view.queue) / 1000.0)
    metrics.set(METRIC_RUNNING_JOBS, float(len(view.running)))
    for by in SuspendedBy:
        jobs = [job for job in view.suspended if job.suspended and job.by is by]
        metrics.set(METRIC_SUSPENDED, float(len(jobs)), str(by))
        metrics.set(METRIC_SUSPENDED_GPUS, sum(job.gpu_milli for job in jobs) / 1000.0, str(by))
    waiting = sum(len(gang.pending) for gang in (*view.queue, *view.unplaceable))
    metrics.set(METRIC_UNSCHEDULABLE_PODS, float(waiting))
    reasons = Counter(unserved_reason(pod, config) for pod in view.unserved)
    for reason in UNSERVED:
        metrics.set(METRIC_UNSERVED_PODS, float(reasons[reason]), reason)
    metrics.set(METRIC_LAST_ACTIVITY, view.now_seconds, "reconcile")


def report_outcome(
    view: ClusterView, decided: Decided, allowed: Allowed, config: LiveConfig, metrics: Metrics, recorder: Recorder
) -> None:
    """Count the rules that bit, and say what was decided."""
    for pool in view.pools:
        metrics.set(METRIC_TARGET, float(decided.decision.target_nodes[pool.index]), pool.name)
    for name, nodes in allowed.reserves.items():
        metrics.set(METRIC_RESERVE, float(nodes), name)
    metrics.set(METRIC_POWER_BUDGET, math.nan if allowed.power is None else allowed.power.budget_watts)
    metrics.set(METRIC_POWER_DRAWN, math.nan if allowed.power is None else allowed.power.drawn_watts)
    for verdict in allowed.verdicts:
        metrics.add(METRIC_GUARDRAIL, 1, str(verdict.rule))
    _LOG.info(
        "decided",
        extra={
            "policy": decided.policy,
            "queue_jobs": len(view.queue),
            "target_nodes": {pool.name: int(decided.decision.target_nodes[pool.index]) for pool in view.pools},
            "nodes": {pool.name: pool.decided_nodes for pool in view.pools},
            "orders": dict(allowed.orders),
            "reserves": dict(allowed.reserves),
            "removals": [removal.name for removal in allowed.removals],
            "consolidations": [{"node": each.node.name, "reason": each.reason} for each in allowed.consolidations],
            "suspensions": [f"{each.gang.ref.namespace}/{each.gang.ref.name}" for each in allowed.suspensions],
            "resumptions": [f"{each.job.ref.namespace}/{each.job.ref.name}" for each in allowed.resumptions],
            "releases": [f"{release.gang.ref.namespace}/{release.gang.ref.name}" for release in allowed.releases],
            "verdicts": [verdict_dict(verdict) for verdict in allowed.verdicts],
            "dry_run": config.dry_run,
        },
    )
    if decided.fallback:
        recorder.lease_event("Warning", EVENT_FALLBACK, f"the policy's output is unusable: {decided.fallback}")
