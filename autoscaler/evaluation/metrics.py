"""Metrics: the numbers that a rollout comes down to, each defined here and in docs/json.md.

They carry dotted names, `metrics.wait_seconds.p95`, which `nested` turns into the objects of the JSON documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoscaler.evaluation.bounds import NodeHourBounds, node_hour_bounds
from autoscaler.evaluation.references import References, references
from autoscaler.evaluation.rollouts import Rollout
from envs.gpu_cluster.accounting import (
    MILLI_MS_PER_GPU_HOUR,
    MS_PER_HOUR,
    Account,
    Waterfall,
    account,
    delayed_gpu_hours,
    pool_energy,
    spending_parts,
)
from envs.gpu_cluster.simulator import NEVER
from envs.gpu_cluster.simulator.problem import Problem

SLOWDOWN_TAU_SECONDS = 10.0
"""Run times below this count as this in the bounded slowdown, so that very short jobs do not dominate it.

Source: Feitelson, "Metrics for Parallel Job Scheduling and Their Convergence" (2001).
"""

PERCENTS = (50, 95, 99)

Measures = dict[str, float]
"""Numbers by dotted name; counts are whole."""


def energy(rollout: Rollout, problem: Problem) -> Waterfall:
    """Energy of a rollout by its parts, kWh, PUE included."""
    if problem.prices.pue_changes:
        return spending_parts(rollout.spendings, "kwh")
    pools = zip(problem.cluster.pools, rollout.pools, strict=True)
    return Waterfall.sum(pool_energy(pool, totals.energy_integrals, rollout.elapsed_ms) for pool, totals in pools)


def spent(rollout: Rollout, problem: Problem) -> Account:
    """What a rollout cost and emitted."""
    delayed = delayed_gpu_hours(rollout.totals.overhead_milli_ms, rollout.waited_milli_ms)
    node_hours = [totals.node_hours for totals in rollout.pools]
    moved = [totals.transferred_mb for totals in rollout.pools]
    return account(problem.cluster.pools, rollout.spendings, node_hours, moved, delayed, problem.config.objective)


def measure(rollout: Rollout, problem: Problem, known: References | None = None) -> Measures:
    """Everything that is reported of a rollout.

    Args:
        rollout: of `problem`.
        problem: the inputs; its packer does not matter here.
        known: bounds of the window, None: they are worked out here.
    """
    used = energy(rollout, problem)
    waited_gpu_hours = rollout.waited_milli_ms / MILLI_MS_PER_GPU_HOUR
    delayed = delayed_gpu_hours(rollout.totals.overhead_milli_ms, rollout.waited_milli_ms)
    bounds = node_hour_bounds(problem, rollout.window)
    return {
        **{f"energy_kwh.{name}": kwh for name, kwh in used.to_dict().items()},
        **_spendings(rollout, problem),
        **_against_bound(rollout, problem, known or references(problem, rollout.window)),
        **_job_measures(rollout),
        "metrics.waited_gpu_hours": waited_gpu_hours,
        "metrics.overhead_gpu_hours": delayed - waited_gpu_hours,
        **_node_measures(rollout, problem, bounds),
        **_incidents(rollout),
    }


def _spendings(rollout: Rollout, problem: Problem) -> Measures:
    own, totals = spent(rollout, problem), rollout.totals
    kg = own.carbon_g.total / 1000.0
    useful = (totals.used_milli_ms - totals.overhead_milli_ms) / MILLI_MS_PER_GPU_HOUR
    finished = int((rollout.end_ms != NEVER).sum())
    all_grams = own.carbon_g.total + own.embodied_g
    return {
        "objective_usd": own.total_usd,
        "cost_usd.energy": own.energy_usd.total,
        "cost_usd.carbon": own.carbon_usd,
        "cost_usd.nodes": own.node_usd,
        "cost_usd.transfer": own.transfer_usd,
        "cost_usd.delay": own.delay_usd,
        **{f"carbon_kg.{name}": grams / 1000.0 for name, grams in own.carbon_g._asdict().items()},
        "carbon_kg.operational": kg,
        "carbon_kg.embodied": own.embodied_g / 1000.0,
        "carbon_kg.total": kg + own.embodied_g / 1000.0,
        "metrics.sci_g_per_job": all_grams / finished if finished else float("nan"),
        "metrics.sci_g_per_gpu_hour": all_grams / useful if useful else float("nan"),
    }


def _against_bound(rollout: Rollout, problem: Problem, known: References) -> Measures:
    bound = known.bound_usd
    decidable = spent(rollout, problem).total_usd - bound
    return {"bound_usd": bound, "decidable_usd": decidable, **known.measures()}


def waits_seconds(rollout: Rollout) -> NDArray[np.float64]:
    """[J'] float64: from submission to start, of every job of the window that has started."""
    started = rollout.start_ms != NEVER
    waits: NDArray[np.float64] = (rollout.start_ms - rollout.submit_ms)[started] / 1000.0
    return waits


def _job_measures(rollout: Rollout) -> Measures:
    ended = rollout.end_ms != NEVER
    finished = int(ended.sum())
    completion = (rollout.end_ms - rollout.submit_ms)[ended] / 1000.0
    requested = np.maximum(rollout.duration_ms[ended] / 1000.0, SLOWDOWN_TAU_SECONDS)
    return {
        "metrics.jobs_submitted": rollout.window.num_jobs,
        "metrics.jobs_finished": finished,
        "metrics.jobs_unfinished": rollout.window.num_jobs - finished,
        **_distribution("metrics.wait_seconds", waits_seconds(rollout)),
        **_distribution("metrics.jct_seconds", completion),
        **_distribution("metrics.bounded_slowdown", np.maximum(completion / requested, 1.0)),
    }


def _distribution(name: str, values: NDArray[np.float64]) -> Measures:
    if not values.size:
        return {f"{name}.{part}": float("nan") for part in ("mean", *(f"p{percent}" for percent in PERCENTS))}
    points = np.percentile(values, PERCENTS).tolist()
    parts = {f"{name}.p{percent}": point for percent, point in zip(PERCENTS, points, strict=True)}
    return {f"{name}.mean": float(values.mean()), **parts}


def _node_measures(rollout: Rollout, problem: Problem, bounds: NodeHourBounds) -> Measures:
    totals = rollout.totals
    gpu_ms = sum(
        pool.gpus_per_node * own.node_ms for pool, own in zip(problem.cluster.pools, rollout.pools, strict=True)
    )
    hours = rollout.elapsed_ms / MS_PER_HOUR
    done = (totals.used_milli_ms - totals.overhead_milli_ms) / MILLI_MS_PER_GPU_HOUR
    return {
        "metrics.node_hours": totals.node_hours,
        "metrics.node_hours_busy": totals.busy_node_ms / MS_PER_HOUR,
        "metrics.node_hours_lower_bound": bounds.packed,
        "metrics.node_hours_over_bound": totals.node_hours / bounds.packed,
        "metrics.node_hours_floor": bounds.floor,
        "metrics.gpu_hours_requested": _requested_gpu_hours(rollout, problem),
        "metrics.gpu_hours_done": done,
        "metrics.utilization": done / (gpu_ms / MS_PER_HOUR),
        "metrics.scale_ups_per_hour": totals.scale_ups / hours,
        "metrics.scale_downs_per_hour": totals.scale_downs / hours,
        "metrics.nodes_added": totals.nodes_added,
        "metrics.nodes_removed": totals.nodes_removed,
        "metrics.moves": totals.moves,
        "metrics.moves_per_job": totals.moves / rollout.window.num_jobs,
        "metrics.decisions": rollout.decisions,
        "metrics.hours": hours,
    }


INCIDENTS = {
    "metrics.boot_failures": "boots failed",
    "metrics.node_failures": "nodes failed",
    "metrics.spot_reclaims": "nodes taken back",
    "metrics.node_hours_unavailable": "node-hours unavailable",
    "metrics.preemptions": "jobs stopped",
    "metrics.suspensions": "jobs suspended",
    "metrics.lost_gpu_hours": "GPU-hours of work lost",
    "metrics.resizes": "widths changed",
    "metrics.deadline_misses": "deadlines missed",
    "metrics.excess_kw_seconds": "kW s above the power budget",
}
"""What happens in some worlds only, and is shown to humans only where it happened: measure -> words."""


def _incidents(rollout: Rollout) -> Measures:
    totals = rollout.totals
    return {
        "metrics.boot_failures": totals.boot_failures,
        "metrics.node_failures": totals.node_failures,
        "metrics.spot_reclaims": totals.spot_reclaims,
        "metrics.node_hours_unavailable": totals.down_node_ms / MS_PER_HOUR,
        "metrics.preemptions": totals.preemptions,
        "metrics.suspensions": totals.suspensions,
        "metrics.lost_gpu_hours": totals.lost_milli_ms / MILLI_MS_PER_GPU_HOUR,
        "metrics.resizes": totals.resizes,
        "metrics.deadline_misses": rollout.deadline_misses,
        "metrics.excess_kw_seconds": rollout.excess_kw_seconds,
    }


def _requested_gpu_hours(rollout: Rollout, problem: Problem) -> float:
    """Work of the window's own jobs, and what was left of those that ran when it began."""
    before = slice(rollout.window.first_job)
    left = problem.submit_ms[before] + problem.duration_ms[before] - rollout.window.start_ms
    inherited = int(problem.gpu_milli[before] @ np.maximum(left, 0))
    return (inherited + int(rollout.gpu_milli @ rollout.duration_ms)) / MILLI_MS_PER_GPU_HOUR


def nested(measures: Mapping[str, Any]) -> dict[str, Any]:
    """The objects of a JSON document: `{"a.b": 1}` as `{"a": {"b": 1}}`."""
    document: dict[str, Any] = {}
    for name, value in measures.items():
        *parents, last = name.split(".")
        node = document
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return document
