"""What placement is worth in a fleet of three GPU models: every order of pools, the cheapest pool, and tuned prices.

V100, P100 and K80 with the speeds of Gavel and its seven workloads, drawn equally; GPUs of 0.35, 0.5 and 0.8 of the
trace's peak; a boot of 300 s. Tuned on the first 60 % of the trace, tested on five windows of the rest. Decidable: cost
above the bound. `tuned-placement` and `learned-placement`, which begins at it, are searched with ten seeds, each a row
of its own in the JSON; `--searched` adds the rules that place by themselves, which takes minutes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from itertools import permutations

import numpy as np
from _common import describe, heading, parse, parser

import traces
from agents.baselines import ConstantSetpoint
from agents.baselines.learned_placement import learn
from agents.baselines.training_window import TrainingWindow
from agents.baselines.tuned import tune
from agents.baselines.tuned_placement import search_prices
from agents.policy import Policy
from autoscaler.evaluation.candidates import tuned_for
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import Window, equal_windows
from autoscaler.experiment import ExperimentConfig
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


def scenario(trace: Trace, pools: tuple[PoolConfig, ...], layout: CodecLayout) -> Scenario:
    """The trace on some pools."""
    config = EnvironmentConfig(codec=layout, physics=PhysicsConfig(curves=CurvesConfig(speeds="preset:gavel")))
    return Scenario(trace, ClusterConfig(pools), config)


def costs(policy: Policy, where: Scenario, windows: list[Window]) -> dict[str, float]:
    """Cost, decidable cost, energy and mean wait of a policy, mean of the windows."""
    problem = where.problem()
    measures = [measure(rollout, problem) for rollout in run(policy, where, windows)]
    names = ("objective_usd", "decidable_usd", "energy_kwh.total", "metrics.wait_seconds.mean")
    return {name: float(np.mean([each[name] for each in measures])) for name in names}


class Table:
    """Rows as they are measured."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}
        print(f"  {'':34}{'USD':>12}{'decidable':>12}{'kWh':>12}{'mean wait':>12}", flush=True)

    def add(self, name: str, row: dict[str, float]) -> None:
        """Print a row."""
        self.rows[name] = row
        usd, decidable, energy, wait = row.values()
        print(f"  {name:34}{usd:12,.2f}{decidable:12,.2f}{energy:12,.0f}{wait:10,.1f} s", flush=True)


def compare(table: Table) -> None:
    """Print what the two searches save of the tuned heuristic, seed by seed, and the learned one of the other."""
    tuned = table.rows["cheapest pool, reactive-tuned"]["decidable_usd"]
    constant, learned = (
        np.array([row["decidable_usd"] for name, row in table.rows.items() if name.startswith(rule)])
        for rule in ("tuned-placement", "learned-placement")
    )
    rows = (
        ("tuned-placement against reactive-tuned", constant / tuned - 1.0),
        ("learned-placement against reactive-tuned", learned / tuned - 1.0),
        ("learned-placement against tuned-placement", learned / constant - 1.0),
    )
    print("\n  change of the decidable cost over seeds: mean, least, most")
    for name, change in rows:
        print(f"  {name:44}{change.mean():+8.1%}{change.min():+8.1%}{change.max():+8.1%}")


def options() -> argparse.ArgumentParser:
    """Options of the command line."""
    result = parser(__doc__)
    result.add_argument(
        "trace", nargs="?", default="synthetic:quickstart?days=60&seed=0", help="URI (default %(default)s)"
    )
    result.add_argument("--days", type=float, help="only so many days of the trace")
    result.add_argument("--seeds", type=int, default=10, help="searches of prices (default %(default)s)")
    result.add_argument("--searched", action="store_true", help="class-aware and tuned-combination too: minutes")
    return result


def main() -> None:
    """Print a row for each rule."""
    arguments = parse(options(), days=5.0, seeds=1)
    before = describe()
    trace = traces.load(f"{arguments.trace}{'&' if '?' in arguments.trace else '?'}{WORKLOADS}&estimated=1")
    if arguments.days is not None:
        trace = trace.window(None, trace.first_submit_seconds + arguments.days * 86_400.0)
    pools, layout = fleet(trace), CodecLayout(max_pools=len(MODELS), window_slots=4)
    print(f"{heading(before)}\n{trace.uri}: {trace.num_jobs:,} jobs\n")
    windows, table = equal_windows(trace, 0.6, 1.0, 5), Table()
    for order in permutations(MODELS):
        some = scenario(trace, tuple(pools[name] for name in order), replace(layout, cost_aware_placement=False))
        table.add(f"order {', '.join(order)}", costs(ConstantSetpoint(some.config.codec), some, windows))
    best = min(table.rows, key=lambda name: table.rows[name]["decidable_usd"])
    where = scenario(trace, tuple(pools.values()), layout)
    table.add("cheapest pool, reactive", costs(ConstantSetpoint(layout), where, windows))
    start = trace.first_submit_seconds
    training = TrainingWindow(trace, where.cluster, where.config, start, start + 0.6 * trace.span_seconds)
    tuned = tune(training)
    table.add("cheapest pool, reactive-tuned", costs(tuned.policy(where.config), where, windows))
    for seed in range(arguments.seeds):
        found = search_prices(training, tuned, [seed])
        prices = " ".join(f"{price:.2f}" for price in found.prices)
        table.add(f"tuned-placement {seed} ({prices})", costs(found.policy(where.config), where, windows))
        learned = learn(training, found, [seed])
        table.add(f"learned-placement {seed}", costs(learned.policy(where.config), where, windows))
    if arguments.searched:
        hints = replace(where, config=replace(where.config, codec=replace(layout, job_hints=True)))
        for rule in ("class-aware", "tuned-combination"):
            experiment = ExperimentConfig(trace=trace.uri, cluster=hints.cluster, environment=hints.config)
            table.add(rule, costs(tuned_for(rule, experiment, trace).policy(hints.config), hints, windows))
    least = table.rows[best]["decidable_usd"]
    print(f"\n  decidable, against the {best}")
    for name, row in table.rows.items():
        if not name.startswith("order"):
            print(f"  {name:34}{row['decidable_usd'] / least - 1.0:+.1%}")
    compare(table)
    if arguments.json is not None:
        document = {"machine": before, "trace": trace.uri, "rows": table.rows}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
