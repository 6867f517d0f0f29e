"""Compare keep-alive rules and searched policies on functions that neither was tuned nor trained on.

Rules are tuned on the functions of `part: train`, all are played on those of `part: test`. Intervals are of the paired
difference over draws of functions, with replacement: each function is played alone on its own pool.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import traces
from agents.baselines.keep_alive.registry import KEEP_ALIVES
from agents.baselines.keep_alive.rule import tuned_row
from agents.loading import load_policy
from envs.serverless.arguments import DEFAULT_WORKLOAD, serverless_config
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import RulePlayer, rule
from envs.serverless.state import LEARNED

DRAWS = 2000
REFERENCE = "hazard, tuned"


def windows_of(problem: ServerlessProblem) -> NDArray[np.int64]:
    return problem.windows(max(1, problem.span_ms // problem.episode_ms))


def costs_by_function(
    problems: Sequence[ServerlessProblem], row, weights=None, by_function=None
) -> NDArray[np.float64]:
    """[F] USD of each function alone."""
    costs = []
    for problem in problems:
        player = RulePlayer(problem)
        if by_function is not None:
            player.keep_by_function(by_function(problem))
        costs.append(player.usd([row], None if weights is None else weights[None, :], windows_of(problem)).sum())
    return np.array(costs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", help="folders of runs of cma-es on Serverless-v0")
    parser.add_argument("--workload", default=DEFAULT_WORKLOAD)
    parser.add_argument("--config", default="{}", help="settings of the environment, JSON")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals")
    arguments = parser.parse_args()
    invocations = traces.load_invocations(arguments.workload)
    config = serverless_config(json.loads(arguments.config))
    train, test = (serverless_problem(invocations, replace(config, part=part)) for part in ("train", "test"))
    whole = RulePlayer(test)
    alone = [
        serverless_problem(test.invocations.select([number]), replace(config, part="all", most_per_hour=None))
        for number in range(test.invocations.num_functions)
        if (test.invocations.function == number).any()
    ]
    totals: dict[str, float] = {}
    results = {}
    by_function: dict[str, NDArray[np.float64]] = {}

    def play(name: str, row, weights=None, keep=None) -> None:
        if keep is not None:
            whole.keep_by_function(keep(test))
        windows = windows_of(test)
        totals[name] = float(whole.usd([row], None if weights is None else weights[None, :], windows).sum())
        results[name] = whole.results()
        by_function[name] = costs_by_function(alone, row, weights, keep)

    for name in KEEP_ALIVES:
        known = KEEP_ALIVES[name]
        play(name, known.rows[0], keep=known.by_function)
        if len(known.rows) > 1:
            play(f"{name}, tuned", tuned_row(known, train, windows_of(train)), keep=known.by_function)
    for folder in arguments.runs:
        play(Path(folder).name, rule(LEARNED), load_policy(folder).weights)
    rng = np.random.default_rng(arguments.seed)
    drawn = rng.integers(len(alone), size=(DRAWS, len(alone)))
    rows = []
    for name, total in totals.items():
        change = by_function[name][drawn].sum(axis=1) / by_function[REFERENCE][drawn].sum(axis=1) - 1.0
        low, high = np.quantile(change, [0.025, 0.975])
        found = results[name]
        cold = found.total("cold") / max(found.total("finished"), 1)
        alone_change = by_function[name].sum() / by_function[REFERENCE].sum() - 1.0
        interval = f"{alone_change:+.1%} [{low:+.1%}, {high:+.1%}]"
        rows.append((name, f"{total:.2f}", f"{total / totals[REFERENCE] - 1.0:+.1%}", interval, f"{cold:.2%}"))
    print(f"| rule | USD | against {REFERENCE} | each function alone [95 %] | cold |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    if len(arguments.runs) > 1:
        changes = [totals[Path(folder).name] / totals[REFERENCE] - 1.0 for folder in arguments.runs]
        error = 1.96 * np.std(changes, ddof=1) / np.sqrt(len(changes))
        spread = f"{min(changes):+.1%} to {max(changes):+.1%}"
        print(f"{len(changes)} seeds: {np.mean(changes):+.1%} +- {error:.1%} (95 %), {spread}")


if __name__ == "__main__":
    main()
