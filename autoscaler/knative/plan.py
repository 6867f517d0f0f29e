"""What a policy would keep now: a history is played in the simulator, and the last decision of each function counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.baselines.keep_alive.registry import KEEP_ALIVES
from agents.loading import load_policy
from agents.names import is_run
from autoscaler.knative.errors import KnativeError
from configs.errors import did_you_mean
from envs.containers import log
from envs.serverless.problem import ServerlessProblem
from envs.serverless.simulator import RulePlayer, ServerlessSimulator

MOST_RETENTION_SECONDS = 3600
"""Knative refuses more. Source: knative.dev/serving v0.48.0, pkg/apis/autoscaling/annotation_validation.go."""

ROWS_PER_REQUEST, MORE_ROWS = 12, 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a function is to have now.

    Attributes:
        retention_seconds: how long its last container stays after its last request.
        min_scale: containers that are kept or started although nobody calls.
        why: in words.
    """

    retention_seconds: int
    min_scale: int
    why: str


def plans(policy: str, problem: ServerlessProblem) -> Mapping[str, Plan]:
    """What each function that was called is to have at the end of a history.

    Args:
        policy: the name of a keep-alive rule, or the folder of a run on Serverless-v0.
        problem: the history; it ends now.

    Raises:
        KnativeError: there is no such rule, or the policy cannot be played on a history.
        ArtifactError: the run is damaged.
    """
    names = problem.function_names
    found: dict[int, list[tuple[int, int, int]]] = {}
    for time_ms, kind, key, _, _, value in _events(policy, problem).tolist():
        found.setdefault(key, []).append((time_ms, kind, value))
    return {names[key]: _plan(events) for key, events in sorted(found.items()) if key >= 0}


def _events(policy: str, problem: ServerlessProblem) -> NDArray[np.int64]:
    """[rows, LOG_COLUMNS] int64, what a policy makes of a history."""
    rows = ROWS_PER_REQUEST * len(problem.containers.request) + MORE_ROWS
    window = np.array([problem.episode(0, problem.span_ms)], np.int64)
    if is_run(policy):
        trained: Any = load_policy(policy)
        environment = getattr(trained, "environment", None) or {}
        if environment.get("env") != "autoscaler/Serverless-v0":
            raise KnativeError(f"{policy}: only policies of Serverless-v0 can be played on a history; train one")
        simulator = ServerlessSimulator(problem, 1, threads=1, log_rows=rows)
        simulator.play(trained, window)
        return simulator.log()
    if policy not in KEEP_ALIVES:
        raise KnativeError(f"unknown keep-alive rule {policy!r}{did_you_mean(policy, KEEP_ALIVES)}")
    player, known = RulePlayer(problem, log_rows=rows), KEEP_ALIVES[policy]
    if known.by_function is not None:
        player.keep_by_function(known.by_function(problem))
    player.usd([known.rows[0]], None, window)
    return player.log()


def _plan(events: list[tuple[int, int, int]]) -> Plan:
    """What the events of one function, by time, leave at their end."""
    containers, pre_warmed, keep_ms = 0, 0, 0
    waiting = 0
    for _, kind, value in events:
        if kind == log.REQUEST:
            waiting += 1
        elif kind == log.RUN_START:
            waiting, pre_warmed = waiting - 1, 0
        elif kind == log.START:
            containers += 1
            pre_warmed = pre_warmed + 1 if waiting == 0 else 0
        elif kind in (log.EXPIRE, log.EVICT):
            containers -= 1
            pre_warmed = min(pre_warmed, containers)
        elif kind == log.GO_IDLE:
            keep_ms = value
    retention = min(round(keep_ms / 1000), MOST_RETENTION_SECONDS)
    if pre_warmed:
        expected = "a request is" if pre_warmed == 1 else f"{pre_warmed} requests at once are"
        return Plan(retention, pre_warmed, f"{expected} expected soon")
    if containers > 0 and keep_ms > 1000 * MOST_RETENTION_SECONDS:
        return Plan(retention, 1, "it is kept for longer than Knative's longest retention period")
    return Plan(retention, 0, "its last container stays for the retention period")
