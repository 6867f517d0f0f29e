"""Train one experiment with several seeds, one learner per core, and compare all of them with the baselines.

    python benchmarks/seeds.py configs/experiment/quickstart.yaml --seeds 10 --out runs/quickstart-seeds
    python benchmarks/seeds.py configs/experiment/quickstart.yaml --seeds 10 --out runs/ppo-seeds \
        --set agent.name=setpoint-ppo --init-from runs/quickstart-seeds

Every seed is a run folder with a log beside it. A seed that has finished is not trained again, one that was stopped
goes on. The comparison is that of `autoscaler evaluate` for all runs together: on later windows than those that were
trained and tuned on, with paired bootstrap intervals over seeds and windows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from _common import parse, parser, tell

import autoscaler
from autoscaler.cli._table import print_columns
from autoscaler.evaluation.tables import tables_of
from autoscaler.progress import Terminal
from autoscaler.run_folder import read_record
from configs.files import json_text, write_text

QUICK = ("train.total_steps=20_000",)


def options() -> argparse.ArgumentParser:
    """Options of the command line."""
    result = parser(__doc__)
    result.add_argument("config", nargs="?", default="experiment/quickstart", help="experiment config or preset")
    result.add_argument("--trace", help="train and test on this trace instead of the config's")
    result.add_argument("--seeds", type=int, default=10, help="how many seeds, from 0 on (default %(default)s)")
    result.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="trainings at the same time")
    result.add_argument("--out", type=Path, required=True, help="folder of the runs; results go there too")
    result.add_argument("--init-from", type=Path, metavar="FOLDER", help="begin at the run of the same seed there")
    result.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override of the config")
    return result


def train(experiment: autoscaler.ExperimentConfig, folder: Path) -> str:
    """Train one seed, unless its folder is there and finished; returns how that ended."""
    if folder.exists() and read_record(folder).get("result", {}).get("finished"):
        return "finished before"
    with folder.with_suffix(".log").open("a") as log:
        reporter = Terminal(log)
        if folder.exists():
            run = autoscaler.resume(folder, progress=reporter)
        else:
            run = autoscaler.train(experiment, folder, progress=reporter)
        reporter.note(run.describe())
    return run.describe()


def train_all(experiments: Sequence[autoscaler.ExperimentConfig], out: Path, processes: int) -> list[Path]:
    """Train all seeds, some at a time, each in a process of its own."""
    folders = [out / f"seed{experiment.seed}" for experiment in experiments]
    context = multiprocessing.get_context("spawn")  # torch and numba must not be forked
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        work = {pool.submit(train, *pair): pair[1] for pair in zip(experiments, folders, strict=True)}
        for number, done in enumerate(as_completed(work), 1):
            tell(f"{number} of {len(work)}: {work[done]}: {done.result()}")
    return folders


def of_seed(seed: int, arguments: argparse.Namespace) -> list[str]:
    """Overrides of one seed."""
    start = (
        []
        if arguments.init_from is None
        else [f"train.init_from={json.dumps(str(arguments.init_from / f'seed{seed}'))}"]
    )
    return [f"seed={seed}", *start]


def main() -> None:
    """Train all seeds, then compare."""
    arguments = parse(options(), seeds=2)
    out, changes = arguments.out, [*(QUICK if arguments.quick else ()), *arguments.set]
    changes += [] if arguments.trace is None else [f"trace={json.dumps(arguments.trace)}"]
    experiment = autoscaler.load_experiment(arguments.config, changes)
    out.mkdir(parents=True, exist_ok=True)
    seeds = [autoscaler.load_experiment(experiment, of_seed(seed, arguments)) for seed in range(arguments.seeds)]
    comparison = autoscaler.evaluate(train_all(seeds, out, arguments.processes), progress=True)
    comparison.write_report(out / "report.html")
    document = json_text(comparison.document())
    for path in (out / "result.json", *([] if arguments.json is None else [arguments.json])):
        write_text(path, document)
    for title, header, rows in tables_of(comparison):
        print_columns(title, header, rows)


if __name__ == "__main__":
    main()
