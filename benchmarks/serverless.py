"""Speed of Serverless-v0: invocations a second under a fixed rule, steps of a batch, and cost by number of functions.

Rates are of one core (steps of a batch: of the threads that are given). Functions are called as often at every size,
on a node that has room for all of them and for their layers, so that a call is the same work at every size: about one
in four is a cold start, and none evicts. A rate that falls with their number says what a function costs by being there.
"""

from __future__ import annotations

import numpy as np
from _common import describe, measure, parse, parser, report, tell

import traces
from envs.containers.config import NodeConfig
from envs.serverless.arguments import draw_window
from envs.serverless.codec import ACTION_SIZES
from envs.serverless.config import ServerlessConfig
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import RulePlayer, ServerlessSimulator, rule
from envs.serverless.state import FIXED, HAZARD
from traces.invocations import Invocations

ROOMY = NodeConfig(
    memory_mib=4_194_304.0,
    cpu_milli=10_000_000,
    gpus=8,
    cache_mib=4_194_304.0,
    pull_mib_per_second=1e6,
    idle_watts=540.0,
)
"""For all functions at once: where they have to share, more functions evict each other and wait for pulls."""

PER_FUNCTION = 200
"""Invocations of each function in the table by number of functions."""
TEN_MINUTES = 600_000.0


def even_workload(functions: int, rng: np.random.Generator) -> Invocations:
    """Functions that are all called as often, at random moments of a day."""
    count = functions * PER_FUNCTION
    return Invocations.from_columns(
        [f"function-{number}" for number in range(functions)],
        rng.integers(0, 86_400_000, count),
        rng.integers(0, functions, count),
        np.full(count, 200),
        span_ms=86_400_000,
        memory_mib=np.full(functions, 128.0),
    )


def play(problem: ServerlessProblem, kind: int, constant: float) -> None:
    """Play the whole workload by a rule."""
    RulePlayer(problem).usd([rule(kind, constant, constant)], None, problem.windows(1))


def steps(problem: ServerlessProblem, num_envs: int, count: int, threads: int) -> None:
    """Step a batch with random actions; an episode that ends begins anew."""
    simulator, rng = ServerlessSimulator(problem, num_envs, threads), np.random.default_rng(0)
    for index in range(num_envs):
        simulator.begin(index, *draw_window(problem, {}, rng))
    actions = rng.integers(0, np.array(ACTION_SIZES), (64, num_envs, len(ACTION_SIZES)))
    for step in range(count // num_envs):
        simulator.step(actions[step % 64])
        for index in np.flatnonzero(simulator.done).tolist():
            simulator.begin(index, *draw_window(problem, {}, rng))


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, repeats=3)
    options.add_argument("--threads", type=int, default=1, help="that share a batch (default %(default)s)")
    arguments = parse(options, repeats=1)
    before, rng, found = describe(), np.random.default_rng(0), []
    config = ServerlessConfig(pool=(ROOMY,))
    sizes = (100, 1000) if arguments.quick else (100, 1000, 10_000)
    for functions in sizes:
        problem = serverless_problem(even_workload(functions, rng), config)
        amount = problem.invocations.num_invocations
        for name, kind, constant in (("fixed 10 min", FIXED, TEN_MINUTES), ("hazard", HAZARD, 1.0)):
            tell(f"{functions} functions, {name}")
            play(problem, kind, constant)  # compiles
            run = lambda problem=problem, kind=kind, constant=constant: play(problem, kind, constant)  # noqa: E731
            title = f"{functions:,} functions, {name}"
            found.append(measure(title, "invocations/s", amount, run, arguments.repeats))
    workload = traces.load_invocations("synthetic-functions:mixed?functions=50&hours=24&seed=0")
    problem, count = (
        serverless_problem(workload, ServerlessConfig(warm_up_seconds=600.0)),
        20_000 if arguments.quick else 400_000,
    )
    for num_envs in (1, 64):
        tell(f"batch of {num_envs}")
        steps(problem, num_envs, 1000, arguments.threads)
        batch = lambda num_envs=num_envs: steps(problem, num_envs, count, arguments.threads)  # noqa: E731
        found.append(measure(f"batch of {num_envs}", "steps/s", count, batch, arguments.repeats))
    report("Serverless-v0", before, found, arguments.json)


if __name__ == "__main__":
    main()
