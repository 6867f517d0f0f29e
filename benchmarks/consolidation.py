"""What moving jobs off nearly empty nodes saves: node-hours against the migration-packed bound, moves and delays.

One pool of 8-GPU nodes that go as soon as they are idle and hold whatever is requested; jobs move if they write
checkpoints, which `checkpointable` gives to a share of them at random. `--boot-seconds 0` shows what moves alone delay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from _common import describe, parse, parser, tell

import traces
from agents.baselines import ConstantSetpoint
from autoscaler.evaluation.metrics import Measures, measure
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, auto_cluster
from envs.gpu_cluster.codec import CONSOLIDATION_CHOICES, CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig


@dataclass(frozen=True, slots=True)
class Row:
    """One setting.

    Attributes:
        name: what it is.
        minutes: least time between two consolidations; 0: none at all.
        move_seconds: how long a job that is moved makes no progress.
        movable: share of the jobs that can be moved.
    """

    name: str
    minutes: float = 0.0
    move_seconds: float = 120.0
    movable: float = 1.0


ROWS = (
    Row("node on only while it works, best fit"),
    Row("consolidation every 30 min, 120 s a move", 30.0),
    Row("every 5 min", 5.0),
    Row("every 30 min, 300 s a move", 30.0, 300.0),
    Row("every 30 min, 80 % of the jobs movable", 30.0, movable=0.8),
    Row("every 30 min, 50 %", 30.0, movable=0.5),
    Row("every 30 min, 20 %", 30.0, movable=0.2),
)


def main() -> None:
    """Replay every row and print the table."""
    options = parser(__doc__)
    options.add_argument(
        "trace", nargs="?", default="synthetic:quickstart?days=60&seed=0", help="URI (default %(default)s)"
    )
    options.add_argument("--days", type=float, help="only so many days of the trace")
    options.add_argument("--boot-seconds", type=float, default=300.0, help="boot time of a node (default %(default)s)")
    arguments = parse(options, days=5.0)
    before, results = describe(), []
    for row in ROWS:
        results.append((row, replay(row, arguments.trace, arguments.days, arguments.boot_seconds)))
        tell(f"done: {row.name}")
    table(results)
    if arguments.json is not None:
        document = {
            "machine": before,
            "trace": arguments.trace,
            "days": arguments.days,
            "boot_seconds": arguments.boot_seconds,
            "rows": [{"name": row.name, "measures": measures} for row, measures in results],
        }
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


def replay(row: Row, uri: str, days: float | None, boot_seconds: float) -> Measures:
    """The numbers of one row."""
    trace = traces.load(f"{uri}{'&' if '?' in uri else '?'}checkpointable={row.movable}")
    if days is not None:
        trace = trace.window(None, trace.first_submit_seconds + days * 86_400.0)
    pools = tuple(replace(pool, boot_seconds=boot_seconds) for pool in auto_cluster(trace).pools)
    layout = CodecLayout(
        max_pools=1,
        window_slots=0,
        consolidation=row.minutes > 0.0,
        consolidation_interval_seconds=60.0 * row.minutes,
    )
    scenario = Scenario(trace, ClusterConfig(pools), EnvironmentConfig(codec=layout, move_seconds=row.move_seconds))
    choice = CONSOLIDATION_CHOICES.index("all") if row.minutes > 0.0 else 0
    policy = ConstantSetpoint(layout, idle_timeout_seconds=0.0, consolidation=choice)
    return measure(run(policy, scenario, [whole_trace(trace)])[0], scenario.problem())


def table(results: list[tuple[Row, Measures]]) -> None:
    """Print the rows; changes are against the first."""
    first: Any = results[0][1]
    width = max(len(row.name) for row, _ in results)
    print(f"\n{'':{width}}  busy/bound   all/bound  moves/job   JCT, s  change  of which waiting")
    for row, measures in results:
        bound = measures["metrics.node_hours_lower_bound"]
        busy, everything = measures["metrics.node_hours_busy"] / bound, measures["metrics.node_hours"] / bound
        jct, wait = measures["metrics.jct_seconds.mean"], measures["metrics.wait_seconds.mean"]
        change = jct / first["metrics.jct_seconds.mean"] - 1.0
        waiting = (wait - first["metrics.wait_seconds.mean"]) / first["metrics.jct_seconds.mean"]
        print(
            f"{row.name:{width}}  {busy:10.4f}  {everything:10.4f}  {measures['metrics.moves_per_job']:9.3f}"
            f"  {jct:7,.0f}  {change:+.2%}  {waiting:+.2%}"
        )


if __name__ == "__main__":
    main()
