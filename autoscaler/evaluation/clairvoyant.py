"""The clairvoyant look-ahead: what the same setpoints could save for one who knows which jobs come.

At each decision every setpoint is tried in copies of the cluster with the true future, the tuned rule afterwards, and
the cheapest is followed. It is a reference with the levers of the policies, not a bound: a longer look-ahead, or other
setpoints one after the other, could be cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.baselines import ConstantSetpoint
from autoscaler.evaluation.rollouts import OnJobs, Rollout, Scenario, rollout_of
from autoscaler.evaluation.windows import Window
from envs.gpu_cluster.codec import RULE_SETPOINT
from envs.gpu_cluster.simulator import NEVER, Simulator

CLAIRVOYANT = "clairvoyant"
DECISIONS_PER_REPORT = 200


@dataclass(frozen=True, slots=True)
class LookAhead:
    """How far the look-ahead sees.

    Attributes:
        horizon_seconds: how far the copies run.
        hold_seconds: how long a setpoint is followed in its copy before the tuned rule.
    """

    horizon_seconds: float = 7200.0
    hold_seconds: float = 600.0


def candidate_rules(tuned: ConstantSetpoint) -> NDArray[np.int64]:
    """[setpoints, RULE_SIZE] int64: every setpoint with the levers of the tuned rule, which comes first."""
    setpoints = len(tuned.layout.setpoints)
    order = [tuned.setpoint, *(number for number in range(setpoints) if number != tuned.setpoint)]
    rules = np.tile(tuned.rule, (setpoints, 1))
    rules[:, RULE_SETPOINT] = order
    return rules


def run_clairvoyant(
    tuned: ConstantSetpoint,
    scenario: Scenario,
    windows: Sequence[Window],
    look_ahead: LookAhead | None = None,
    on_jobs: OnJobs | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Rollout]:
    """Run windows by the look-ahead until every job has ended.

    Args:
        tuned: the rule that copies follow afterwards, and whose packer and levers all have.
        scenario: trace, cluster and settings.
        windows: at least one.
        look_ahead: how far it sees.
        on_jobs: progress.
        should_stop: asked now and then; True: what is done so far is returned.

    Returns:
        One rollout per window.
    """
    sight, count = look_ahead or LookAhead(), len(windows)
    simulator = Simulator.from_problem(scenario.problem(tuned), num_clusters=2 * count)
    episodes = np.array([(window.start_ms, NEVER, window.last_job) for window in windows], np.int64)
    simulator.reset(np.arange(2 * count), np.tile(episodes, (2, 1)))
    rules, finished, done = candidate_rules(tuned), 0, False
    while not done and not should_stop():
        done = simulator.look_ahead(rules, sight.hold_seconds, sight.horizon_seconds, DECISIONS_PER_REPORT)
        if on_jobs is not None:
            now = int(simulator.finished_jobs[:count].sum())
            on_jobs(now - finished)
            finished = now
    return [rollout_of(simulator, index, window) for index, window in enumerate(windows)]
