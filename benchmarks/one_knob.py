"""One policy for every price of waiting, against policies that were each searched for one price.

    python benchmarks/one_knob.py itp:cluster02.csv.gz itp:cluster09.csv.gz --out runs/one-knob

On five later windows at each price: changes of the decidable cost against `reactive-tuned`, tuned at that price.

    own       searched at that price alone
    one       searched at many prices between the lowest and the highest, which it reads
    fixed     searched at 1 USD, and used at every price
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from _common import describe, heading, parse, parser, tell

import autoscaler
from agents.baselines.tuned import Tuned
from agents.loading import load_cluster_policy
from autoscaler.evaluation.comparison import Contender, compare
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.windows import equal_windows
from autoscaler.run_folder import read_record
from autoscaler.training import training_windows, tune_heuristic
from configs.files import json_text, write_text

FIXED = 1.0
KINDS = ("own", "one", "fixed")


def options() -> argparse.ArgumentParser:
    """Options of the command line."""
    result = parser(__doc__)
    result.add_argument("traces", nargs="*", default=["synthetic:quickstart?days=20&seed=0"], help="URIs")
    result.add_argument("--out", type=Path, required=True, help="folder of the runs; results go there too")
    result.add_argument("--prices", type=float, nargs="+", default=[0.1, 1.0, 2.0], help="USD per waiting GPU-hour")
    result.add_argument(
        "--between", type=float, nargs="*", default=[0.5], help="tested only: nothing is searched there"
    )
    result.add_argument("--seeds", type=int, default=3, help="trainings of each policy (default %(default)s)")
    result.add_argument("--steps", type=int, default=20_000_000, help="decisions of a search (default %(default)s)")
    result.add_argument("--many-steps", type=int, default=40_000_000, help="of the one policy (default %(default)s)")
    result.add_argument("--copies", type=int, default=8, help="prices that the one policy is searched at, beside 1 USD")
    result.add_argument("--price", default="crossed", help="what the one policy makes of the price (agent.price)")
    return result


def train(changes: list[str], folder: Path, tuned: Tuned) -> Path:
    """Train, unless the folder is there and finished."""
    if not (folder.exists() and read_record(folder).get("result", {}).get("finished")):
        run = autoscaler.train("experiment/quickstart", folder, overrides=changes, tuned=tuned)
        tell(f"{folder}: {run.describe()}")
    return folder


def at_price(uri: str, usd: float) -> list[str]:
    """Overrides of a trace and a price."""
    return [f"trace={json.dumps(uri)}", f"environment.objective.usd_per_gpu_hour={usd}"]


def searched(uri: str, number: int, tuned: dict[float, Tuned], arguments: argparse.Namespace) -> dict[Any, list[Path]]:
    """The folders of the policies of each price, and of the one for all (`None`)."""
    folders: dict[Any, list[Path]] = {usd: [] for usd in (None, *arguments.prices)}
    ends = min(arguments.prices), max(arguments.prices)
    many = [f"train.variations.copies={arguments.copies}", f"train.variations.usd_per_gpu_hour={list(ends)}"]
    for seed in range(arguments.seeds):
        own = [f"seed={seed}", f"train.total_steps={arguments.steps}"]
        for usd in arguments.prices:
            folder = arguments.out / f"trace{number}-at{usd:g}-{seed}"
            folders[usd].append(train([*at_price(uri, usd), *own], folder, tuned[usd]))
        folder = arguments.out / f"trace{number}-{arguments.price}-{seed}"
        changes = [*at_price(uri, FIXED), *many, f"agent.price={arguments.price}", f"seed={seed}"]
        changes.append(f"train.total_steps={arguments.many_steps}")
        folders[None].append(train(changes, folder, tuned[FIXED]))
    return folders


def rows_of(uri: str, number: int, arguments: argparse.Namespace) -> dict[float, dict[str, Any]]:
    """Change of the decidable cost by each kind of policy, at each price."""
    prices = sorted({*arguments.prices, *arguments.between, FIXED})
    experiments = {usd: autoscaler.load_experiment("experiment/quickstart", at_price(uri, usd)) for usd in prices}
    tuned = {usd: tune_heuristic(experiment) for usd, experiment in experiments.items()}
    folders = searched(uri, number, tuned, arguments)
    rows = {}
    for usd, experiment in experiments.items():
        (training,) = training_windows(experiment)
        contenders = [Contender("reactive-tuned", (tuned[usd].policy(training.config),), "rule")]
        for kind, key in zip(KINDS, (usd, None, FIXED), strict=True):
            if key in folders:
                policies = tuple(load_cluster_policy(folder) for folder in folders[key])
                contenders.append(Contender(kind, policies, "trained", seeds=tuple(range(len(policies)))))
        windows = equal_windows(training.trace, 0.6, 1.0, 5)
        scenario = Scenario(training.trace, training.cluster, training.config)
        found = compare(scenario, contenders, windows, np.random.default_rng(0), reference="reactive-tuned")
        closed = {each.name: found.results[each.name].versus.gap_closed for each in contenders[1:]}  # type: ignore[union-attr]
        rows[usd] = {
            "decidable_usd": found.results["reactive-tuned"].estimates["decidable_usd"].mean,
            "constants": tuned[usd].describe(),
            **{name: {"change": -each.mean, "low": -each.high, "high": -each.low} for name, each in closed.items()},
        }
    return rows


def text(values: dict[str, float] | None) -> str:
    """A cell of the table."""
    return "" if values is None else f"{values['change']:+.1%} [{values['low']:+.1%}, {values['high']:+.1%}]"


def main() -> None:
    """Print a row for each trace and price."""
    arguments = parse(options(), seeds=1, steps=20_000, many_steps=20_000, copies=2)
    before = describe()
    print(heading(before), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = {}
    print(f"| trace | USD per GPU-hour | decidable USD | {' | '.join(KINDS)} |\n|---|---|---|---|---|---|", flush=True)
    for number, uri in enumerate(arguments.traces):
        found[uri] = rows_of(uri, number, arguments)
        for usd, row in found[uri].items():
            cells = " | ".join(text(row.get(kind)) for kind in KINDS)
            name = uri.split("/")[-1].split(".")[0]
            print(f"| {name} | {usd:g} | {row['decidable_usd']:.1f} | {cells} |", flush=True)
    document = json_text({"machine": before, "rows": found})
    for path in (arguments.out / "result.json", *([] if arguments.json is None else [arguments.json])):
        write_text(path, document)


if __name__ == "__main__":
    main()
