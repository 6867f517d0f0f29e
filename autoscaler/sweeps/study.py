"""Run a sweep: what `autoscaler sweep` calls. Several processes may work on one folder, and any of them may stop.

study.db   Optuna's storage (SQLite): trials, their values and what was reported of them
sweep.yaml the resolved config: the experiment and what is searched
trials/    a run folder for each trial and seed
best.yaml  the experiment of the best trial, which `autoscaler train` takes
report.json, report.png  all trials, the best, and how much each key matters
"""

from __future__ import annotations

import fcntl
import math
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from agents.baselines.tuned import Tuned
from autoscaler.experiment import ExperimentConfig
from autoscaler.progress import Progress, Reporter, make_reporter
from autoscaler.sweeps.report import SweepReport, write_report
from autoscaler.sweeps.space import SweepConfig, SweepError, load_sweep
from autoscaler.training import Hooks, train, tune_heuristic
from configs.errors import UserError
from configs.files import check_output_folder
from configs.loader import dump_yaml, to_yaml
from envs.gpu_cluster.config import EnvironmentConfig

STUDY, SWEEP, TRIALS, LOCK = "study.db", "sweep.yaml", "trials", ".lock"
NAME = "sweep"
PROCESS, SETUP, AGAIN, ERROR = "process", "setup", "again", "error"  # attributes that Optuna keeps for us
STARTUP_TRIALS = 5
"""Trials that run to their end before the median of the others may prune one."""


class _StoppedError(Exception):
    """The caller stopped a trial."""


class SeededSampler(optuna.samplers.BaseSampler):
    """Optuna's TPE, with a new seed for each trial by its number.

    So processes that share a study never draw alike, and a sweep that is resumed draws what it would have drawn.

    Args:
        seed: of the sweep.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sampler = optuna.samplers.TPESampler(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Begin a trial."""
        seed = int(np.random.SeedSequence((self._seed, trial.number)).generate_state(1)[0])
        self._sampler = optuna.samplers.TPESampler(seed=seed)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """What is drawn together."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """Draw that."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """Draw one value alone."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


def sweep(
    config: SweepConfig | Mapping[str, Any] | str | Path,
    folder: str | Path,
    *,
    trials: int,
    seeds: int = 1,
    overrides: Sequence[str] = (),
    should_stop: Callable[[], bool] = lambda: False,
    progress: bool | Reporter = False,
) -> SweepReport:
    """Search hyperparameters until a study holds a number of trials; one that is there goes on.

    A trial's value is the best validation score that its training reached, the mean over seeds; the start does not
    count, which is the same for all. A trial that is worse than the median of the others at the same validation is
    pruned.

    Args:
        config: the experiment and what is searched.
        folder: of the sweep.
        trials: how many the study holds in the end, pruned and failed ones included, of all processes.
        seeds: trainings of each trial, from the experiment's seed on.
        overrides: changes of the config, `key.of.field=value` each.
        should_stop: asked before each iteration; True stops, and the trial that runs is tried again the next time.
        progress: see `autoscaler.progress`.

    Raises:
        ConfigError: the config cannot be read, or a value has no meaning.
        SweepError: the search has no meaning, or the folder holds another sweep.
        OutputFileError: the folder cannot be written.
        TraceError: the trace cannot be loaded.
        ClusterError: trace, cluster and codec do not fit together.
    """
    described, target = load_sweep(config, overrides), Path(folder)
    for name, number in (("trials", trials), ("seeds", seeds)):
        if number < 1:
            raise SweepError(f"{name} is {number}; it must be at least 1")
    check_output_folder(target)
    study = _open(described, target, seeds)
    reporter = make_reporter(progress)
    worker = _Worker(described, target, study, seeds, trials, should_stop, reporter)
    with _locked(target):
        _release(study)
    while not should_stop() and len(counted(study)) < trials:
        if not worker.run_one():
            break
    return write_report(target, described, study.get_trials(deepcopy=False), seeds)


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have begun, without those that were stopped and wait to be tried again."""
    found = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get(AGAIN) for trial in found}
    return [trial for trial in found if trial.state != TrialState.WAITING and trial.number not in again]


def _open(config: SweepConfig, folder: Path, seeds: int) -> optuna.Study:
    """The study of a folder; a new one where there is none."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    entries = {entry.name for entry in folder.iterdir()} - {LOCK}
    if entries and STUDY not in entries:
        raise SweepError(f"{folder}: is no folder of a sweep and not empty; choose another --out or --name")
    with _locked(folder):
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{(folder / STUDY).absolute()}", engine_kwargs={"connect_args": {"timeout": 60.0}}
        )
        study = optuna.create_study(
            storage=storage,
            study_name=NAME,
            direction="minimize",
            load_if_exists=True,
            sampler=SeededSampler(config.seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
        )
        setup = {"config": to_yaml(config), "seeds": seeds}
        if study.user_attrs.setdefault(SETUP, setup) != setup:
            raise SweepError(
                f"{folder}: holds a sweep of another config or number of seeds (see {folder / SWEEP}); choose another "
                "--out or --name, or give the same config and --seeds"
            )
        study.set_user_attr(SETUP, setup)
        dump_yaml(config, folder / SWEEP)
    return study


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time: two that make the tables of a study at once would fail."""
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _release(study: optuna.Study) -> None:
    """Give up the trials of processes of this machine that are gone, and put them up to be tried again."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, pid = trial.user_attrs.get(PROCESS, (None, None))
        if host == socket.gethostname() and not _is_alive(pid):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})


@dataclass(slots=True)
class _Worker:
    """This process, working on a study."""

    config: SweepConfig
    folder: Path
    study: optuna.Study
    seeds: int
    trials: int
    should_stop: Callable[[], bool]
    reporter: Reporter
    tuned: dict[EnvironmentConfig, Tuned] = field(default_factory=dict)

    def run_one(self) -> bool:
        """Run the next trial; False when the caller stopped it."""
        trial = self.study.ask()
        trial.set_user_attr(PROCESS, [socket.gethostname(), os.getpid()])
        values = {key: span.suggest(trial, key) for key, span in self.config.sweep.items()}
        text = ", ".join(f"{key}={value}" for key, value in values.items())
        self.reporter.note(f"trial {trial.number}: {text}")
        try:
            value = self._score(trial, self.config.experiment(values))
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
            self.reporter.note(f"trial {trial.number}: pruned")
        except _StoppedError:
            self._retry(trial)
            return False
        except UserError as error:
            if not self._any_done():  # most likely the experiment itself is wrong
                self.study.tell(trial, state=TrialState.FAIL)
                raise
            trial.set_user_attr(ERROR, str(error))
            self.study.tell(trial, state=TrialState.FAIL)
            self.reporter.note(f"trial {trial.number}: failed: {error}")
        except BaseException:
            self._retry(trial)
            raise
        else:
            self.study.tell(trial, value)
            self.reporter.note(f"trial {trial.number}: {value:.2f} USD, best {self.study.best_value:.2f}")
        return True

    def _retry(self, trial: optuna.Trial) -> None:
        self.study.tell(trial, state=TrialState.FAIL)
        self.study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})

    def _any_done(self) -> bool:
        return any(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in counted(self.study))

    def _score(self, trial: optuna.Trial, experiment: ExperimentConfig) -> float:
        """Train every seed of a trial; the mean of their validation scores."""
        scores = []
        for number in range(self.seeds):
            seed = experiment.seed + number
            watch = _Watch(trial, number * (experiment.train.validations + 1), self.should_stop)
            run = train(
                replace(experiment, seed=seed),
                self.folder / TRIALS / f"{trial.number:04d}-seed{seed}",
                tuned=self._tuned(experiment),
                hooks=Hooks(watch.on_log, watch.should_stop),
                progress=_TrialReporter(self.reporter, f"trial {trial.number} of {self.trials}, seed {seed}"),
            )
            watch.check(run.result.finished)
            scores.append(watch.best_usd)
        return float(np.mean(scores))

    def _tuned(self, experiment: ExperimentConfig) -> Tuned:
        """The tuned heuristic: once for each set of settings of the environment, not for each trial."""
        if experiment.environment not in self.tuned:
            self.tuned[experiment.environment] = tune_heuristic(experiment, self.reporter)
        return self.tuned[experiment.environment]


class _Watch:
    """Reports the validations of one training to its trial, and stops it where the pruner or the caller wants that.

    Args:
        trial: the trial.
        first: number of the training's first validation. Numbers and not environment steps are what trials are compared
            at, because each may have rollouts of its own length.
        should_stop: of the caller.
    """

    def __init__(self, trial: optuna.Trial, first: int, should_stop: Callable[[], bool]) -> None:
        self._trial, self._next, self._caller_stops = trial, first, should_stop
        self._is_pruned = self._is_stopped = False
        self.best_usd = math.inf

    def on_log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Look for a validation in an entry of the learning curve."""
        # The start is not reported: it is the same for all, and the pruner goes by the best of what was reported.
        if "validation/usd" in numbers and step > 0:
            usd = numbers["validation/usd"]
            self.best_usd = min(self.best_usd, usd)
            self._trial.report(usd, self._next)
            self._next += 1
            self._is_pruned = self._trial.should_prune()

    def should_stop(self) -> bool:
        """Whether the training stops."""
        self._is_stopped = not self._is_pruned and self._caller_stops()
        return self._is_pruned or self._is_stopped

    def check(self, finished: bool) -> None:
        """After the training: raise what stopped it."""
        if not finished:
            raise _StoppedError if self._is_stopped else optuna.TrialPruned


class _TrialReporter(Reporter):
    """Tells of a training by the name of its trial, and leaves out all else."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        self._reporter, self._name = reporter, name

    def progress(
        self, description: str, total: int, unit: str = "steps", *, done: int = 0
    ) -> AbstractContextManager[Progress]:
        """Follow the training."""
        return self._reporter.progress(self._name, total, unit, done=done)
