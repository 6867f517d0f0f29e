"""Make a policy of the package out of a run: `python packaging/ship_policy.py RUN NAME`, then write its card.md.

The saved config names the default trace in place of those of the run, which are files of one machine; the card says
what they were.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from agents.artifact import CONFIG, MANIFEST, find_artifact, read_manifest, save_artifact
from agents.pretrained import CARD, FOLDER
from autoscaler.experiment import DEFAULT_TRACE, load_experiment
from configs.loader import to_yaml


def ship(run: str, name: str) -> Path:
    """Save the policy of a run under a name of the package, and return its folder; a card that is there stays."""
    source, target = find_artifact(run), FOLDER / name
    experiment = load_experiment(source / CONFIG)
    train = replace(experiment.train, traces=(), init_from=None)
    text = to_yaml(replace(experiment, trace=DEFAULT_TRACE, train=train).plain_values())
    card = (target / CARD).read_text(encoding="utf-8") if (target / CARD).is_file() else ""

    def write(folder: Path) -> None:
        for path in source.iterdir():
            if path.name not in (MANIFEST, CONFIG):
                shutil.copyfile(path, folder / path.name)
        (folder / CONFIG).write_text(text, encoding="utf-8")

    save_artifact(target, read_manifest(source), write)
    (target / CARD).write_text(card, encoding="utf-8")
    return target


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    sys.stderr.write(f"{ship(*sys.argv[1:])}: write its {CARD}\n")
