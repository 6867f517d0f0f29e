"""Make a policy of the package out of a run: `python packaging/ship_policy.py RUN NAME`, then write its card.md.

The saved config names the default trace in place of those of the run, which are files of one machine; the card says
what they were. Where the codec has changed since, but none of the features that a searched policy names,
`python packaging/ship_policy.py --renew NAME` makes it one of the present codec; else train it again.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from agents.artifact import CONFIG, MANIFEST, Manifest, find_artifact, read_manifest, save_artifact
from agents.pretrained import CARD, FOLDER
from autoscaler.experiment import DEFAULT_TRACE, load_experiment
from configs.loader import to_yaml
from envs.gpu_cluster.codec import CodecLayout, fingerprint


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


def renew(name: str) -> Path:
    """Save a searched policy of the package anew, for the present codec; weights and card stay."""
    target = FOLDER / name
    document = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    values = {field: document[field] for field in Manifest.__slots__}
    layout = CodecLayout(**values["codec"])
    manifest = Manifest(**{**values, "codec": layout.to_dict(), "codec_fingerprint": fingerprint(layout)})
    kept = {path.name: path.read_bytes() for path in target.iterdir() if path.name != MANIFEST}
    card = kept.pop(CARD)

    def write(folder: Path) -> None:
        for file, content in kept.items():
            (folder / file).write_bytes(content)

    save_artifact(target, manifest, write)
    (target / CARD).write_bytes(card)
    return target


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    if sys.argv[1] == "--renew":
        sys.stderr.write(f"{renew(sys.argv[2])}: made for the present codec\n")
    else:
        sys.stderr.write(f"{ship(*sys.argv[1:])}: write its {CARD}\n")
