"""Which features a searched policy needs: leave groups of them out, or leave only them.

    python benchmarks/ablation.py itp:cluster02.csv.gz itp:cluster09.csv.gz --out runs/ablation
    python benchmarks/ablation.py itp:cluster02.csv.gz --rows arrivals --seeds 3 --out runs/arrivals

Each variant is a `cma-es` policy, linear in its features but for two small networks, searched on the first 60 % of a
trace and tested on five later windows: changes of the decidable cost against `reactive-tuned`, mean of the seeds, and
the best and the worst one. The rows `arrivals` add what the codec's `arrival_features` show, kind by kind.
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
from envs.gpu_cluster.codec import INTENSITY

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

MEMORY = {
    "finer and longer memory": tuple(f"fading_gpus_{seconds}s" for seconds in (60, 300, 1800, 10800, 604800)),
    "self-excitation": (
        *(f"fading_jobs_{seconds}s" for seconds in (60, 300, 1800, 10800, 604800)),
        "mean_gap_seconds",
    ),
    "batches": ("batch_jobs", "batch_gpus", "mean_batch_gpus"),
    "gang sizes": ("mean_gang_gpus", "largest_gang_gpus", "last_gang_gpus"),
    "users": (
        "active_users",
        "busiest_user_share",
        "user_mean_gpus",
        "user_again",
        "user_gap_seconds",
        "users_next_gpus",
    ),
    "learned intensity": (INTENSITY,),
}
"""Kinds of what is remembered of submissions."""


def without(kind: str) -> tuple[str, ...]:
    """Today's features, and all kinds of the memory but one."""
    return (*FEATURES, *(name for other, names in MEMORY.items() if other != kind for name in names))


ARRIVALS = {
    "all": FEATURES,
    **{f"all, and {kind}": (*FEATURES, *names) for kind, names in MEMORY.items()},
    "all, and all of these": without(""),
    **{f"all of these without {kind}": without(kind) for kind in MEMORY},
    "four of the last hour, batches, intensity": (
        *SHORT,
        *MEMORY["batches"],
        *MEMORY["learned intensity"],
        *(name for name in FEATURES if name not in SUBMITTED),
    ),
}
ROWS = {"features": VARIANTS, "arrivals": ARRIVALS}


def options() -> argparse.ArgumentParser:
    """Options of the command line."""
    result = parser(__doc__)
    result.add_argument("traces", nargs="*", default=["synthetic:quickstart?days=30&seed=0"], help="URIs")
    result.add_argument("--out", type=Path, required=True, help="folder of the runs; results go there too")
    result.add_argument("--rows", choices=ROWS, default="features", help="which table (default %(default)s)")
    result.add_argument("--seeds", type=int, default=2, help="trainings of each variant (default %(default)s)")
    result.add_argument("--steps", type=int, default=10_000_000, help="decisions of a search (default %(default)s)")
    return result


def overrides(uri: str, rows: str) -> list[str]:
    """What all variants of a table have in common."""
    return [f"trace={json.dumps(uri)}", f"environment.codec.arrival_features={json.dumps(rows == 'arrivals')}"]


def train(uri: str, name: str, seed: int, folder: Path, arguments: argparse.Namespace, tuned: Tuned) -> Path:
    """Train a variant, unless its folder is there and finished."""
    if not (folder.exists() and read_record(folder).get("result", {}).get("finished")):
        changes = [*overrides(uri, arguments.rows), f"seed={seed}", f"train.total_steps={arguments.steps}"]
        changes += [f"agent.features={json.dumps(ROWS[arguments.rows][name])}", "agent.window_days=4.0"]
        changes.append(f"agent.hidden={json.dumps(NETWORKS.get(name, ()))}")
        run = autoscaler.train("experiment/quickstart", folder, overrides=changes, tuned=tuned)
        tell(f"{folder}: {run.describe()}")
    return folder


def changes_of(uri: str, number: int, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Change of the decidable cost of each variant on a trace, by seed."""
    experiment = autoscaler.load_experiment("experiment/quickstart", overrides(uri, arguments.rows))
    (training,) = training_windows(experiment)
    tuned = tune_heuristic(experiment)
    contenders = [Contender("reactive-tuned", (tuned.policy(training.config),), "rule")]
    runs = {}
    for at, name in enumerate(ROWS[arguments.rows]):
        for seed in range(arguments.seeds):
            folder = arguments.out / f"trace{number}-{at}-{seed}"
            policy = load_cluster_policy(train(uri, name, seed, folder, arguments, tuned))
            runs[name, seed] = f"{name}, seed {seed}"
            contenders.append(Contender(runs[name, seed], (policy,), "trained", seeds=(seed,)))
    windows = equal_windows(training.trace, 0.6, 1.0, 5)
    scenario = Scenario(training.trace, training.cluster, training.config)
    found = compare(scenario, contenders, windows, np.random.default_rng(0), reference="reactive-tuned", samples=0)
    changes: dict[str, list[float]] = {}
    for (name, _), run in runs.items():
        versus = found.results[run].versus
        assert versus is not None  # it is for all but the reference
        changes.setdefault(name, []).append(-versus.gap_closed.mean)
    return changes


def cell(seeds: list[float]) -> str:
    """The mean of the seeds, and the best and the worst one where there are several."""
    mean = f"{float(np.mean(seeds)):+.1%}"
    return mean if len(seeds) == 1 else f"{mean} [{min(seeds):+.1%}, {max(seeds):+.1%}]"


def main() -> None:
    """Print a row for each variant, with a column for each trace."""
    arguments = parse(options(), seeds=1, steps=20_000)
    before = describe()
    print(heading(before), flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    columns = {uri: changes_of(uri, number, arguments) for number, uri in enumerate(arguments.traces)}
    names = [uri.split("/")[-1].split(".")[0] for uri in columns]
    print(f"| features | number | {' | '.join(names)} | mean |\n|---|---|{'---|' * (len(names) + 1)}")
    for name, features in ROWS[arguments.rows].items():
        row = [column[name] for column in columns.values()]
        print(f"| {name} | {len(features)} | {' | '.join(map(cell, row))} | {float(np.mean(row)):+.1%} |")
    document = json_text({"machine": before, "changes": columns})
    for path in (arguments.out / "result.json", *([] if arguments.json is None else [arguments.json])):
        write_text(path, document)


if __name__ == "__main__":
    main()
