"""Compare keep-alive rules and trained policies on functions that neither was tuned nor trained on.

Rules are tuned on the functions of `part: train`, all are played on those of `part: test`. With --agent, one is trained
on `part: train` of each of --splits splits of the functions, by as many seeds. Of a list of agents each is trained, and
two are played: the first, and the one whose validation, on functions of `part: train` alone, is the cheapest. Intervals
of the costs on one pool are over splits (Student's t), those of functions alone over draws of functions with
replacement, each played alone on nodes that cost nothing. For a single split, last comes what knowledge that no policy
has would take off the hazard rule on these functions, alone: how far any policy could get.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import parse, parser, tell
from numpy.typing import NDArray
from scipy.special import stdtrit

import autoscaler
import traces
from agents.baselines.keep_alive.registry import KEEP_ALIVES
from agents.baselines.keep_alive.rule import tuned_row
from agents.loading import load_policy
from autoscaler.training import TrainedRun
from envs.serverless.arguments import DEFAULT_WORKLOAD, serverless_config
from envs.serverless.codec import MULTIPLIERS
from envs.serverless.config import DEFAULT_NODES
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import RulePlayer, ServerlessSimulator, rule
from envs.serverless.state import HAZARD
from traces.invocations import Invocations

DRAWS = 2000
REFERENCES = ("hazard", "hazard, tuned", "hazard-look-ahead, tuned")


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
    """Costs of rules and policies: of all functions together, and of each one alone, summed over splits.

    Args:
        names: of all functions of the workload.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._number = {name: number for number, name in enumerate(names)}
        self.totals: dict[str, list[float]] = {}
        self.cold: dict[str, list[float]] = {}
        self.alone: dict[str, NDArray[np.float64]] = {}

    def add(self, name: str, problem: ServerlessProblem, together, alone: list[float]) -> None:
        """Add what a policy did on the functions of a split.

        Args:
            name: of the policy.
            problem: the functions.
            together: USD, and the share of requests that waited.
            alone: USD of each function that is called.
        """
        self.totals.setdefault(name, []).append(together[0])
        self.cold.setdefault(name, []).append(together[1])
        sums = self.alone.setdefault(name, np.zeros(len(self._number)))
        for function, usd in zip(np.unique(problem.invocations.function), alone, strict=True):
            sums[self._number[problem.invocations.function_id[function]]] += usd

    def show(self, reference: str, seed: int) -> dict[str, Any]:
        """Print it against a policy; returns the same as plain values."""
        given = self.alone[reference]
        played = np.flatnonzero(given)
        drawn = played[np.random.default_rng(seed).integers(len(played), size=(DRAWS, len(played)))]
        print(f"\n| policy | USD | against {reference} | functions alone [95 %] | cold |\n|---|---|---|---|---|")
        found = {}
        for name, totals in self.totals.items():
            own = self.alone[name]
            low, high = np.quantile(own[drawn].sum(axis=1) / given[drawn].sum(axis=1) - 1.0, [0.025, 0.975])
            alone = f"{own.sum() / given.sum() - 1.0:+.1%} [{low:+.1%}, {high:+.1%}]"
            changes = np.array(totals) / np.array(self.totals[reference]) - 1.0
            spread = f" {interval(changes)}" if len(changes) > 1 else ""
            cold = float(np.mean(self.cold[name]))
            print(f"| {name} | {np.mean(totals):.2f} | {changes.mean():+.1%}{spread} | {alone} | {cold:.2%} |")
            found[name] = {"usd": totals, "alone": float(own.sum() / given.sum() - 1.0), "alone_95": [low, high]}
        return found


def interval(values: NDArray[np.float64]) -> str:
    """Of the mean, 95 %, by Student's t."""
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values))
    return f"[{values.mean() - half:+.1%}, {values.mean() + half:+.1%}]"


def play_rule(problem: ServerlessProblem, row, by_function=None) -> tuple[float, float]:
    """USD of a rule, and the share of requests of the last window that waited; both after its warm-up."""
    player = RulePlayer(problem)
    if by_function is not None:
        player.keep_by_function(by_function(problem))
    windows = windows_of(problem)
    usd, found = float(player.usd([row], None, windows).sum()), player.results()
    start, end = windows[-1, :2].tolist()
    warm_up = problem.episode(start, min(start + problem.serverless.warm_up_ms, end))
    player.usd([row], None, np.array([warm_up], np.int64))
    found = found.minus(player.results())
    return usd, found.total("cold") / max(found.total("finished"), 1)


def play_policy(problem: ServerlessProblem, policy) -> tuple[float, float]:
    """The same of a policy that acts on observations."""
    windows = windows_of(problem)
    found = ServerlessSimulator(problem, len(windows)).play(policy, windows)
    usd = sum(results.decidable_usd(problem.config.prices) for results in found)
    return usd, found[-1].total("cold") / max(found[-1].total("finished"), 1)


def add_rules(table: Table, names, train: ServerlessProblem, test: ServerlessProblem, each_alone) -> None:
    """Play rules as they are, and tuned."""
    for name in names:
        known = KEEP_ALIVES[name]
        rows = {name: known.rows[0]}
        if len(known.rows) > 1:
            rows[f"{name}, tuned"] = tuned_row(known, train, windows_of(train))
        for label, row in rows.items():
            costs = [play_rule(each, row, known.by_function)[0] for each in each_alone]
            table.add(label, test, play_rule(test, row, known.by_function), costs)


def train_agent(arguments, agent: Mapping[str, Any], config: Mapping[str, Any], seed: int, folder: Path) -> TrainedRun:
    """Train on `part: train` of the functions."""
    values = {
        "env": "autoscaler/Serverless-v0",
        "env_kwargs": {
            "workload": arguments.trained_on or arguments.workload,
            "config": {**config, "part": "train", "split_seed": seed},
        },
        "seed": seed,
        "agent": agent,
        "train": json.loads(arguments.train),
    }
    run = autoscaler.train(values, folder)
    print(f"seed {seed}: {json.dumps(agent)}: {run.describe()}", flush=True)
    return run


def train_agents(arguments, config: Mapping[str, Any], seed: int, folder: Path) -> dict[str, Path]:
    """Train an agent, or each of a list; returns the folders of the first and of the chosen one by name."""
    agents = json.loads(arguments.agent)
    agents = agents if isinstance(agents, list) else [agents]
    runs = [train_agent(arguments, agent, config, seed, folder / str(n)) for n, agent in enumerate(agents)]
    found = {agents[0]["name"]: runs[0].folder}
    if len(runs) > 1:
        costs = [run.result.best_score for run in runs]
        print(f"seed {seed}: chosen: {json.dumps(agents[int(np.argmin(costs))])}", flush=True)
        found[f"{agents[0]['name']}, chosen"] = runs[int(np.argmin(costs))].folder
    return found


def main() -> None:
    """Tune, train, play and print."""
    options = parser(__doc__)
    options.add_argument("runs", nargs="*", help="folders of runs on Serverless-v0")
    options.add_argument("--workload", default=DEFAULT_WORKLOAD)
    options.add_argument("--rules", default=",".join(KEEP_ALIVES), help="with commas between them (default: all)")
    options.add_argument("--config", default="{}", help="settings of the environment, JSON")
    options.add_argument("--seed", type=int, default=0, help="of the intervals")
    options.add_argument("--splits", type=int, default=1, help="of the functions into train and test")
    options.add_argument("--agent", help="name and settings of one to train on each split, or a list, JSON")
    options.add_argument("--train", default='{"total_steps": 400000, "validations": 8}', help="how, JSON")
    options.add_argument("--trained-on", help="URI of another workload to train on")
    arguments = parse(options, workload="synthetic-functions:mixed?functions=20&hours=16&seed=0")
    invocations = traces.load_invocations(arguments.workload)
    config = json.loads(arguments.config)
    table = Table(invocations.function_id)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.splits):
            tell(f"split {seed}")
            settings = serverless_config({**config, "split_seed": seed})
            train, test = (serverless_problem(invocations, replace(settings, part=part)) for part in ("train", "test"))
            each_alone = alone(test)
            add_rules(table, arguments.rules.split(","), train, test, each_alone)
            runs = {Path(run).name: Path(run) for run in arguments.runs}
            if arguments.agent is not None:
                runs |= train_agents(arguments, config, seed, Path(folder) / f"seed{seed}")
            for name, run in runs.items():
                policy = load_policy(run)
                table.add(name, test, play_policy(test, policy), [play_policy(each, policy)[0] for each in each_alone])
    found = {name: table.show(name, arguments.seed) for name in REFERENCES if name in table.totals}
    if arguments.splits == 1:
        show_hindsight(each_alone)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
