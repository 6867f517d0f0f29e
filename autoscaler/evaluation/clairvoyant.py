"""The clairvoyant look-ahead: what the same setpoints could save for one who knows which jobs come.

At each decision every setpoint, and every reserve in nodes where that lever is on, is tried in copies of the cluster
with the true future, the tuned rule afterwards, and the cheapest is followed. It is a reference with the levers of the
policies, not a bound: a longer look-ahead, or other setpoints one after the other, could be cheaper. One that knows
less says what each part of the future is worth: see `Known`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from agents.baselines import ConstantSetpoint
from autoscaler.evaluation.rollouts import OnJobs, Rollout, Scenario, rollout_of
from autoscaler.evaluation.windows import Window
from envs.gpu_cluster.codec import IDLE_AGE_EDGES_SECONDS, RESERVE_NODES, RULE_RESERVE_NODES, RULE_SETPOINT
from envs.gpu_cluster.simulator import NEVER, Simulator
from envs.gpu_cluster.simulator.planning import Belief
from envs.gpu_cluster.simulator.problem import Problem

CLAIRVOYANT = "clairvoyant"
DECISIONS_PER_REPORT = 200
DAY_MS = 86_400_000


class Known(StrEnum):
    """What a look-ahead knows of the future."""

    ALL = "all"  # the jobs to come, and how long each job runs
    ARRIVALS = "arrivals"  # the jobs to come; run times are drawn from earlier jobs of as many GPUs
    RUN_TIMES = "run_times"  # how long jobs run that are here; to come are those of the same hours of the days before


@dataclass(frozen=True, slots=True)
class LookAhead:
    """How far the look-ahead sees.

    Attributes:
        horizon_seconds: how far the copies run.
        hold_seconds: how long a setpoint is followed in its copy before the tuned rule.
        days: with `Known.RUN_TIMES`: so many days before are as many futures, of which the mean counts.
        seed: with `Known.ARRIVALS`: of the run times that are drawn.
    """

    horizon_seconds: float = 7200.0
    hold_seconds: float = 600.0
    days: int = 3
    seed: int = 0


def candidate_rules(tuned: ConstantSetpoint) -> NDArray[np.int64]:
    """[rules, RULE_SIZE] int64: every setpoint with the levers of the tuned rule, which comes first.

    Where the lever is on, every setpoint without a reserve in nodes, and every such reserve with all time-outs.
    """
    layout = tuned.layout
    pairs = [(setpoint, 0) for setpoint in range(len(layout.setpoints))]
    if layout.reserve_nodes:
        timeouts = [layout.setpoint(timeout, 0.0) for timeout in IDLE_AGE_EDGES_SECONDS]
        pairs += [(setpoint, reserve) for reserve in range(1, len(RESERVE_NODES)) for setpoint in timeouts]
    first = tuple(tuned.rule[[RULE_SETPOINT, RULE_RESERVE_NODES]].tolist())
    pairs = [first, *(pair for pair in pairs if pair != first)]
    rules = np.tile(tuned.rule, (len(pairs), 1))
    rules[:, [RULE_SETPOINT, RULE_RESERVE_NODES]] = pairs
    return rules


def run_clairvoyant(
    tuned: ConstantSetpoint,
    scenario: Scenario,
    windows: Sequence[Window],
    look_ahead: LookAhead | None = None,
    on_jobs: OnJobs | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    known: Known = Known.ALL,
) -> list[Rollout]:
    """Run windows by the look-ahead until every job has ended.

    Args:
        tuned: the rule that copies follow afterwards, and whose packer and levers all have.
        scenario: trace, cluster and settings.
        windows: at least one.
        look_ahead: how far it sees.
        on_jobs: progress.
        should_stop: asked now and then; True: what is done so far is returned.
        known: what it knows.

    Returns:
        One rollout per window.
    """
    sight, count = look_ahead or LookAhead(), len(windows)
    problem, episodes = scenario.problem(tuned), [(window.start_ms, NEVER, window.last_job) for window in windows]
    beliefs = [] if known is Known.ALL else _beliefs(problem, np.array(episodes, np.int64), sight, known)
    copies = 1 if beliefs else 2
    simulator = Simulator.from_problem(problem, num_clusters=copies * count)
    simulator.reset(np.arange(copies * count), np.tile(np.array(episodes, np.int64), (copies, 1)))
    rules, finished, done = candidate_rules(tuned), 0, False
    while not done and not should_stop():
        done = simulator.look_ahead(rules, sight.hold_seconds, sight.horizon_seconds, DECISIONS_PER_REPORT, beliefs)
        if on_jobs is not None:
            now = int(simulator.finished_jobs[:count].sum())
            on_jobs(now - finished)
            finished = now
    return [rollout_of(simulator, index, window) for index, window in enumerate(windows)]


def _beliefs(problem: Problem, episodes: NDArray[np.int64], sight: LookAhead, known: Known) -> list[Belief]:
    """What is believed in each window."""
    room, shifts = 0, np.zeros(1, np.int64)
    if known is Known.ARRIVALS:
        problem = problem.with_run_times(drawn_run_times(problem, int(episodes[:, 0].min()), sight.seed))
    else:
        room, shifts = _most_in(problem.submit_ms, sight.horizon_seconds), DAY_MS * np.arange(1, sight.days + 1)
    found = []
    for episode in episodes:
        copies = Simulator.from_problem(problem.with_room(room))
        copies.reset(np.zeros(1, np.int64), episode[None])
        found.append(Belief(copies, shifts))
    return found


def _most_in(submit_ms: NDArray[np.int64], seconds: float) -> int:
    """The most jobs that are submitted in any time of a length, and one more."""
    ends = np.searchsorted(submit_ms, submit_ms + round(seconds * 1000), side="right")
    return int((ends - np.arange(len(submit_ms))).max()) + 1


def drawn_run_times(problem: Problem, before_ms: int, seed: int) -> NDArray[np.int64]:
    """[J] int64, for each job the run time of a random earlier one of as many GPUs, in ms.

    Args:
        problem: the jobs.
        before_ms: earlier jobs are those submitted before; with none of as many GPUs, all of them.
        seed: of the draws.
    """
    generator, drawn = np.random.default_rng(seed), problem.duration_ms.copy()
    earlier = problem.submit_ms < before_ms
    for milli in np.unique(problem.gpu_milli):
        same = problem.gpu_milli == milli
        known = problem.duration_ms[earlier & same]
        if known.size == 0:
            known = problem.duration_ms[earlier] if earlier.any() else problem.duration_ms
        drawn[same] = generator.choice(known, int(same.sum()))
    return drawn
