"""What the event log costs: whole replays under the `reactive` baseline with and without it, in pairs, on one core."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import numpy as np
from _common import Measurement, describe, parse, parser, report

import traces
from agents.baselines import ConstantSetpoint
from envs.gpu_cluster.cluster import load_cluster
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator import Simulator


def seconds_of(simulator: Simulator, rules: np.ndarray) -> np.ndarray:
    """Time of one whole replay: of the clock, and of the processor."""
    begin = np.array([time.perf_counter(), time.process_time()])
    simulator.reset_all()
    simulator.replay(rules)
    return np.array([time.perf_counter(), time.process_time()]) - begin


def main() -> None:
    """Replay and print."""
    options = parser(__doc__, repeats=15)
    data = Path(os.environ.get("AUTOSCALER_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    philly = data / "traces" / "philly" / "philly_until_2017-11-01.csv.gz"
    default = ["synthetic:quickstart?days=365&seed=0", *([f"philly:{philly}"] if philly.exists() else [])]
    options.add_argument("trace", nargs="*", default=default, help="URIs of traces (default: synthetic, and Philly)")
    options.add_argument("--cluster", default="auto", help="auto, a YAML file or a list of nodes")
    arguments = parse(options, trace=["synthetic:quickstart?days=30&seed=0"])
    before, config = describe(), EnvironmentConfig()
    rules = ConstantSetpoint(config.codec).rule[None]
    rows, more = [], {}
    for uri in arguments.trace:
        trace = traces.load(uri)
        cluster = load_cluster(arguments.cluster, trace)
        plain, logged = (Simulator(trace, cluster, config, log_rows=rows) for rows in (0, None))
        for simulator in (plain, logged):
            seconds_of(simulator, rules)
        pairs = []
        for index in range(arguments.repeats):  # which of the two is first changes, for what else the machine does
            first = seconds_of(logged if index % 2 else plain, rules)
            second = seconds_of(plain if index % 2 else logged, rules)
            pairs.append((second, first) if index % 2 else (first, second))
        name = uri.rpartition("/")[2]
        for index, kind in enumerate(("without", "with the log")):
            rates = [
                tuple((trace.num_jobs / np.array([pair[index][clock] for pair in pairs])).tolist()) for clock in (0, 1)
            ]
            rows.append(Measurement(f"{name}, {kind}", "jobs/s", *rates))
        costs = [100.0 * float(pair[1][1] / pair[0][1] - 1.0) for pair in pairs]
        more[f"rows_of_{name}"] = f"{logged.event_log().num_rows:,}"
        spread = f"{min(costs):+.1f} % to {max(costs):+.1f} %, median {statistics.median(costs):+.1f} %"
        more[f"processor_time_of_the_log_in_{name}"] = spread
    report("replay with and without the event log, one core", before, rows, arguments.json, **more)


if __name__ == "__main__":
    main()
