"""What the default placement is worth in a fleet of three GPU models: every order of pools against the cheapest pool.

V100, P100 and K80 with the speeds of Gavel and its seven workloads, drawn equally; GPUs of 0.35, 0.5 and 0.8 of the
trace's peak; a boot of 300 s. `reactive` decides when nodes are on. Decidable: cost above the bound of the trace.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import numpy as np
from _common import describe, heading, parse, parser

import traces
from agents.baselines import ConstantSetpoint
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import CurvesConfig, EnvironmentConfig, PhysicsConfig
from envs.gpu_cluster.hardware import PowerConfig
from traces.trace import Trace

GPUS = 8
WORKLOADS = "workloads=a3c:1,cyclegan:1,lm:1,recommendation:1,resnet18:1,resnet50:1,transformer:1"
MODELS = {
    "V100": (0.35, PowerConfig(gpu_idle_watts=34.8, gpu_busy_watts=305.6, host_watts=300.0)),
    "P100": (0.5, PowerConfig(gpu_idle_watts=28.0, gpu_busy_watts=235.0, host_watts=300.0)),
    "K80": (0.8, PowerConfig(gpu_idle_watts=26.0, gpu_busy_watts=120.0, host_watts=300.0)),
}
"""Share of the peak, and power, of each model; source: `configs/bench`."""


def fleet(trace: Trace) -> dict[str, PoolConfig]:
    """A pool of each model."""
    submit, end = trace.submit_milliseconds, trace.submit_milliseconds + trace.duration_milliseconds
    times = np.concatenate([submit, end])
    changes = np.concatenate([trace.gpu_milli, -trace.gpu_milli])
    peak = float(np.cumsum(changes[np.lexsort((changes, times))]).max()) / 1000.0 / GPUS
    return {
        name: PoolConfig(name.lower(), max_nodes=max(1, round(share * peak)), gpu_model=name, power=power)
        for name, (share, power) in MODELS.items()
    }


def costs(trace: Trace, pools: tuple[PoolConfig, ...], layout: CodecLayout) -> dict[str, float]:
    """Cost, decidable cost, energy and mean wait of one rule."""
    config = EnvironmentConfig(codec=layout, physics=PhysicsConfig(curves=CurvesConfig(speeds="preset:gavel")))
    scenario = Scenario(trace, ClusterConfig(pools), config)
    measures = measure(run(ConstantSetpoint(layout), scenario, [whole_trace(trace)])[0], scenario.problem())
    names = ("objective_usd", "decidable_usd", "energy_kwh.total", "metrics.wait_seconds.mean")
    return {name: measures[name] for name in names}


def main() -> None:
    """Print a row for each rule."""
    options = parser(__doc__)
    options.add_argument(
        "trace", nargs="?", default="synthetic:quickstart?days=60&seed=0", help="URI (default %(default)s)"
    )
    options.add_argument("--days", type=float, help="only so many days of the trace")
    arguments = parse(options, days=5.0)
    before = describe()
    trace = traces.load(f"{arguments.trace}{'&' if '?' in arguments.trace else '?'}{WORKLOADS}&estimated=1")
    if arguments.days is not None:
        trace = trace.window(None, trace.first_submit_seconds + arguments.days * 86_400.0)
    pools, layout = fleet(trace), CodecLayout(max_pools=len(MODELS), window_slots=4)
    by_order = replace(layout, cost_aware_placement=False)
    print(f"{heading(before)}\n{trace.uri}: {trace.num_jobs:,} jobs\n")
    print(f"  {'':28}{'USD':>12}{'decidable':>12}{'kWh':>12}{'mean wait':>12}", flush=True)
    rows = {}
    for order in (*permutations(MODELS), None):
        name = "cheapest pool" if order is None else f"order {', '.join(order)}"
        some = tuple(pools[model] for model in order or MODELS)
        row = rows[name] = costs(trace, some, layout if order is None else by_order)
        usd, decidable, energy, wait = row.values()
        print(f"  {name:28}{usd:12,.2f}{decidable:12,.2f}{energy:12,.0f}{wait:10,.1f} s", flush=True)
    least = min(row["decidable_usd"] for name, row in rows.items() if name != "cheapest pool")
    print(f"\n  decidable, against the best order: {rows['cheapest pool']['decidable_usd'] / least - 1.0:+.1%}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": before, "trace": trace.uri, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
