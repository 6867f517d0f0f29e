"""Random worlds through the compiled and the reference simulator: `python -m tests.fuzz --seconds 60 --seed 0`.

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

import numpy as np

from envs.gpu_cluster.codec import LEVERS
from envs.gpu_cluster.simulator import Simulator
from envs.gpu_cluster.simulator import state as st
from envs.gpu_cluster.simulator.problem import Problem
from envs.gpu_cluster.simulator.queues import BACKFILL
from envs.gpu_cluster.simulator.reference import ReferenceSimulator
from envs.gpu_cluster.simulator.reference.queue import deferred_jobs, jobs_over_quota
from tests.envs.gpu_cluster.fuzz_worlds import Draw, draw_episode, draw_problem
from tests.envs.gpu_cluster.players import STYLES, Player
from tests.envs.gpu_cluster.side_by_side import assert_equal, assert_same_times, step_both, used

MOST_STEPS = 300


@dataclass
class Tally:
    """What happened in the worlds so far."""

    worlds: int = 0
    decisions: int = 0
    choices: collections.Counter[str] = field(default_factory=collections.Counter)
    rules: collections.Counter[str] = field(default_factory=collections.Counter)
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
        elif event in ("job_end", "job_preempt", "job_suspend"):
            assert held[job].pop(node) == value, (event, job, node)
        elif event in ("node_off", "node_boot_fail", "node_gone"):
            assert used[node] == 0, (event, node)
        used[node] += held[job].get(node, 0) - before
        assert 0 <= used[node] <= gpus[pool], (event, node, used[node])
    return collections.Counter(log["event"])


def count_rules(fast: Simulator, slow: ReferenceSimulator, turns: list[int]) -> dict[str, int]:
    """How many jobs each rule of the queue, or a lack of CPUs or memory, held back or let pass in a decision.

    Args:
        fast: after the decision.
        slow: likewise.
        turns: the waiting jobs in their order before it.
    """
    pool = fast._world.clusters.pool[0]
    has_heads = slow.problem.settings.queue.backfill_policy == BACKFILL
    heads = {index: int(row[st.HEAD_JOB]) for index, row in enumerate(pool) if has_heads and row[st.HEAD_JOB] >= 0}
    behind = {index: set(turns[turns.index(job) :]) for index, job in heads.items()}
    return {
        "reserved": sum(int(pool[index, st.HEAD_MS]) != st.NEVER for index in heads),
        "backfilled": sum(run.job.number in behind.get(run.pool, ()) for run in slow.running),
        "over_quota": len(jobs_over_quota(slow)),
        "deferred": len(deferred_jobs(slow)),
        "stuck": sum(len(pods) for pods in slow.stuck),
    }


def play(seed: int, tally: Tally) -> None:
    """One world; raises where the simulators differ."""
    draw = Draw(np.random.default_rng(seed))
    problem = draw_problem(draw)
    episode = draw_episode(draw, problem)
    player = Player(problem.config.codec, "levers" if draw.is_loose else draw.of(*STYLES), draw.generator)
    fast, slow = used(problem, log_rows=None), ReferenceSimulator(problem)
    fast.reset(np.array([0]), np.array([episode]))
    slow.reset(*episode)
    assert_equal(fast, slow)
    for _ in range(MOST_STEPS):
        if slow.done:
            break
        action = player.act(slow.mask)
        turns = [job.number for job in slow.queue]
        step_both(fast, slow, action)
        tally.decisions += 1
        tally.rules.update(count_rules(fast, slow, turns))
        for lever in LEVERS:
            tally.choices[lever.name] += int((getattr(slow.decision, lever.name) > 0).sum())
    assert_same_times(fast, slow)
    tally.rules["late"] += slow.deadline_misses
    if slow.detail is not None:
        tally.rules["moved_with_cpus"] += sum(totals.moves for totals in slow.totals)
    if not any(pool.loses_nodes for pool in problem.cluster.pools):
        tally.rules["preempted"] += sum(totals.preemptions for totals in slow.totals)
    tally.events += check_log(problem, fast)
    tally.worlds += 1


def fuzz(
    seed: int, seconds: float, worlds: int | None = None, tally: Tally | None = None
) -> tuple[Tally, dict[int, str]]:
    """Play worlds until the time is over.

    Args:
        seed: of the first world; the next ones count up.
        seconds: no world begins after these.
        worlds: play so many at most.
        tally: of the worlds before.

    Returns:
        What happened, and the traceback of each world that failed, by its seed.
    """
    tally, failures, begin = tally or Tally(), {}, time.monotonic()
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
    for name, counts in (("choices", tally.choices), ("rules", tally.rules), ("events", tally.events)):
        out(f"{name}: " + ", ".join(f"{key} {count:,}" for key, count in sorted(counts.items())) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
