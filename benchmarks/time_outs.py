"""What idle time-outs of a function pool's nodes cost: fixed minutes, tuned minutes, and the break-even of a boot.

The rule `hazard-look-ahead`, as it is, decides how long containers are kept. Time-outs are tuned on the functions of
`part: train` of each split, and all are played on those of `part: test`: mean over splits, and the dearest split.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from _common import describe, heading, parse, parser, tell
from keep_alive import windows_of
from numpy.typing import NDArray

import traces
from envs.containers import state as st
from envs.serverless.arguments import DEFAULT_WORKLOAD, serverless_config
from envs.serverless.codec import BREAK_EVEN
from envs.serverless.problem import ServerlessProblem, serverless_problem
from envs.serverless.simulator import RulePlayer, rule
from envs.serverless.state import LOOK_AHEAD

MINUTE_MS = 60_000
TIME_OUTS_MS = {
    "5 min": 5 * MINUTE_MS,
    "15 min": 15 * MINUTE_MS,
    "60 min": 60 * MINUTE_MS,
    "4 h": 240 * MINUTE_MS,
    "never": st.FOREVER,
    "break-even": BREAK_EVEN,
}
TUNED, HINDSIGHT = "tuned", "best in hindsight"


def costs(problem: ServerlessProblem) -> NDArray[np.float64]:
    """[time-outs] float64, USD that each costs on all functions of a problem."""
    rules = [rule(LOOK_AHEAD, 1.0, 1.0, sleep_ms=float(time_out)) for time_out in TIME_OUTS_MS.values()]
    usd: NDArray[np.float64] = RulePlayer(problem).usd(rules, None, windows_of(problem)).sum(axis=1)
    return usd


def main() -> None:
    """Print a row for each time-out."""
    options = parser(__doc__)
    options.add_argument("--workload", default=DEFAULT_WORKLOAD, help="URI of functions and their invocations")
    options.add_argument("--config", default="{}", help="settings of the environment, JSON")
    options.add_argument("--splits", type=int, default=10, help="of the functions into train and test")
    arguments = parse(options, workload="synthetic-functions:mixed?functions=20&hours=16&seed=0", splits=2)
    before = describe()
    invocations, config, names = (
        traces.load_invocations(arguments.workload),
        json.loads(arguments.config),
        list(TIME_OUTS_MS),
    )
    minutes, rows = [number for number, name in enumerate(names) if name != "break-even"], []
    for seed in range(arguments.splits):
        tell(f"split {seed}")
        settings = serverless_config({**config, "split_seed": seed})
        parts = [costs(serverless_problem(invocations, replace(settings, part=part))) for part in ("train", "test")]
        tuned = minutes[int(parts[0][minutes].argmin())]
        rows.append([[*usd, usd[tuned], usd[minutes].min()] for usd in parts])
    train, test = np.array(rows).transpose(1, 2, 0)
    names += [TUNED, HINDSIGHT]
    print(f"{heading(before)}\n{arguments.workload}: USD, {arguments.splits} splits\n")
    print(f"  {'':20}{'test':>12}{'most':>12}{'train':>12}")
    for name, own, other in zip(names, test, train, strict=True):
        print(f"  {name:20}{own.mean():12,.2f}{own.max():12,.2f}{other.mean():12,.2f}")
    if arguments.json is not None:
        document = {
            name: {"test": own.tolist(), "train": other.tolist()}
            for name, own, other in zip(names, test, train, strict=True)
        }
        arguments.json.write_text(json.dumps({"machine": before, "usd": document}, indent=2) + "\n")


if __name__ == "__main__":
    main()
