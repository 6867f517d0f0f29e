"""Runs: trained policies with the experiment that made them, and which of them are seeds of one policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.artifact import CONFIG, find_artifact, read_manifest
from agents.errors import ArtifactError
from agents.loading import load_cluster_policy
from agents.pretrained import is_pretrained
from autoscaler.evaluation.comparison import Contender
from autoscaler.evaluation.kept import Kept
from autoscaler.experiment import ExperimentConfig, LoggingConfig
from autoscaler.run_folder import RUN
from configs.loader import load_config

if TYPE_CHECKING:
    from agents.baselines.tuned import Tuned
    from agents.policy import Policy


@dataclass(frozen=True, slots=True)
class Run:
    """A trained policy and where it comes from.

    Attributes:
        source: the folder, as the user wrote it.
        policy: the policy.
        experiment: the settings that trained it.
        tuned: the heuristic that was tuned beside it; None where only the artifact is there.
        kept: which step of the training the policy is.
    """

    source: str
    policy: Policy
    experiment: ExperimentConfig
    tuned: Tuned | None
    kept: Kept


def load_run(source: str) -> Run:
    """Load the policy of a run folder or of an artifact, to be run by one thread.

    Networks are small and so are batches of windows: more threads only wait for each other, and make the last bits of a
    result depend on the machine.

    Raises:
        ArtifactError: there is none, it is damaged, or it was made for another codec or environment.
        ConfigError: its settings cannot be read.
    """
    artifact = find_artifact(source)
    import torch

    policy = load_cluster_policy(source)
    torch.set_num_threads(1)
    experiment = load_config(artifact / CONFIG, ExperimentConfig)
    manifest = read_manifest(artifact)
    kept = Kept(manifest.kept_step, manifest.total_steps)
    return Run(source, policy, experiment, _tuned(Path(source)), kept)


def _tuned(folder: Path) -> Tuned | None:
    from agents.baselines.tuned import Tuned

    path = folder / RUN
    if not path.is_file():
        return None
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["tuned"]
        return Tuned.from_dict(values)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read ({error}); the run folder is damaged, copy it again") from error


def contenders_of(runs: Sequence[Run]) -> list[Contender]:
    """One contender for all runs of the same experiment: they are seeds of one policy, in the order given.

    Seeds may each have begun at a run of its own (`train.init_from`). Where one seed began at several, starts count.

    A policy has the name of its agent; where two policies would have the same, that of its first run folder too. A
    policy of the package has its own.
    """
    groups: dict[ExperimentConfig, list[Run]] = {}
    for run in runs:
        groups.setdefault(_but_seed_and_start(run.experiment), []).append(run)
    for key, seeds in list(groups.items()):
        began = {(run.experiment.seed, run.experiment.train.init_from) for run in seeds}
        if len(began) > len({seed for seed, _ in began}):
            del groups[key]
            for run in seeds:
                groups.setdefault(replace(key, train=run.experiment.train), []).append(run)
    agents = [experiment.agent.name for experiment in groups]
    contenders = []
    for experiment, seeds in groups.items():
        name = experiment.agent.name
        if is_pretrained(seeds[0].source):
            name = seeds[0].source
        elif agents.count(name) > 1:
            name = f"{name} ({Path(seeds[0].source).name})"
        contenders.append(
            Contender(
                name=name,
                policies=tuple(run.policy for run in seeds),
                kind="trained",
                seeds=tuple(run.experiment.seed for run in seeds),
                sources=tuple(run.source for run in seeds),
                kept=tuple(run.kept for run in seeds),
            )
        )
    return contenders


def _but_seed_and_start(experiment: ExperimentConfig) -> ExperimentConfig:
    """What seeds of one policy have in common."""
    start = None if experiment.train.init_from is None else ""
    train = replace(experiment.train, init_from=start)
    return replace(experiment, seed=0, logging=LoggingConfig(), train=train)
