"""Compare keep-alive rules and searched policies on functions that neither was tuned nor trained on.

Rules are tuned on the functions of `part: train`, all are played on those of `part: test`. Intervals are of the
difference over draws of functions with replacement, each played alone on nodes that cost nothing. Last comes what
knowledge that no policy has would take off the hazard rule on these functions, alone: how far any policy could get.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from _common import parse, parser, tell
from numpy.typing import NDArray

import traces
from agents.baselines.keep_alive.registry import KEEP_ALIVES
from agents.baselines.keep_alive.rule import tuned_row
from agents.loading import load_policy
from envs.serverless.arguments import DEFAULT_WORKLOAD, serverless_config
from envs.serverless.codec import MULTIPLIERS
from envs.serverless.config import DEFAULT_NODES
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import RulePlayer, rule
from envs.serverless.state import HAZARD, LEARNED
from traces.invocations import Invocations

DRAWS = 2000
REFERENCE = "hazard, tuned"


def windows_of(problem: ServerlessProblem) -> NDArray[np.int64]:
    """Equal windows, about as long as an episode."""
    return problem.windows(max(1, problem.span_ms // problem.episode_ms))


def alone(problem: ServerlessProblem) -> list[ServerlessProblem]:
    """Each function by itself, on nodes that cost nothing and are there at once."""
    free = replace(DEFAULT_NODES, idle_watts=0.0, boot_seconds=0.0)
    config = replace(problem.config, part="all", most_per_hour=None, pool=(free,))
    called = np.unique(problem.invocations.function)
    return [serverless_problem(problem.invocations.select([number]), config) for number in called]


def known_before(problem: ServerlessProblem) -> ServerlessProblem:
    """The workload a second time, with all gaps of the first time counted; only the second time costs."""
    given, config = problem.invocations, problem.config
    again = Invocations.from_columns(
        given.function_id,
        np.concatenate([given.time_ms, given.time_ms + given.span_ms]),
        np.tile(given.function, 2),
        np.tile(given.duration_ms, 2),
        span_ms=2 * given.span_ms,
        memory_mib=given.memory_mib,
        gpu_milli=given.gpu_milli,
    )
    return serverless_problem(again, replace(config, warm_up_seconds=config.warm_up_seconds + given.span_ms / 1000))


def show_hindsight(problems: list[ServerlessProblem]) -> None:
    """Print what knowledge would take off the hazard rule, each function alone."""
    rows = [rule(HAZARD, keep, keep * warm) for keep in MULTIPLIERS for warm in (1.0, 0.0)]
    costs = np.array([RulePlayer(each).usd(rows, None, each.windows(1))[:, 0] for each in problems])
    usual = costs[:, rows.index(rule(HAZARD, 1.0, 1.0))].sum()
    known = [known_before(each) for each in problems]
    seen = sum(float(RulePlayer(each).usd([rule(HAZARD, 1.0, 1.0)], None, each.windows(1)).sum()) for each in known)
    print("\n| functions alone, in hindsight | against hazard, defaults |\n|---|---|")
    print(f"| the best factor for all | {costs.sum(axis=0).min() / usual - 1.0:+.1%} |")
    print(f"| the best factor of each function | {costs.min(axis=1).sum() / usual - 1.0:+.1%} |")
    print(f"| defaults, and all gaps were counted once before | {seen / usual - 1.0:+.1%} |")


class Table:
    """Costs of rules: of all functions together, and of each function alone where nodes cost nothing.

    Args:
        problem: the functions that are tested.
    """

    def __init__(self, problem: ServerlessProblem) -> None:
        self.problem, self._player = problem, RulePlayer(problem)
        self.each_alone = alone(problem)
        self.totals: dict[str, float] = {}
        self.alone: dict[str, NDArray[np.float64]] = {}
        self.cold: dict[str, float] = {}

    def add(self, name: str, row, weights=None, by_function=None) -> None:
        """Play a rule."""
        self.totals[name] = float(self._play(self._player, self.problem, row, weights, by_function))
        found = self._player.results()
        self.cold[name] = found.total("cold") / max(found.total("finished"), 1)
        self.alone[name] = np.array(
            [self._play(RulePlayer(each), each, row, weights, by_function) for each in self.each_alone]
        )

    def _play(self, player: RulePlayer, problem: ServerlessProblem, row, weights, by_function) -> float:
        if by_function is not None:
            player.keep_by_function(by_function(problem))
        given = None if weights is None else weights[None, :]
        return player.usd([row], given, windows_of(problem)).sum()

    def show(self, seed: int) -> None:
        """Print it; intervals by drawing functions with replacement."""
        count = len(self.each_alone)
        drawn = np.random.default_rng(seed).integers(count, size=(DRAWS, count))
        print(f"| rule | USD | against {REFERENCE} | functions alone [95 %] | cold |")
        print("|---|---|---|---|---|")
        reference = self.alone[REFERENCE]
        for name, total in self.totals.items():
            own = self.alone[name]
            low, high = np.quantile(own[drawn].sum(axis=1) / reference[drawn].sum(axis=1) - 1.0, [0.025, 0.975])
            interval = f"{own.sum() / reference.sum() - 1.0:+.1%} [{low:+.1%}, {high:+.1%}]"
            change = total / self.totals[REFERENCE] - 1.0
            print(f"| {name} | {total:.2f} | {change:+.1%} | {interval} | {self.cold[name]:.2%} |")


def main() -> None:
    """Tune, play and print."""
    options = parser(__doc__)
    options.add_argument("runs", nargs="*", help="folders of runs of cma-es on Serverless-v0")
    options.add_argument("--workload", default=DEFAULT_WORKLOAD)
    options.add_argument("--config", default="{}", help="settings of the environment, JSON")
    options.add_argument("--seed", type=int, default=0, help="of the intervals")
    arguments = parse(options, workload="synthetic-functions:mixed?functions=20&hours=16&seed=0")
    invocations = traces.load_invocations(arguments.workload)
    config = serverless_config(json.loads(arguments.config))
    train, test = (serverless_problem(invocations, replace(config, part=part)) for part in ("train", "test"))
    table = Table(test)
    for name in KEEP_ALIVES:
        tell(name)
        known = KEEP_ALIVES[name]
        table.add(name, known.rows[0], by_function=known.by_function)
        if len(known.rows) > 1:
            row = tuned_row(known, train, windows_of(train))
            table.add(f"{name}, tuned", row, by_function=known.by_function)
    for folder in arguments.runs:
        tell(folder)
        table.add(Path(folder).name, rule(LEARNED), load_policy(folder).weights)
    table.show(arguments.seed)
    show_hindsight(table.each_alone)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"usd": table.totals, "cold_share": table.cold}, indent=2))
    if len(arguments.runs) > 1:
        changes = [table.totals[Path(folder).name] / table.totals[REFERENCE] - 1.0 for folder in arguments.runs]
        error = 1.96 * np.std(changes, ddof=1) / np.sqrt(len(changes))
        spread = f"{min(changes):+.1%} to {max(changes):+.1%}"
        print(f"{len(changes)} seeds: {np.mean(changes):+.1%} +- {error:.1%} (95 %), {spread}")


if __name__ == "__main__":
    main()
