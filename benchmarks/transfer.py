"""What is left of the gain of choosing regions when jobs have data: three regions, by the size of the data.

Jobs have their data in one of three regions, a third each. Bound to it they run there; else the default placement
chooses the region, and weighs the price of its energy and carbon against the transfer. Each row is `reactive` with the
cheapest of a few time-outs. The first row counts no transfer at all: data everywhere.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from _common import describe, heading, parse, parser, tell

from agents.baselines import ConstantSetpoint
from autoscaler.bench.scenario import find_scenario
from autoscaler.evaluation.rollouts import Scenario
from envs.gpu_cluster.cluster import ClusterConfig
from envs.gpu_cluster.simulator import PoolTotals, Simulator
from envs.gpu_cluster.transfer import TransferConfig
from traces import Enrichment, Trace, enrich

TIMEOUTS_SECONDS = (60.0, 300.0, 600.0, 1800.0)
MB_PER_TB = 1e6


def with_data(scenario: Scenario, median_gb: float) -> Trace:
    """The jobs with data of a median size, a third of them in each region."""
    mix = {region.name: 1.0 for region in scenario.config.regions}
    return enrich(scenario.trace, Enrichment(median_data_gb=median_gb, data_regions=mix))


def bound_to_data(scenario: Scenario, trace: Trace) -> Scenario:
    """Every job runs where its data are: the region is the GPU model that it asks for."""
    columns = {name: trace.table[name] for name in trace.table.column_names}
    columns["gpu_models"] = [[place] for place in trace.table["data_region"].to_pylist()]
    pools = tuple(replace(pool, gpu_model=pool.region) for pool in scenario.cluster.pools)
    bound = Trace.from_columns(columns, uri=trace.uri, metadata=trace.metadata)
    return replace(scenario, trace=bound, cluster=ClusterConfig(pools))


def cheapest(scenario: Scenario) -> dict[str, float]:
    """What the whole trace costs under `reactive` with the best time-out."""
    simulator = Simulator.from_problem(scenario.problem())
    found: list[dict[str, float]] = []
    for timeout in TIMEOUTS_SECONDS:
        simulator.reset_all()
        simulator.replay(ConstantSetpoint(scenario.config.codec, timeout).rule[None])
        account, totals = simulator.account(), PoolTotals.sum(simulator.pool_totals())
        found.append(
            {
                "cost_usd": account.total_usd,
                "energy_and_carbon_usd": account.energy_usd.total + account.carbon_usd,
                "delay_usd": account.delay_usd,
                "network_usd": account.transfer_usd,
                "carbon_kg": account.carbon_g.total / 1000.0,
                "network_kwh": simulator.energy().transfer,
                "moved_tb": totals.transferred_mb / MB_PER_TB,
                "timeout_seconds": timeout,
            }
        )
    return min(found, key=lambda row: row["cost_usd"])


def main() -> None:
    """Play and print."""
    options = parser(__doc__)
    options.add_argument("--scenario", default="itp09-three-regions", help="of `bench list` (default %(default)s)")
    options.add_argument("--data", default=os.environ.get("AUTOSCALER_DATA"), help="folder of its files")
    options.add_argument("--median-gb", type=float, nargs="+", default=[10.0, 100.0, 1000.0])
    options.add_argument(
        "--usd-per-gb", type=float, default=0.02, help="what the network charges (default %(default)s)"
    )
    arguments = parse(options, scenario="synthetic-three-regions", median_gb=[100.0])
    before = describe()
    given = find_scenario(arguments.scenario, arguments.data).load().scenario
    network = TransferConfig(usd_per_gb=arguments.usd_per_gb)
    pools = tuple(replace(pool, transfer=network) for pool in given.cluster.pools)
    scenario = replace(given, cluster=ClusterConfig(pools))
    tell("jobs that run where their data are")
    rows = {"at their data": cheapest(bound_to_data(scenario, with_data(scenario, 0.0)))}
    for median_gb in (0.0, *arguments.median_gb):
        name = f"any region, median {median_gb:g} GB" if median_gb else "any region, no data"
        tell(name)
        rows[name] = cheapest(replace(scenario, trace=with_data(scenario, median_gb)))
    print(heading(before))
    names = list(rows["at their data"])
    width = max(len(row) for row in rows)
    least, home = rows["any region, no data"]["cost_usd"], rows["at their data"]["cost_usd"]
    print(" " * width + "".join(f"{name:>23}" for name in (*names, "gain_left")))
    for row, values in rows.items():
        left = (home - values["cost_usd"]) / (home - least) if home != least else np.nan
        print(f"{row:{width}}" + "".join(f"{values[name]:23,.1f}" for name in names) + f"{left:23.0%}")
    if arguments.json is not None:
        Path(arguments.json).write_text(json.dumps({"machine": before, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
