"""What a planner of placement by sampled futures gains: at each decision pools are tried for the next job in copies.

The fleet, the jobs and the tuned prices are those of `placement.py`. Where the first job of the queue that may go to
several pools has a choice, each choice is tried in a copy of the cluster in each future, the tuned rule decides there
from then on until the horizon, and the cheapest in the mean is followed (a rollout algorithm; Bertsekas, "Rollout
Algorithms for Stochastic Scheduling Problems", 1999). Run times are known. Futures: `true` arrivals, `none`, those of
as many days before at the same hours (`days`), or of as many times as long as the horizon just before (`recent`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from _common import describe, heading, parse, parser
from numpy.typing import NDArray
from placement import WORKLOADS, fleet, scenario

import traces
from agents.baselines import ConstantSetpoint
from agents.baselines.training_window import TrainingWindow
from agents.baselines.tuned import tune
from agents.baselines.tuned_placement import search_prices
from autoscaler.evaluation.metrics import measure
from autoscaler.evaluation.rollouts import Scenario, prepare, rollout_of, run
from autoscaler.evaluation.statistics import Bootstrap
from autoscaler.evaluation.windows import Window, equal_windows
from envs.gpu_cluster.codec import CodecLayout
from envs.gpu_cluster.simulator import Simulator

POOLS = 3
CHOICES = POOLS + 1
"""A pool each, or to hold the job."""
ROOM = 2000
"""For jobs that come again until a horizon."""
DAY_SECONDS = 86_400.0
NONE_CAME_SECONDS = 1e9
"""So long ago nothing came."""


@dataclass(frozen=True, slots=True)
class Planner:
    """How futures are tried.

    Attributes:
        futures: `true`, `none`, `days` or `recent`.
        count: of them.
        hours: until the horizon.
        proof: standard errors over futures by which a choice must be cheaper than the rule's; 0: in the mean.
    """

    futures: str
    count: int
    hours: float
    proof: float

    def came_seconds_ago(self) -> Iterator[float | None]:
        """How long ago what is believed to come has come, for each future; None: what truly comes."""
        if self.futures in ("true", "none"):
            yield None if self.futures == "true" else NONE_CAME_SECONDS
            return
        yield from (
            number * (DAY_SECONDS if self.futures == "days" else self.hours * 3600.0) for number in self.numbers
        )

    @property
    def numbers(self) -> range:
        """Of the futures, from 1 on."""
        return range(1, self.count + 1)


def choices(layout: CodecLayout, action: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[choices, components] int64: the action first, then each other place for the first job that has several."""
    edges = np.cumsum([0, *layout.action_sizes])
    for column in range(layout.max_pools, layout.max_pools + layout.window_slots):
        valid = np.flatnonzero(mask[edges[column] : edges[column + 1]])
        if len(valid) > 1:
            tried = np.tile(action, (len(valid), 1))
            tried[1:, column] = valid[valid != action[column]]
            return tried
    return action[None]


def tried_usd(
    planner: Planner, simulator: Simulator, copies: Simulator, actions: NDArray[np.int64], rule: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[futures, choices] float64: what each choice costs until the horizon."""
    ends = np.full(CHOICES, float(simulator.time_seconds[0]) + planner.hours * 3600.0)
    padded = np.concatenate([actions, np.repeat(actions[:1], CHOICES - len(actions), axis=0)])
    usd = []
    for again in planner.came_seconds_ago():
        everywhere = np.zeros(CHOICES, np.int64), np.arange(CHOICES)
        copies.copy_clusters(*everywhere, ends, origin=simulator, again_seconds=again)
        copies.step(padded)
        first = -copies.rewards.copy()
        copies.replay(np.tile(rule, (CHOICES, 1)))
        usd.append((first + copies.take_costs().sum(axis=1))[: len(actions)])
    return np.array(usd)


def chosen(planner: Planner, usd: NDArray[np.float64]) -> int:
    """The choice to follow: the rule's, which comes first, unless another one is cheaper in the mean, or proven so."""
    saved = usd[:, :1] - usd
    needed = planner.proof * saved.std(axis=0, ddof=1) / np.sqrt(len(usd)) if len(usd) > 1 else 0.0
    mean = np.where(saved.mean(axis=0) > needed + 1e-9, saved.mean(axis=0), 0.0)
    return int(mean.argmax())


def play(
    planner: Planner, policy: ConstantSetpoint, where: Scenario, windows: list[Window]
) -> tuple[NDArray[np.float64], int, int, float]:
    """Decidable USD of each window, decisions with a choice, how many were changed, and seconds of processor time."""
    problem, usd = where.problem(policy), []
    tried, changed, began = 0, 0, time.process_time()
    for window in windows:
        simulator = prepare(policy, where, [window])
        copies = Simulator.from_problem(problem.with_room(ROOM), num_clusters=CHOICES, threads=1)
        policy.reset(1)
        while not simulator.done.all():
            action = policy.act(simulator.observations, simulator.action_masks)
            actions = choices(policy.layout, action[0], simulator.action_masks[0])
            if len(actions) > 1:
                best = chosen(planner, tried_usd(planner, simulator, copies, actions, policy.rule))
                tried, changed, action = tried + 1, changed + (best > 0), actions[best : best + 1]
            simulator.step(action)
        usd.append(measure(rollout_of(simulator, 0, window), problem)["decidable_usd"])
    return np.array(usd), tried, changed, time.process_time() - began


def options() -> argparse.ArgumentParser:
    """Options of the command line."""
    result = parser(__doc__)
    result.add_argument("trace", nargs="?", default="synthetic:quickstart?days=60&seed=0", help="URI")
    result.add_argument("--futures", choices=("true", "none", "days", "recent"), default="recent", help="what comes")
    result.add_argument("--count", type=int, default=8, help="futures of days or recent (default %(default)s)")
    result.add_argument("--hours", type=float, default=4.0, help="until the horizon (default %(default)s)")
    result.add_argument("--proof", type=float, default=1.0, help="standard errors, see above (default %(default)s)")
    result.add_argument("--days", type=float, help="only so many days of the trace")
    return result


def main() -> None:
    """Print the rule with tuned prices, and the planner beside it."""
    arguments = parse(options(), days=2.0, count=2, hours=1.0)
    before = describe()
    trace = traces.load(f"{arguments.trace}{'&' if '?' in arguments.trace else '?'}{WORKLOADS}&estimated=1")
    start = trace.first_submit_seconds
    if arguments.days is not None:
        trace = trace.window(None, start + arguments.days * DAY_SECONDS)
    layout = CodecLayout(max_pools=POOLS, window_slots=4)
    where = scenario(trace, tuple(fleet(trace).values()), layout)
    windows = equal_windows(trace, 0.6, 1.0, 5)
    training = TrainingWindow(trace, where.cluster, where.config, start, start + 0.6 * trace.span_seconds)
    policy = search_prices(training, tune(training), [0]).policy(where.config)
    problem = where.problem(policy)
    rule = np.array([measure(rollout, problem)["decidable_usd"] for rollout in run(policy, where, windows)])
    planner = Planner(arguments.futures, arguments.count, arguments.hours, arguments.proof)
    usd, tried, changed, seconds = play(planner, policy, where, windows)
    against = Bootstrap(1, len(windows), np.random.default_rng(0)).ratio(usd[None], rule[None])
    print(f"{heading(before)}\n{trace.uri}: {trace.num_jobs:,} jobs; decidable USD of each later window\n")
    for name, each in (("tuned-placement", rule), (f"rollouts, {planner}", usd)):
        print(f"  {name}: {each.mean():,.1f}   {' '.join(f'{value:,.1f}' for value in each)}")
    print(
        f"  {against.mean:+.1%} [{against.low:+.1%}, {against.high:+.1%}], {int((usd < rule).sum())} of {len(rule)} "
        f"windows cheaper\n  {tried:,} decisions with a choice, {changed:,} changed, "
        f"{1000.0 * seconds / max(tried, 1):.1f} ms of processor time each"
    )


if __name__ == "__main__":
    main()
