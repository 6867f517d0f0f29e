"""One policy for clusters that it never saw: leave one trace out, train on the others, test on its later windows.

    python benchmarks/generality.py itp:cluster01.csv.gz itp:cluster02.csv.gz philly:philly.csv.gz --out runs/generality

For each trace, changes of the decidable cost against `reactive-tuned`, which is tuned on the trace's own first part:

    constants   of the other traces, no training
    general     one policy trained on the first parts of the others
    fine-tuned  the same, searched on for some seconds on the first part of the trace
    alone       trained on the first part of the trace alone
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import describe, heading, parse, parser, tell

import autoscaler
import traces
from agents.baselines.training_window import TrainingWindow
from agents.baselines.tuned import Tuned, choose_together, grid_costs, grid_rules
from agents.loading import load_cluster_policy
from autoscaler.evaluation.comparison import Comparison, Contender, compare
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.windows import equal_windows
from autoscaler.run_folder import read_record
from autoscaler.training import training_windows
from configs.files import json_text, write_text

QUICK = [
    "synthetic:quickstart?days=8&seed=0",
    "synthetic:quickstart?days=8&seed=1",
    "synthetic:quickstart?days=8&seed=2",
]
KINDS = ("constants", "general", "fine-tuned", "alone")


class Part(NamedTuple):
    """A trace: what it is called, its URI, its training window, and what each constant costs there."""

    name: str
    uri: str
    training: TrainingWindow
    costs: Any


def options() -> argparse.ArgumentParser:
    """Options of the command line."""
    result = parser(__doc__)
    result.add_argument("traces", nargs="*", default=QUICK, help="URIs, at least two")
    result.add_argument("--out", type=Path, required=True, help="folder of the runs; results go there too")
    result.add_argument("--seeds", type=int, default=1, help="trainings of each kind (default %(default)s)")
    result.add_argument("--config", default="experiment/many-traces", help="experiment of the general policy")
    result.add_argument("--steps", type=int, default=40_000_000, help="decisions of the search on the others")
    result.add_argument("--own-steps", type=int, default=15_000_000, help="decisions on the trace itself")
    result.add_argument("--fine-steps", type=int, help="decisions of the fine-tuning (default: --own-steps)")
    result.add_argument("--leave-out", nargs="+", metavar="TRACE", help="leave out only these of the traces")
    result.add_argument("--sigma", type=float, default=0.2, help="first step of the fine-tuning")
    return result


def train(experiment: Any, changes: Sequence[str], folder: Path, tuned: Tuned, start: Path | None = None) -> Path:
    """Train, unless the folder is there and finished."""
    if not (folder.exists() and read_record(folder).get("result", {}).get("finished")):
        began = time.process_time()
        run = autoscaler.train(experiment, folder, overrides=changes, tuned=tuned, init_from=start)
        tell(f"{folder}: {time.process_time() - began:.0f} s of processor time; {run.describe()}")
    return folder


def own(part: Part) -> Tuned:
    """The constants of a trace."""
    return choose_together([part.training], [part.costs])


def leave_out(left: Part, others: Sequence[Part], arguments: argparse.Namespace) -> dict[str, list[Path]]:
    """Train all kinds, with all seeds; the folders by kind."""
    joint = choose_together([each.training for each in others], [each.costs for each in others])
    tell(f"{left.name}: constants of the others: {joint.describe()}; its own: {own(left).describe()}")
    alone = autoscaler.load_experiment(
        arguments.config, [f"trace={json.dumps(left.uri)}", "train.traces=[]", "train.variations.copies=0"]
    )
    general = [f"trace={json.dumps(others[0].uri)}", f"train.traces={json.dumps([each.uri for each in others[1:]])}"]
    general.append(f"train.total_steps={arguments.steps}")
    folder, folders = arguments.out / left.name, {kind: [] for kind in KINDS[1:]}
    for seed in range(arguments.seeds):
        mine = [f"train.total_steps={arguments.own_steps}", f"seed={seed}"]
        first = train(arguments.config, [*general, f"seed={seed}"], folder / f"general{seed}", joint)
        fine_steps = arguments.fine_steps or arguments.own_steps
        fine = [f"train.total_steps={fine_steps}", f"seed={seed}", f"agent.sigma={arguments.sigma}"]
        folders["general"].append(first)
        folders["fine-tuned"].append(train(alone, fine, folder / f"fine-tuned{seed}", own(left), first))
        folders["alone"].append(train(alone, mine, folder / f"alone{seed}", own(left)))
    return folders


def test(left: Part, others: Sequence[Part], folders: dict[str, list[Path]]) -> Comparison:
    """All kinds on the later windows of the trace that was left out."""
    training = left.training
    joint = choose_together([each.training for each in others], [each.costs for each in others])
    contenders = [
        Contender("reactive-tuned", (own(left).policy(training.config),), "rule"),
        Contender("constants", (joint.policy(training.config),), "rule"),
    ]
    for kind, runs in folders.items():
        policies = tuple(load_cluster_policy(run) for run in runs)
        contenders.append(Contender(kind, policies, "trained", seeds=tuple(range(len(runs)))))
    windows = equal_windows(training.trace, 0.6, 1.0, 5)
    scenario = Scenario(training.trace, training.cluster, training.config)
    return compare(scenario, contenders, windows, np.random.default_rng(0), reference="reactive-tuned", samples=0)


def cell(comparison: Comparison, kind: str) -> dict[str, Any]:
    """Change of the decidable cost with its interval, and in how many windows it is below 0."""
    versus = comparison.results[kind].versus
    assert versus is not None
    closed = versus.gap_closed
    low, high = (None if bound is None else -bound for bound in (closed.high, closed.low))
    return {"change": -closed.mean, "low": low, "high": high, "cheaper": int((versus.by_window < 0.0).sum())}


def text(values: dict[str, Any]) -> str:
    """A cell of the table."""
    interval = "" if values["low"] is None else f" [{values['low']:+.1%}, {values['high']:+.1%}]"
    return f"{values['change']:+.1%}{interval}"


def main() -> None:
    """Print a row for each trace that is left out."""
    quick = {"steps": 30_000, "own_steps": 20_000}
    arguments = parse(options(), **quick)
    unknown = sorted(set(arguments.leave_out or ()) - set(arguments.traces))
    if unknown:
        raise SystemExit(f"error: --leave-out names {unknown[0]}, which is none of the traces")
    before = describe()
    print(heading(before), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    experiment = autoscaler.load_experiment(arguments.config)
    parts = []
    for uri in arguments.traces:
        name = traces.load(uri).uri.split("?")[0].split("/")[-1].split(".")[0].replace(":", "-")
        name += "" if name not in {part.name for part in parts} else f"-{len(parts)}"
        one = replace(experiment, trace=uri, train=replace(experiment.train, traces=()))
        (training,) = training_windows(one)
        tell(f"{name}: try all constants on {training.jobs:,} jobs")
        parts.append(Part(name, uri, training, grid_costs(training, grid_rules(training.config.codec))))
    rows = {}
    print("| trace | decidable USD | " + " | ".join(KINDS) + " |\n|---|---|" + "---|" * len(KINDS), flush=True)
    for left in parts:
        if arguments.leave_out and left.uri not in arguments.leave_out:
            continue
        others = [part for part in parts if part is not left]
        comparison = test(left, others, leave_out(left, others, arguments))
        decidable = comparison.results["reactive-tuned"].estimates["decidable_usd"].mean
        rows[left.name] = {"decidable_usd": decidable, **{kind: cell(comparison, kind) for kind in KINDS}}
        cells = " | ".join(text(rows[left.name][kind]) for kind in KINDS)
        print(f"| {left.name} | {decidable:.1f} | {cells} |", flush=True)
    means = {kind: float(np.mean([row[kind]["change"] for row in rows.values()])) for kind in KINDS}
    print("| mean | | " + " | ".join(f"{means[kind]:+.1%}" for kind in KINDS) + " |")
    document = json_text({"machine": before, "rows": rows, "means": means})
    for path in (arguments.out / "result.json", *([] if arguments.json is None else [arguments.json])):
        write_text(path, document)


if __name__ == "__main__":
    main()
