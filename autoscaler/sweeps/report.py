"""The report of a sweep: all trials, the best one as a config, how much each key matters, and a figure of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from autoscaler.evaluation.formats import percent
from autoscaler.evaluation.provenance import provenance
from autoscaler.sweeps.space import SweepConfig
from configs.files import atomic_path, json_text, write_text
from configs.loader import dump_yaml, to_dict

SCHEMA = "autoscaler.sweep/1"
BEST, REPORT, FIGURE = "best.yaml", "report.json", "report.png"
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
LEAST_TRIALS = 4
"""Finished trials from which on it is told how much each key matters."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One trial.

    Attributes:
        number: of the trial; its run folders are `trials/NUMBER-seedSEED`.
        state: finished, pruned, failed, running or waiting.
        usd: the best validation score that training reached, mean over seeds; of a pruned trial, its last one; None
            where there is none.
        values: what it drew, by dotted key.
        error: why it failed, where that is known.
    """

    number: int
    state: str
    usd: float | None
    values: Mapping[str, Any]
    error: str | None


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What a sweep found so far.

    Attributes:
        folder: of the sweep.
        config: the experiment and what was searched.
        seeds: trainings of each trial.
        trials: all of them, in the order of their numbers.
        importances: by dotted key, sum 1: how much the value of each decides whether a trial is among the best;
            empty where too few trials have finished.
    """

    folder: Path
    config: SweepConfig
    seeds: int
    trials: tuple[TrialResult, ...]
    importances: Mapping[str, float]

    @property
    def best(self) -> TrialResult | None:
        """The finished trial with the lowest score; None where none has finished."""
        finished = [(trial.usd, trial.number, trial) for trial in self.trials if trial.state == "finished"]
        return min(finished)[2] if finished else None

    @property
    def best_config(self) -> Path | None:
        """The config of the best trial, which `autoscaler train` takes; None where none has finished."""
        return None if self.best is None else self.folder / BEST

    def document(self) -> dict[str, Any]:
        """What `report.json` holds, see docs/json.md."""
        return {
            "schema": SCHEMA,
            "folder": str(self.folder),
            "seeds": self.seeds,
            "best": None if self.best is None else self.best.number,
            "trials": [
                {name: getattr(trial, name) for name in TrialResult.__slots__} | {"values": dict(trial.values)}
                for trial in self.trials
            ],
            "importances": dict(self.importances),
            "config": to_dict(self.config),
            "provenance": provenance(),
        }

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of a table for humans: the best trials first, then the others by number."""
        keys = list(self.config.sweep)
        order = sorted(self.trials, key=lambda trial: (trial.state != "finished", _score(trial), trial.number))
        rows = [
            [f"{trial.number}", trial.state, "" if trial.usd is None else f"{trial.usd:.2f}"]
            + [_text(trial.values.get(key)) for key in keys]
            for trial in order
        ]
        if self.importances:
            rows.append(["importance", "", "", *(percent(self.importances.get(key, 0.0)) for key in keys)])
        return ["trial", "state", "USD per window", *keys], rows


def write_report(folder: Path, config: SweepConfig, trials: Sequence[FrozenTrial], seeds: int) -> SweepReport:
    """Write what a study holds so far into the folder of the sweep.

    Args:
        folder: of the sweep.
        config: of the sweep.
        trials: of Optuna's study.
        seeds: trainings of each trial.

    Raises:
        OutputFileError: a file cannot be written.
    """
    results = tuple(_result(trial, config) for trial in trials)
    report = SweepReport(folder, config, seeds, results, _importances(trials, config))
    write_text(folder / REPORT, json_text(report.document()))
    if report.best is not None:
        dump_yaml(config.experiment(report.best.values), folder / BEST)
    with atomic_path(folder / FIGURE) as temporary:
        figure(report).savefig(temporary, format="png", dpi=120)
    return report


def _result(trial: FrozenTrial, config: SweepConfig) -> TrialResult:
    values = {key: config.sweep[key].parse(value) for key, value in trial.params.items()}
    return TrialResult(trial.number, STATES[trial.state], trial.value, values, trial.user_attrs.get("error"))


def _importances(trials: Sequence[FrozenTrial], config: SweepConfig) -> dict[str, float]:
    """By PED-ANOVA, which needs no further package.

    Source: Watanabe, Bansal, Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
    Subspaces" (2023).
    """
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if len(finished) < LEAST_TRIALS or len({trial.value for trial in finished}) < 2:
        return {}
    study = optuna.create_study(direction="minimize")  # in memory, without what other processes add meanwhile
    study.add_trials(finished)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {key: float(found.get(key, 0.0)) for key in config.sweep}


def figure(report: SweepReport) -> Figure:
    """The score of each trial and the best so far, and how much each key matters."""
    drawing = Figure(figsize=(10.0, 4.0), layout="constrained")
    scores, keys = drawing.subplots(1, 2, width_ratios=(3, 2))
    finished = [(trial.number, trial.usd) for trial in report.trials if trial.state == "finished" and trial.usd]
    pruned = [(trial.number, trial.usd) for trial in report.trials if trial.state == "pruned" and trial.usd]
    for points, marker, color, label in ((finished, "o", "C0", "finished"), (pruned, "x", "0.6", "pruned")):
        if points:
            scores.scatter(*zip(*points, strict=True), marker=marker, color=color, label=label)
    if finished:
        numbers, values = zip(*finished, strict=True)
        best = [min(values[: index + 1]) for index in range(len(values))]
        scores.step(numbers, best, where="post", color="C1", label="best so far")
        scores.legend()
    scores.set(xlabel="trial", ylabel="validation, USD per window")
    shown = sorted(report.importances.items(), key=lambda item: item[1])
    keys.barh([key for key, _ in shown], [share for _, share in shown])
    keys.set(xlabel="importance", xlim=(0.0, 1.0))
    return drawing


def _score(trial: TrialResult) -> float:
    return float("inf") if trial.usd is None or trial.state != "finished" else trial.usd


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
