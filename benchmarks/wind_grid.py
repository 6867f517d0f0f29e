"""What a better forecast of carbon is worth: GAIA's lowest window on grids with much wind, by forecast.

Half of the jobs may wait 6 to 24 hours; the energy of a pool is as clean as the grid is (EIA, 2022). The rule is told
of the next day by each forecast in turn; `perfect` knows it. Gap closed: of the carbon between persistence and perfect.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from _common import describe, heading, parse, parser

import traces
from agents.baselines.gaia import Gaia
from agents.baselines.lets_wait_awhile import MARGIN
from agents.baselines.rule import TIMEOUT
from agents.policy import Policy
from agents.registry import make_baseline
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig, ObjectiveConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.regions import RegionConfig, SignalConfig
from traces.trace import Trace

DEFERRABLE = "deferrable=0.5&min_slack_seconds=21600&max_slack_seconds=86400&estimated=1&estimate_sigma=0.3"
FORECASTS = ("persistence", "last-week", "ridge", "perfect")
SLOTS = 64
"""Jobs that can be held at a time: many wait for the same clean hour."""


def kilograms(trace: Trace, grid: str, uri: str, policy: Policy, forecast: str) -> tuple[float, float]:
    """The carbon of all jobs, kg CO2e, and their mean wait, hours."""
    nodes = -(-trace.peak_gpu_milli // 8000) * 2
    config = EnvironmentConfig(
        codec=policy.layout,
        physics=PhysicsConfig(queue=QueueConfig(deferral=True)),
        objective=ObjectiveConfig(usd_per_kwh=0.0, usd_per_tonne=100.0),
        regions=(RegionConfig(grid, carbon=SignalConfig(uri, forecast=forecast)),),
    )
    scenario = Scenario(trace, ClusterConfig((PoolConfig("gpu", max_nodes=nodes),)), config)
    measures = measure(run(policy, scenario, [whole_trace(trace)])[0], scenario.problem())
    return measures["carbon_kg.total"], measures["metrics.wait_seconds.mean"] / 3600.0


def main() -> None:
    """Print a table for each trace and grid."""
    options = parser(__doc__)
    data = Path(os.environ.get("AUTOSCALER_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    options.add_argument(
        "traces", nargs="*", default=["synthetic:itp?days=40&seed=0"], help="URIs (default %(default)s)"
    )
    options.add_argument("--data", type=Path, default=data, help="folder with carbon/eia2022_GRID.csv.gz (%(default)s)")
    options.add_argument("--grids", nargs="+", default=["ERCO", "PJM", "CISO"], help="default: %(default)s")
    options.add_argument("--margin", type=float, default=0.02, help="least saving that is waited for (%(default)s)")
    arguments = parse(options, traces=["synthetic:itp?days=5&seed=0"], grids=["ERCO"])
    if not (arguments.data / "carbon").is_dir():
        print(f"skipped: no carbon intensities in {arguments.data / 'carbon'}")
        return
    before, rows = describe(), []
    print(f"{heading(before)}\n")
    layout = CodecLayout(max_pools=1, window_slots=SLOTS, job_hints=True, signals=True)
    rule = Gaia(layout, {MARGIN: arguments.margin, TIMEOUT: 0})
    for uri in arguments.traces:
        trace = traces.load(f"{uri}{'&' if '?' in uri else '?'}{DEFERRABLE}")
        for grid in arguments.grids:
            signal = f"eia:{arguments.data}/carbon/eia2022_{grid}.csv.gz?zone={grid}"
            print(
                f"{uri}, {grid}: {trace.num_jobs:,} jobs\n  {'':14}{'kg CO2e':>12}{'gap closed':>12}{'mean wait':>12}",
                flush=True,
            )
            found = {"at once": kilograms(trace, grid, signal, make_baseline("reactive", layout), "persistence")}
            for forecast in FORECASTS:
                found[forecast] = kilograms(trace, grid, signal, rule, forecast)
            worst, best = found["persistence"][0], found["perfect"][0]
            for name, (kg, hours) in found.items():
                closed = (worst - kg) / (worst - best)
                print(f"  {name:14}{kg:12,.1f}{closed:12.1%}{hours:10.2f} h", flush=True)
                rows.append({"trace": uri, "grid": grid, "by": name, "kg": kg, "closed": closed, "wait_hours": hours})
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": before, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
