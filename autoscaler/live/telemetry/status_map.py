"""The status ConfigMap, in the shape of `cluster-autoscaler-status`, so that whoever reads that one can read it.

Under other keys it holds what a restart must know, see `autoscaler.live.telemetry.memory` and
`autoscaler.live.account`, and the config and the policy that count now, for `autoscaler explain`.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import yaml

from autoscaler.live.clock import Clock
from autoscaler.live.config import LiveConfig
from autoscaler.live.guardrails import Allowed, GuardrailState, Rule
from autoscaler.live.kube.client import Json, KubeClient, NotFoundError
from autoscaler.live.model import ClusterView, PoolView
from autoscaler.live.names import STATUS_CONFIG_MAP
from autoscaler.live.objects import NodeState, SuspendedBy
from autoscaler.live.telemetry.bookkeeper import Bookkeeper
from autoscaler.live.telemetry.memory import from_text, to_text
from configs.loader import to_yaml

WRITE_SECONDS = 10.0
"""It is written at most this often, in wall seconds: Cluster Autoscaler's scan interval."""

STATUS_KEY = "status"
MEMORY_KEY = "memory"
CONFIG_KEY = "config"
POLICY_KEY = "policy"
ACCOUNT_KEY = "account"

READY = (NodeState.IDLE, NodeState.BUSY, NodeState.CORDONED)


def cluster_status(view: ClusterView, allowed: Allowed, config: LiveConfig) -> dict[str, Any]:
    """What stands in the ConfigMap, without times.

    Args:
        view: the cluster.
        allowed: what the guardrails left of the last decision.
        config: the pools.
    """
    groups = [_group(pool, view, allowed, config) for pool in view.pools]
    nodes = Counter[str]()
    for group in groups:
        nodes.update(group["health"]["nodeCounts"])
    stopped = any(verdict.rule in (Rule.HEALTH_STOP, Rule.STALE_DATA) for verdict in allowed.verdicts)
    ups = {group["scaleUp"]["status"] for group in groups}
    candidates = sum(group["scaleDown"]["candidates"] for group in groups)
    return {
        "autoscalerStatus": "Paused" if view.paused else "Running",
        **({"paused": view.paused} if view.paused else {}),
        **_grid_event(view, allowed),
        **_suspended(view),
        "clusterWide": {
            "health": {"status": "Unhealthy" if stopped else "Healthy", "nodeCounts": dict(nodes)},
            "scaleUp": {"status": next((each for each in ("InProgress", "Backoff") if each in ups), "NoActivity")},
            "scaleDown": _scale_down(candidates),
        },
        "nodeGroups": groups,
    }


def _grid_event(view: ClusterView, allowed: Allowed) -> dict[str, Any]:
    """The budget of a grid event, and the jobs that one suspended; empty without both."""
    power = {}
    if allowed.power is not None:
        power = {"budgetWatts": allowed.power.budget_watts, "drawnWatts": allowed.power.drawn_watts}
    jobs = _suspended_by(view, SuspendedBy.GRID_EVENT)
    found = {**power, **({"suspended": jobs} if jobs else {})}
    return {"gridEvent": found} if found else {}


def _suspended(view: ClusterView) -> dict[str, Any]:
    """The jobs that the policy suspended; empty without any."""
    jobs = _suspended_by(view, SuspendedBy.POLICY)
    return {"policySuspended": jobs} if jobs else {}


def _suspended_by(view: ClusterView, by: SuspendedBy) -> list[str]:
    jobs = (job for job in view.suspended if job.suspended and job.by is by)
    return [f"{job.ref.namespace}/{job.ref.name}" for job in jobs]


def _group(pool: PoolView, view: ClusterView, allowed: Allowed, config: LiveConfig) -> dict[str, Any]:
    states = Counter(node.state for node in pool.nodes)
    ordered = len(pool.orders) + allowed.orders.get(pool.name, 0) + allowed.state.unseen(pool)
    starting = states[NodeState.BOOTING] + ordered
    candidates = sum(node.name in (allowed.candidates or ()) for node in pool.nodes)
    backoff = allowed.state.in_backoff(pool.name, view.now_seconds)
    settings = config.pool(pool.name)
    return {
        "name": pool.name,
        **({"paused": view.paused_pools[pool.name]} if pool.name in view.paused_pools else {}),
        "health": {
            "status": "Unhealthy" if states[NodeState.UNREADY] else "Healthy",
            "nodeCounts": {
                "registered": len(pool.nodes),
                "ready": sum(states[state] for state in READY),
                "notStarted": starting,
                "beingDeleted": states[NodeState.DRAINING],
                "unready": states[NodeState.UNREADY],
            },
            "cloudProviderTarget": len(pool.nodes) - states[NodeState.DRAINING] + ordered,
            "minSize": settings.min_nodes,
            "maxSize": settings.max_nodes,
        },
        "scaleUp": {"status": "Backoff" if backoff else "InProgress" if starting else "NoActivity"},
        "scaleDown": _scale_down(candidates),
    }


def _scale_down(candidates: int) -> dict[str, Any]:
    return {"status": "CandidatesPresent" if candidates else "NoCandidates", "candidates": candidates}


class StatusWriter:
    """Writes the status now and then.

    Args:
        client: fenced, see `KubeClient.fenced`.
        config: the pools, and the Lease's namespace, in which the ConfigMap is.
        clock: unix seconds stand in it.
        policy: the policy as the user gave it.
        books: counts what was spent; None: nothing does.
    """

    def __init__(
        self, client: KubeClient, config: LiveConfig, clock: Clock, policy: str = "", books: Bookkeeper | None = None
    ) -> None:
        self._books = books
        self._about = {CONFIG_KEY: to_yaml(config), POLICY_KEY: policy}
        self._client, self._config, self._clock = client, config, clock
        self._collection = f"/api/v1/namespaces/{config.leader_election.namespace}/configmaps"
        self._latest: dict[str, Any] | None = None
        self._transitions: dict[str, tuple[str, str]] = {}
        self._written: float | None = None
        self._memory = self._written_memory = to_text(GuardrailState(), clock)

    def restore(self) -> GuardrailState:
        """The memory that the process before left; empty where there is none.

        Raises:
            KubeError: it could not be read.
        """
        try:
            data = self._client.get(f"{self._collection}/{STATUS_CONFIG_MAP}").get("data")
        except NotFoundError:
            return GuardrailState()
        spent = data.get(ACCOUNT_KEY) if isinstance(data, dict) else None
        # A config that is read again makes another writer: the account goes on, it does not go back.
        if self._books is not None and isinstance(spent, str) and self._books.account.since_wall_seconds is None:
            self._books.restore(spent)
        text = data.get(MEMORY_KEY) if isinstance(data, dict) else None
        if not isinstance(text, str):
            return GuardrailState()
        state = from_text(text, self._clock, self._config)
        self._memory = self._written_memory = to_text(state, self._clock)
        return state

    def update(self, view: ClusterView, allowed: Allowed, state: GuardrailState) -> None:
        """Remember the status of a reconcile; `flush` writes it.

        Args:
            view: the cluster.
            allowed: what the guardrails left of the decision.
            state: the memory with what was done.
        """
        self._memory = to_text(state, self._clock)
        now = _rfc3339(self._clock.to_wall(view.now_seconds))
        status = cluster_status(view, allowed, self._config)
        for prefix, part in [("", status["clusterWide"]), *((each["name"], each) for each in status["nodeGroups"])]:
            for kind in ("health", "scaleUp", "scaleDown"):
                key, word = f"{prefix}/{kind}", part[kind]["status"]
                if self._transitions.get(key, ("", ""))[0] != word:
                    self._transitions[key] = (word, now)
                part[kind] |= {"lastProbeTime": now, "lastTransitionTime": self._transitions[key][1]}
        spent: dict[str, Any] = {}
        if self._books is not None:
            spent = {"signals": self._books.signal_report(), "account": self._books.report()}
            self._about[ACCOUNT_KEY] = self._books.account.to_text()
        self._latest = {"time": now, **status, **spent}

    def flush(self) -> None:
        """Write what is new: the memory at once, all else if the last time is long enough ago.

        Raises:
            KubeError: it could not be written; it is tried again later.
        """
        latest, memory, now = self._latest, self._memory, time.monotonic()
        is_soon = self._written is not None and now - self._written < WRITE_SECONDS
        if latest is None or (is_soon and memory == self._written_memory):
            return
        self._written = now
        body: Json = {"data": {STATUS_KEY: yaml.safe_dump(latest, sort_keys=False), MEMORY_KEY: memory, **self._about}}
        try:
            self._client.patch(f"{self._collection}/{STATUS_CONFIG_MAP}", body)
        except NotFoundError:
            named = {"kind": "ConfigMap", "metadata": {"name": STATUS_CONFIG_MAP}, **body}
            self._client.create(self._collection, named)
        self._written_memory = memory
        if self._latest is latest:
            self._latest = None


def _rfc3339(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
