"""How loose bounds on the cost are, against exact solutions of small worlds, and how long a large one takes.

Small worlds: jobs of whole quarters of an hour on 8-GPU nodes, an hourly price. The exact mixed-integer program
chooses the quarter in which each job starts, without a pause; nodes in use are the fewest that hold its GPUs, and jobs
move between them for free. It is itself below every policy. The second table is the fluid bound of a week of a trace.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from _common import describe, parse, parser, tell
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_array

import traces
from autoscaler.evaluation.fluid_bounds import USED, fluid_carbon_g, fluid_usd
from autoscaler.evaluation.references import references
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.windows import Window, whole_trace, window_between
from envs.gpu_cluster.accounting import AMOUNTS
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from envs.gpu_cluster.simulator.problem import Problem
from traces.trace import Trace

QUARTER_MS = 900_000
START = "2024-01-01T00:00:00Z"
UNUSED = AMOUNTS.index("unused_milli_ms")


def main() -> None:
    """Print both tables."""
    options = parser(__doc__)
    options.add_argument("--worlds", type=int, default=12, help="small worlds (default %(default)s)")
    options.add_argument("--jobs", type=int, default=8, help="jobs of a small world (default %(default)s)")
    options.add_argument("--trace", help="URI of a trace, whose busiest week is bounded too")
    options.add_argument("--share", type=float, default=0.5, help="nodes, as a share of the peak (default %(default)s)")
    arguments = parse(options, worlds=2, jobs=4)
    print(describe())
    rows = [_small(seed, arguments.jobs) for seed in range(arguments.worlds)]
    print(f"{'seed':>4} {'nodes':>5} {'fluid':>8} {'work':>8} {'with fragmentation':>18} {'exact':>8} {'tightest':>8}")
    for row in rows:
        print(
            f"{row['seed']:>4} {row['nodes']:>5} {row['fluid']:>8.3f} {row['work']:>8.3f} {row['fragmented']:>18.3f} "
            f"{row['exact']:>8.3f} {row['tightest'] / row['exact']:>8.1%}"
        )
    large = _large(traces.load(arguments.trace), arguments.share) if arguments.trace else None
    if large is not None:
        print(f"\nthe busiest week: {large['jobs']:,} jobs on {large['nodes']} nodes")
        print(f"money {large['usd']:,.1f} USD in {large['usd_seconds']:.1f} s")
        print(f"carbon {large['kg']:,.1f} kg in {large['kg_seconds']:.1f} s")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"small": rows, "large": large}, indent=2) + "\n")


def _environment(waiting: float, days: int, seed: int) -> EnvironmentConfig:
    here = RegionConfig("here", carbon=SignalConfig(f"synthetic:solar?days={days}&seed={seed}", "offset", START))
    return EnvironmentConfig(objective=ObjectiveConfig(usd_per_gpu_hour=waiting, usd_per_tonne=300.0), regions=(here,))


def _small(seed: int, jobs: int) -> dict[str, Any]:
    """The bounds of one random world, USD."""
    generator = np.random.default_rng(seed)
    nodes = int(generator.integers(1, 4))
    submit = np.sort(generator.integers(0, 16, jobs)) * QUARTER_MS / 1000.0
    trace = Trace.from_columns(
        {
            "submit_time_seconds": submit - submit[0],
            "duration_seconds": generator.integers(1, 13, jobs) * QUARTER_MS / 1000.0,
            "gpu_milli": generator.integers(1, 9, jobs) * 1000,
        }
    )
    cluster = ClusterConfig((PoolConfig("gpu", nodes),))
    problem = Scenario(trace, cluster, _environment(float(generator.choice([0.02, 0.2])), 9, seed)).problem()
    window = whole_trace(trace)
    known, least = references(problem, window), fluid_usd(problem, window)
    tell(f"world {seed}: {jobs} jobs on {nodes} nodes")
    fragmented = known.work_usd + known.fragmentation_usd
    return {
        "seed": seed,
        "nodes": nodes,
        "fluid": least,
        "work": known.work_usd,
        "fragmented": fragmented,
        "exact": exact_usd(problem, window),
        "tightest": max(fragmented, least),
    }


def exact_usd(problem: Problem, window: Window) -> float:
    """The least cost over all starts at whole quarters of an hour, on whole nodes of one pool.

    Args:
        problem: one pool, jobs of whole quarters.
        window: all its jobs.
    """
    submit = (problem.submit_ms - window.start_ms) // QUARTER_MS
    length = problem.duration_ms // QUARTER_MS
    slots = int((submit.max() + length.sum()) + 1)
    pool, size = problem.cluster.pools[0], 1000 * problem.cluster.pools[0].gpus_per_node
    times = window.start_ms + np.arange(slots) * QUARTER_MS
    tariff = problem.prices.tariff
    rates = tariff.rates[np.searchsorted(tariff.edges_ms, times, side="right") - 1, 0] * QUARTER_MS
    starts = [(job, slot) for job in range(len(submit)) for slot in range(int(submit[job]), slots - int(length[job]))]
    columns = len(starts) + slots  # then the nodes in use of each slot
    used, once = lil_array((slots, columns)), lil_array((len(submit), columns))
    cost = np.concatenate([np.zeros(len(starts)), rates[:, UNUSED] * size])
    for column, (job, slot) in enumerate(starts):
        milli, span = int(problem.gpu_milli[job]), slice(slot, slot + int(length[job]))
        waited = (slot - submit[job]) * QUARTER_MS * problem.settings.usd_per_waited_milli_ms
        cost[column] = milli * ((rates[span, USED] - rates[span, UNUSED]).sum() + waited)
        once[job, column] = 1.0
        for each in range(span.start, span.stop):
            used[each, column] = milli
    for slot in range(slots):
        used[slot, len(starts) + slot] = -size
    most = np.concatenate([np.ones(len(starts)), np.full(slots, pool.max_nodes)])
    found = milp(
        cost,
        integrality=np.ones(columns),
        bounds=Bounds(0.0, most),
        constraints=[LinearConstraint(once.tocsr(), 1.0, 1.0), LinearConstraint(used.tocsr(), -np.inf, 0.0)],
        options={"time_limit": 120.0},
    )
    return float(found.fun)


def _large(trace: Trace, share: float) -> dict[str, Any]:
    """The fluid bounds of a trace's busiest week, and how long they take."""
    week = 7 * 86_400_000
    submit = trace.submit_milliseconds
    until = np.searchsorted(submit, submit + week)
    start = int(submit[int((until - np.arange(len(until))).argmax())])
    window = window_between(trace, start, start + week)
    ends = submit + trace.duration_milliseconds
    order = np.argsort(np.concatenate([submit, ends]), kind="stable")
    peak = np.cumsum(np.concatenate([trace.gpu_milli, -trace.gpu_milli])[order]).max() / 1000.0
    nodes = max(1, round(share * float(peak) / 8.0), -(-int(trace.gpu_milli.max()) // 8000))
    days = int(ends.max() / 86_400_000) + 10
    problem = Scenario(trace, ClusterConfig((PoolConfig("gpu", nodes),)), _environment(1.0, days, 0)).problem()
    begun = time.perf_counter()
    usd = fluid_usd(problem, window)
    middle = time.perf_counter()
    grams = fluid_carbon_g(problem, window, patience_seconds=86_400.0)
    ended = time.perf_counter()
    return {
        "jobs": window.num_jobs,
        "nodes": nodes,
        "usd": usd,
        "usd_seconds": middle - begun,
        "kg": grams / 1000.0,
        "kg_seconds": ended - middle,
    }


if __name__ == "__main__":
    main()
