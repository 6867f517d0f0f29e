"""Train one experiment with several seeds, one learner per core, and compare all of them with the baselines.

    python benchmarks/seeds.py configs/experiment/quickstart.yaml --seeds 10 --out runs/quickstart-seeds

Every seed is a run folder; seeds that are finished already are not trained again. The comparison is
`autoscaler evaluate` of all runs together: on later windows than those that were trained and tuned on, with paired
bootstrap intervals over seeds and windows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AUTOSCALER = [sys.executable, "-m", "autoscaler"]


def parse() -> argparse.Namespace:
    """Arguments of the command line; those behind `--` go to `autoscaler train`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="experiment config or preset")
    parser.add_argument("--trace", help="train and test on this trace instead of the config's")
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds, from 0 on")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="trainings at the same time")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; results go there too")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override of the config")
    return parser.parse_args()


def train(arguments: argparse.Namespace, seed: int) -> Path:
    """Train one seed in a process of its own, unless its folder is there and finished; return the folder."""
    folder: Path = arguments.out / f"seed{seed}"
    log = arguments.out / f"seed{seed}.log"
    if (folder / "policy").is_dir() and log.is_file() and log.read_text().rstrip().endswith(str(folder)):
        return folder
    if any((folder / "checkpoints").glob("step-*")):
        command = [*AUTOSCALER, "train", "--resume", str(folder)]
    else:
        command = [*AUTOSCALER, "train", arguments.config, "--seed", str(seed)]
        command += ["--name", folder.name, "--out", str(arguments.out)]
        command += [] if arguments.trace is None else ["--trace", arguments.trace]
        for override in arguments.set:
            command += ["--set", override]
    with log.open("w") as output:
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=True)
    sys.stderr.write(f"seed {seed}: done\n")
    return folder


def main() -> None:
    """Train all seeds, then compare."""
    arguments = parse()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(arguments.processes) as pool:
        runs = list(pool.map(lambda seed: train(arguments, seed), range(arguments.seeds)))
    report, result = arguments.out / "report.html", arguments.out / "result.json"
    command = [*AUTOSCALER, "evaluate", *map(str, runs), "--baselines", "all"]
    subprocess.run([*command, "--report", str(report), "--json", str(result)], check=True)


if __name__ == "__main__":
    main()
