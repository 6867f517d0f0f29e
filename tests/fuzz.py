"""Random worlds through the compiled simulator and its plain twin: `python -m tests.fuzz --seconds 60 --seed 0`.

Larger than the worlds of the property tests, with every switch of the physics, and played so that rare paths are
common. After every decision all numbers must be equal, every invariant must hold, and the event log must tell of nodes
that hold what their jobs have. A world has a seed of its own; that of a failure is printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from envs.cluster import BootConfig, ClusterConfig, FailureConfig, PoolConfig, PowerConfig, SpotConfig
from envs.codec import CodecLayout
from envs.config import PACKERS, CurvesConfig, EnvironmentConfig, ObjectiveConfig, PhysicsConfig
from envs.simulator import Simulator
from envs.simulator import state as st
from envs.simulator.problem import Problem, make_problem
from envs.simulator.reference import ReferenceSimulator
from tests.envs.players import STYLES, Player
from tests.envs.test_twins import assert_equal, times
from traces.trace import Trace

MODELS = ("P100", "V100")
MOST_STEPS = 300
BOOTS = (
    BootConfig(sigma=0.7),
    BootConfig(quantiles_seconds=(0.0, 30.0, 60.0, 900.0)),
    BootConfig(failure_probability=0.3, timeout_seconds=300.0),
)
FAILURES = (FailureConfig(40_000.0, 600.0, 0.5), FailureConfig(90_000.0), FailureConfig(10_000.0, 60.0))
SPOTS = (SpotConfig(40_000.0), SpotConfig(60_000.0, 0.0, 60.0, 1.0), SpotConfig(10_000.0))


class Draw:
    """Lots of one world."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.generator = generator

    def of(self, *options: Any) -> Any:
        """One of the options, each as likely."""
        return options[int(self.generator.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        """Whether something happens."""
        return bool(self.generator.random() < probability)

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.generator.integers(low, high + 1))


def draw_pool(draw: Draw, index: int, has_lots: bool) -> PoolConfig:
    """A pool; some of them have more nodes than one word of a bit set."""
    most = 70 if draw.chance(0.05) else draw.between(1, 20)
    return PoolConfig(
        name=f"pool{index}",
        max_nodes=most,
        min_nodes=draw.between(0, min(3, most)) if draw.chance(0.3) else 0,
        gpus_per_node=draw.of(1, 2, 4, 8, 8, 8, 16),
        gpu_model=draw.of(None, None, *MODELS),
        boot_seconds=draw.of(0.0, 0.5, 60.0, 300.0),
        boot=draw.of(BootConfig(), *BOOTS) if has_lots else BootConfig(),
        failures=draw.of(FailureConfig(), *FAILURES) if has_lots else FailureConfig(),
        spot=draw.of(SpotConfig(), *SPOTS) if has_lots else SpotConfig(),
        pull_seconds=draw.of(0.0, 30.0, 90.0) if has_lots else 0.0,
        power=PowerConfig(off_watts=draw.of(0.0, 10.0), pue=draw.of(1.0, 1.3)),
    )


def draw_trace(draw: Draw, cluster: ClusterConfig, is_loose: bool) -> Trace:
    """Jobs that some pool can run, in bursts and lulls; where it is loose, small ones that may be moved."""
    count = draw.between(1, 150)
    movable, shares = draw.of(0.0, 0.9, 1.0, 1.0), draw.of(0.0, 0.0, 0.2, 0.7)
    gangs, elastic = draw.of(0.0, 0.1), draw.of(0.0, 0.5)
    if is_loose:
        movable, shares, gangs = 1.0, 0.0, 0.0
    pace = draw.of(5.0, 60.0, 600.0)
    columns: dict[str, list[Any]] = collections.defaultdict(list)
    now = 0.0
    for _ in range(count):
        now += 0.0 if draw.chance(0.3) else round(float(draw.generator.exponential(pace)), draw.of(0, 3))
        homes = [draw.of(*cluster.pools)]
        model = homes[0].gpu_model if draw.chance(0.5) else None
        largest = homes[0].max_nodes * homes[0].gpus_per_node
        if draw.chance(shares):
            milli = draw.of(1, 125, 250, 500, 750, 999)
        elif draw.chance(gangs):
            milli = 1000 * draw.between(1, largest)
        else:
            milli = 1000 * draw.between(1, min(largest, 3 if is_loose else homes[0].gpus_per_node))
        is_elastic = milli >= 1000 and draw.chance(elastic)
        columns["submit_time_seconds"].append(now)
        columns["duration_seconds"].append(
            draw.of(0.001, 60.0, 300.0, round(float(draw.generator.exponential(4000)) + 1, 3))
        )
        columns["gpu_milli"].append(milli)
        columns["gpu_models"].append(None if model is None else [model])
        columns["image"].append(draw.of(None, "a", "b", "c"))
        columns["workload"].append(draw.of(None, "resnet50", "bert"))
        columns["min_gpus"].append(draw.between(1, milli // 1000) if is_elastic else None)
        columns["max_gpus"].append(draw.between(milli // 1000, milli // 250) if is_elastic else None)
        columns["checkpoint_interval_seconds"].append(draw.of(60.0, 600.0, 3600.0) if draw.chance(movable) else None)
    return Trace.from_columns(**columns)


def draw_problem(draw: Draw, is_loose: bool) -> Problem:
    """A whole world, with the debug mode on; a loose one has much to consolidate."""
    has_lots = draw.chance(0.4)
    cluster = ClusterConfig(tuple(draw_pool(draw, index, has_lots) for index in range(draw.between(1, 3))))
    presets = {"speeds": "gavel", "spread": "pollux", "scaling": "elasticflow", "power_caps": "V100"}
    curves = {name: f"preset:{preset}" for name, preset in presets.items() if draw.chance(0.4)}
    has_curves = draw.chance(0.6)
    decision = draw.of(1.0, 30.0, 60.0, 60.0)
    config = EnvironmentConfig(
        decision_interval_seconds=decision,
        resync_interval_seconds=decision * draw.of(1.0, 5.0, 20.0),
        packer="worst-fit" if is_loose else draw.of(*PACKERS),
        physics=PhysicsConfig(
            tracks_work=draw.chance(0.5),
            restart_seconds=draw.of(0.0, 60.0),
            seed=draw.between(0, 2**62),
            curves=CurvesConfig(**(curves if has_curves else {}), resize_seconds=draw.of(0.0, 30.0)),
        ),
        debug=True,
        move_seconds=draw.of(0.0, 0.5, 120.0),
        codec=CodecLayout(
            max_pools=len(cluster.pools) + draw.of(0, 0, 1),
            window_slots=draw.of(0, 2, 8),
            max_hold_seconds=draw.of(0.0, 600.0, 3600.0),
            consolidation=is_loose or draw.chance(0.5),
            power_caps=has_curves and draw.chance(0.5),
            elastic_width=has_curves and draw.chance(0.7),
            job_hints=draw.chance(0.5),
            consolidation_interval_seconds=draw.of(0.0, 60.0) if is_loose else draw.of(0.0, 60.0, 1800.0),
        ),
        objective=ObjectiveConfig(usd_per_kwh=0.2, usd_per_gpu_hour=draw.of(0.0, 0.1)),
    )
    return make_problem(draw_trace(draw, cluster, is_loose), cluster, config)


def draw_episode(draw: Draw, problem: Problem) -> tuple[int, int, int]:
    """Start and end in ms and the first job that does not count: the whole trace, or a part from its middle."""
    submit = problem.jobs[:-1, st.SUBMIT_MS]
    if draw.chance(0.6):
        return int(submit[0]), st.NEVER, problem.num_jobs
    start = draw.between(0, int(submit[-1]) + 1000)
    last = draw.between(int(np.searchsorted(submit, start)), problem.num_jobs)
    return start, draw.of(st.NEVER, start + 1000, start + 3_600_000), last


@dataclass
class Tally:
    """What happened in the worlds so far."""

    worlds: int = 0
    decisions: int = 0
    choices: collections.Counter[str] = field(default_factory=collections.Counter)
    events: collections.Counter[str] = field(default_factory=collections.Counter)


def check_log(problem: Problem, fast: Simulator) -> collections.Counter[str]:
    """The event log in order of time, and its jobs end on the nodes where they started, moved or were resized."""
    log = fast.event_log().to_pydict()
    assert log["time_ms"] == sorted(log["time_ms"])
    gpus = {pool: 1000 * config.gpus_per_node for pool, config in enumerate(problem.cluster.pools)}
    held: dict[int, dict[int, int]] = collections.defaultdict(dict)
    used: collections.Counter[int] = collections.Counter()
    for event, pool, job, node, value in zip(
        *(log[name] for name in ("event", "pool", "job", "node", "value")), strict=True
    ):
        before = held[job].get(node, 0)
        if event in ("job_start", "job_resize"):
            held[job][node] = value
        elif event == "job_move":
            old = next(other for other, milli in held[job].items() if milli == value and other != node)
            used[old] -= held[job].pop(old)
            held[job][node] = value
        elif event in ("job_end", "job_preempt"):
            assert held[job].pop(node) == value, (event, job, node)
        elif event in ("node_off", "node_boot_fail", "node_gone"):
            assert used[node] == 0, (event, node)
        used[node] += held[job].get(node, 0) - before
        assert 0 <= used[node] <= gpus[pool], (event, node, used[node])
    return collections.Counter(log["event"])


def play(seed: int, tally: Tally) -> None:
    """One world; raises where the twins differ."""
    draw = Draw(np.random.default_rng(seed))
    is_loose = draw.chance(0.35)
    problem = draw_problem(draw, is_loose)
    episode = draw_episode(draw, problem)
    player = Player(problem.config.codec, "levers" if is_loose else draw.of(*STYLES), draw.generator)
    fast, slow = Simulator.from_problem(problem, log_rows=None), ReferenceSimulator(problem)
    fast.reset(np.array([0]), np.array([episode]))
    slow.reset(*episode)
    assert_equal(fast, slow)
    for _ in range(MOST_STEPS):
        if slow.done:
            break
        action = player.act(slow.mask)
        fast.step(action[None])
        reward = slow.step(action)
        assert_equal(fast, slow)
        assert fast.world.outcome.reward[0] == reward
        assert tuple(fast.world.outcome.terms[0]) == slow.terms
        tally.decisions += 1
        for name in ("consolidation", "power_cap", "width"):
            tally.choices[name] += int((getattr(slow.decision, name) > 0).sum())
    assert times(fast, st.JOB_START) == slow.job_starts
    assert times(fast, st.JOB_END) == slow.job_ends
    tally.events += check_log(problem, fast)
    tally.worlds += 1


def fuzz(seed: int, seconds: float, worlds: int | None = None) -> tuple[Tally, dict[int, str]]:
    """Play worlds until the time is over.

    Args:
        seed: of the first world; the next ones count up.
        seconds: no world begins after these.
        worlds: play so many at most.

    Returns:
        What happened, and the traceback of each world that failed, by its seed.
    """
    tally, failures, begin = Tally(), {}, time.monotonic()
    number = seed
    while time.monotonic() - begin < seconds and (worlds is None or number < seed + worlds):
        try:
            play(number, tally)
        except Exception:
            failures[number] = traceback.format_exc(limit=-4)
        number += 1
    return tally, failures


def main() -> int:
    """Play, and print what happened and how to repeat what failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="no world begins after these (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the first world (default 0)")
    parser.add_argument("--worlds", type=int, help="play so many at most")
    options = parser.parse_args()
    tally, failures = fuzz(options.seed, options.seconds, options.worlds)
    out = sys.stdout.write
    for seed, text in failures.items():
        out(f"{text}repeat: python -m tests.fuzz --seed {seed} --worlds 1\n\n")
    out(f"{tally.worlds} worlds and {tally.decisions:,} decisions agree, {len(failures)} worlds fail\n")
    for name, counts in (("choices", tally.choices), ("events", tally.events)):
        out(f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in sorted(counts.items())) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
