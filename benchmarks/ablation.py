"""Which features a searched policy needs: leave groups of them out, or leave only them.

    python benchmarks/ablation.py itp:cluster02.csv.gz itp:cluster09.csv.gz --out runs/ablation

Each variant is a `cma-es` policy, linear in its features but for two small networks, searched on the first 60 % of a
trace and tested on five later windows: changes of the decidable cost against `reactive-tuned`, mean of the seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from _common import describe, heading, parse, parser, tell

import autoscaler
from agents.baselines.tuned import Tuned
from agents.es.cma_es import FEATURES
from agents.loading import load_cluster_policy
from autoscaler.evaluation.comparison import Contender, compare
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.windows import equal_windows
from autoscaler.run_folder import read_record
from autoscaler.training import training_windows, tune_heuristic
from configs.files import json_text, write_text

SUBMITTED = tuple(name for name in FEATURES if name.startswith("submitted") or name == "since_submit")
SHORT = ("submitted_gpus_600s", "submitted_gpus_3600s", "submitted_10min_against_1h", "submitted_jobs_1h")
CLOCK = ("hour_00", "hour_04", "hour_08", "hour_12", "hour_16", "hour_20", "weekend")
NETWORKS = {"all, a layer of 8 units": (8,), "all, two layers of 32 units": (32, 32)}
"""Hidden layers of those that are not linear."""
VARIANTS = {
    "all": FEATURES,
    "all, hours and weekend": (*FEATURES, *CLOCK),
    "without submissions": tuple(name for name in FEATURES if name not in SUBMITTED),
    "submissions only": SUBMITTED,
    "the last hour only": SHORT,
    "time since the last job only": ("since_submit",),
    "without time since the last job": tuple(name for name in FEATURES if name != "since_submit"),
    "hours and weekend only": CLOCK,
    **dict.fromkeys(NETWORKS, FEATURES),
}


def options() -> argparse.ArgumentParser:
    """Options of the command line."""
    result = parser(__doc__)
    result.add_argument("traces", nargs="*", default=["synthetic:quickstart?days=30&seed=0"], help="URIs")
    result.add_argument("--out", type=Path, required=True, help="folder of the runs; results go there too")
    result.add_argument("--seeds", type=int, default=2, help="trainings of each variant (default %(default)s)")
    result.add_argument("--steps", type=int, default=10_000_000, help="decisions of a search (default %(default)s)")
    return result


def train(uri: str, name: str, seed: int, steps: int, folder: Path, tuned: Tuned) -> Path:
    """Train a variant, unless its folder is there and finished."""
    if not (folder.exists() and read_record(folder).get("result", {}).get("finished")):
        changes = [f"trace={json.dumps(uri)}", f"seed={seed}", f"train.total_steps={steps}"]
        changes += [f"agent.features={json.dumps(VARIANTS[name])}", "agent.window_days=4.0"]
        changes.append(f"agent.hidden={json.dumps(NETWORKS.get(name, ()))}")
        run = autoscaler.train("experiment/quickstart", folder, overrides=changes, tuned=tuned)
        tell(f"{folder}: {run.describe()}")
    return folder


def changes_of(uri: str, number: int, arguments: argparse.Namespace) -> dict[str, float]:
    """Change of the decidable cost of each variant on a trace."""
    experiment = autoscaler.load_experiment("experiment/quickstart", [f"trace={json.dumps(uri)}"])
    (training,) = training_windows(experiment)
    tuned = tune_heuristic(experiment)
    contenders = [Contender("reactive-tuned", (tuned.policy(training.config),), "rule")]
    for at, name in enumerate(VARIANTS):
        folders = [
            train(uri, name, seed, arguments.steps, arguments.out / f"trace{number}-{at}-{seed}", tuned)
            for seed in range(arguments.seeds)
        ]
        policies = tuple(load_cluster_policy(folder) for folder in folders)
        contenders.append(Contender(name, policies, "trained", seeds=tuple(range(arguments.seeds))))
    windows = equal_windows(training.trace, 0.6, 1.0, 5)
    scenario = Scenario(training.trace, training.cluster, training.config)
    found = compare(scenario, contenders, windows, np.random.default_rng(0), reference="reactive-tuned", samples=0)
    versus = {name: found.results[name].versus for name in VARIANTS}
    return {name: -each.gap_closed.mean for name, each in versus.items() if each is not None}


def main() -> None:
    """Print a row for each variant, with a column for each trace."""
    arguments = parse(options(), seeds=1, steps=20_000)
    before = describe()
    print(heading(before), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    columns = {uri: changes_of(uri, number, arguments) for number, uri in enumerate(arguments.traces)}
    names = [uri.split("/")[-1].split(".")[0] for uri in columns]
    print(f"| features | number | {' | '.join(names)} | mean |\n|---|---|{'---|' * (len(names) + 1)}")
    for name, features in VARIANTS.items():
        row = [column[name] for column in columns.values()]
        cells = " | ".join(f"{value:+.1%}" for value in [*row, float(np.mean(row))])
        print(f"| {name} | {len(features)} | {cells} |")
    document = json_text({"machine": before, "changes": columns})
    for path in (arguments.out / "result.json", *([] if arguments.json is None else [arguments.json])):
        write_text(path, document)


if __name__ == "__main__":
    main()
