"""How long the first call after an installation compiles, and that of a process that finds its kernels cached.

A replay under a rule needs the kernels `reset` and `replay`, an agent `reset` and `step`. Each is a process of its own
with an empty cache, and then a second one with the cache of the first. Importing is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from _common import describe, heading, parse, parser

KINDS = {
    "plain": "the default physics",
    "switch": "any switch on",
    "cpus": "CPUs and memory (all physics)",
}
KERNELS = {"rule": ("reset", "replay"), "agent": ("reset", "step")}


def first_calls(kind: str, user: str) -> list[list[float]]:
    """Wall and processor seconds of the first call of each kernel that a rule or an agent needs."""
    import numpy as np
    from replay import all_physics, with_requests

    import traces
    from agents.baselines import ConstantSetpoint
    from envs.gpu_cluster.cluster import load_cluster
    from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig
    from envs.gpu_cluster.simulator import Simulator

    trace = traces.load("synthetic:quickstart?days=2&seed=0")
    cluster, config = load_cluster("auto", trace), EnvironmentConfig()
    if kind == "switch":
        config = EnvironmentConfig(physics=PhysicsConfig(tracks_work=True))
    if kind == "cpus":
        trace = with_requests(trace)
        cluster, config = all_physics(cluster)
    setpoint = np.array([ConstantSetpoint(config.codec).setpoint])
    action = np.zeros((1, len(config.codec.action_sizes)), np.int64)
    simulator = Simulator(trace, cluster, config)
    calls: dict[str, Callable[[], object]] = {
        "reset": simulator.reset_all,
        "replay": lambda: simulator.replay(setpoint),
        "step": lambda: simulator.step(action),
    }
    seconds = []
    for name in KERNELS[user]:
        begin, cpu_begin = time.perf_counter(), time.process_time()
        calls[name]()
        seconds.append([time.perf_counter() - begin, time.process_time() - cpu_begin])
    return seconds


def in_process(kind: str, user: str, cache: str) -> list[list[float]]:
    """`first_calls` in a new process that caches in a folder, and their sum."""
    command = [sys.executable, __file__, "--child", kind, user]
    result = subprocess.run(
        command, env={**os.environ, "NUMBA_CACHE_DIR": cache}, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds: list[list[float]] = json.loads(result.stdout)
    return [*seconds, [sum(clock) for clock in zip(*seconds, strict=True)]]


def main() -> None:
    """Compile and print."""
    options = parser(__doc__)
    options.add_argument("--child", nargs=2, metavar=("KIND", "USER"), help=argparse.SUPPRESS)
    arguments = parse(options)
    if arguments.child:
        print(json.dumps(first_calls(*arguments.child)))
        return
    before = describe()
    print(heading(before))
    print("seconds, wall (processor)\n")
    titles = ["reset", "its kernel", "first call", "cached"]
    width = max(map(len, KINDS.values())) + len(", agent")
    print(" " * width, *(f"{title:>13}" for title in titles))
    rows: dict[str, Any] = {}
    for kind, title in list(KINDS.items())[: 1 if arguments.quick else None]:
        for user in KERNELS:
            with tempfile.TemporaryDirectory() as cache:
                columns = [*in_process(kind, user, cache), in_process(kind, user, cache)[-1]]
            name = f"{title}, {user}"
            rows[name] = dict(zip(titles, columns, strict=True))
            print(f"{name:{width}}", *(f"{wall:>6.1f} ({cpu:>4.1f})" for wall, cpu in columns), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": before, "seconds": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
