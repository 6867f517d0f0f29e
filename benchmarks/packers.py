"""What two packers are good for: lifetime-aware in node-hours, topology-aware in parts on GPUs of one linked block.

Lifetime: one pool of 8-GPU nodes that go as soon as they are idle, boot at once and hold whatever is requested, under
first fit, best fit, and lifetime-aware with exact and with noisy predictions of run times. Topology: a fixed number of
nodes of two blocks of four linked GPUs; jobs arrive and end as in the trace, and one that does not fit goes away.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import replace

import numpy as np
from _common import describe, parse, parser
from numpy.typing import NDArray

import traces
from agents.baselines import ConstantSetpoint
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.rollouts import Scenario, run
from autoscaler.evaluation.windows import whole_trace
from envs.gpu_cluster.cluster import ClusterConfig, auto_cluster
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.packing.fragmentation import make_tables
from envs.gpu_cluster.simulator.packing.node_packer import NodePacker, allocate, make_pods
from traces.trace import Trace

GPUS, LINKED = 8, 4
SIGMAS = (0.0, 0.5, 1.0, 2.0)
"""Standard deviations of ln(predicted / true run time)."""


def load(uri: str, days: float | None, options: str = "") -> Trace:
    """A trace, or its first days, with options added to its URI."""
    trace = traces.load(f"{uri}{'&' if '?' in uri else '?'}{options}" if options else uri)
    return trace if days is None else trace.window(None, trace.first_submit_seconds + days * 86_400.0)


def node_hours_over_bound(trace: Trace, packer: str) -> float:
    """Node-hours at work over the migration-packed bound."""
    pools = tuple(replace(pool, boot_seconds=0.0) for pool in auto_cluster(trace).pools)
    layout = CodecLayout(max_pools=1, window_slots=0)
    scenario = Scenario(trace, ClusterConfig(pools), EnvironmentConfig(codec=layout, packer=packer))
    policy = ConstantSetpoint(layout, idle_timeout_seconds=0.0)
    measures = measure(run(policy, scenario, [whole_trace(trace)])[0], scenario.problem())
    return measures["metrics.node_hours_busy"] / measures["metrics.node_hours_lower_bound"]


def lifetimes(uri: str, days: float | None) -> dict[str, float]:
    """The figure of each packer."""
    plain = load(uri, days)
    rows = {packer: node_hours_over_bound(plain, packer) for packer in ("first-fit", "best-fit")}
    for sigma in SIGMAS:
        name = f"lifetime-aware, {f'errors of sigma {sigma:g}' if sigma else 'exact'}"
        trace = load(uri, days, f"estimated=1&estimate_sigma={sigma}")
        rows[name] = node_hours_over_bound(trace, "lifetime-aware")
    return rows


def topology(trace: Trace, nodes: int, packer: str) -> dict[str, float]:
    """Shares of the parts of 2 to LINKED GPUs that got one block, and GPU-hours that fit nowhere."""
    gpus = np.minimum(np.maximum(trace.gpu_milli // 1000, 1), GPUS)  # a gang counts as one part of a whole node
    some = np.zeros(trace.num_jobs, np.int64)
    pods = make_pods(some, some, gpus, np.full(trace.num_jobs, 1000))
    tables = make_tables(pods, most_cpu_milli=1, most_gpus=GPUS, num_models=1)
    each = np.full(nodes, 1, np.int64)
    shapes = int(pods[:, ns.SHAPE].max()) + 1
    state = allocate(each, each, each * GPUS, each * 0, tables, num_shapes=shapes, linked=each * LINKED)
    filler, running = NodePacker(state, tables, packer), list[tuple[int, int, int, int]]()
    used = small = linked = refused = 0
    starts, ends = trace.submit_milliseconds, trace.submit_milliseconds + trace.duration_milliseconds
    for job in range(trace.num_jobs):
        while running and running[0][0] <= starts[job]:
            _, other, node, bits = heapq.heappop(running)
            filler.give_back(pods[other], node, bits)
        placed, taken = filler.place(pods[job : job + 1])
        work = int(gpus[job] * (ends[job] - starts[job]))
        used += work
        if placed[0] < 0:
            refused += work
            continue
        heapq.heappush(running, (int(ends[job]), job, int(placed[0]), int(taken[0])))
        if 2 <= gpus[job] <= LINKED:
            small += 1
            linked += is_in_one_block(int(taken[0]))
    return {"linked": linked / max(small, 1), "parts": small, "refused": refused / used}


def is_in_one_block(bits: int) -> bool:
    """Whether GPUs, as bits, belong to one linked block."""
    block = (1 << LINKED) - 1
    return any(bits & ~(block << first) == 0 for first in range(0, GPUS, LINKED))


def nodes_for(trace: Trace, load_share: float) -> int:
    """Nodes on which the trace's mean load is such a share of the GPUs."""
    work: NDArray[np.int64] = trace.duration_milliseconds * np.minimum(trace.gpu_milli // 1000, GPUS)
    return max(1, round(float(work.sum()) / (1000.0 * trace.span_seconds) / GPUS / load_share))


def main() -> None:
    """Run both and print their tables."""
    options = parser(__doc__)
    options.add_argument(
        "trace", nargs="?", default="synthetic:quickstart?days=60&seed=0", help="URI (default %(default)s)"
    )
    options.add_argument("--days", type=float, help="only so many days of the trace")
    arguments = parse(options, days=5.0)
    before, trace = describe(), load(arguments.trace, arguments.days)
    print(
        f"{trace.uri}: {trace.num_jobs:,} jobs\n\n  mean load, nodes: parts on one block of {LINKED} GPUs, refused work"
    )
    blocks = {}
    for share in (0.6, 0.8, 1.0):
        nodes = nodes_for(trace, share)
        for packer in ("best-fit", "topology-aware"):
            row = blocks[f"{packer} at {share}"] = topology(trace, nodes, packer)
            texts = f"{row['linked']:.2%} of {row['parts']:,}, {row['refused']:.2%}"
            print(f"  {share:.0%}, {nodes:4} nodes, {packer:15}: {texts}", flush=True)
    print("\n  node-hours at work / migration-packed bound", flush=True)
    hours = lifetimes(arguments.trace, arguments.days)
    for name, over in hours.items():
        print(f"  {name:32}: {over:.4f}")
    if arguments.json is not None:
        document = {"machine": before, "trace": trace.uri, "topology": blocks, "node_hours_over_bound": hours}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
