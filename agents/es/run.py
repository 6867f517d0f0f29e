"""A training by search: generations, validation, checkpoints; it can be stopped and resumed to the same bits."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat

from agents.artifact import Manifest, find_artifact, new_folder, read_manifest
from agents.errors import ArtifactError
from agents.es.arena import Arena, start_weights
from agents.es.cma_es import CmaES
from agents.es.files import read_weights, save_trained
from agents.es.search import Search
from agents.sb3.curve import CurveWriter
from agents.sb3.run import KEEP_CHECKPOINTS, POLICY, checkpoints
from agents.sb3.training import CURVE, TENSORBOARD
from agents.training import Hooks, Result
from configs.serialize import to_dict
from envs.gpu_cluster.codec import RULE_SETPOINT, number_of_weights, start_of
from envs.gpu_cluster.codec.setpoint_policy import OUTPUTS

STATE, TOLD = "state.json", "told.npz"
SEARCHES, WINDOWS = 1, 2
"""Streams of random numbers of an experiment's seed."""


CONSTANTS, START = "the tuned constants are", "the policy that it started from is"


class Choice(NamedTuple):
    """What the validation part chose.

    Attributes:
        weights: [number of weights] float64.
        factor: by which the mean of the searches was shrunk; 0: `base` is kept.
        usd: mean cost of a validation window.
        tuned_usd: that of the tuned constants.
        gain: mean saving on a window by the best factor against `base`, as a share of the constants' cost.
        error: standard error of it.
        base: what is kept where nothing better is proved.
    """

    weights: NDArray[np.float64]
    factor: float
    usd: float
    tuned_usd: float
    gain: float
    error: float
    base: str = CONSTANTS

    def describe(self) -> str:
        """In words, for the record of the run."""
        found = f"{self.gain:+.1%} of the constants' cost saved on the validation part, standard error {self.error:.1%}"
        if self.factor == 0.0:
            return f"{self.base} kept: {found} is no proof"
        return f"the mean of the searches times {self.factor:g}: {found}"


class SearchRun:
    """Searches that take turns, generation by generation, until the steps are done.

    Args:
        task: what is trained.
        settings: of the agent.
        folder: the run folder.
        hooks: of the caller.
        arena: where candidates compete; None: windows of the task's traces.
        zero: weights of a policy that is the baseline; None: those of the tuned constants.
    """

    def __init__(
        self,
        task: Any,
        settings: CmaES,
        folder: Path,
        hooks: Hooks,
        arena: Any = None,
        zero: NDArray[np.float64] | None = None,
    ) -> None:
        self._task, self._settings, self._folder, self._hooks = task, settings, folder, hooks
        self._arena: Any = Arena(task) if arena is None else arena
        self._zero = self._anchor = start_weights(settings, task.seed) if zero is None else zero
        self._searches = self._make_searches(self._zero)
        self._curve = CurveWriter(folder / CURVE)
        board = TensorBoardOutputFormat(str(folder / TENSORBOARD))
        self._writers: list[KVWriter] = [self._curve, board, *hooks.writers]
        self._choice = Choice(self._zero, 0.0, 0.0, 0.0, 0.0, 0.0)
        self.steps = self._generation = self._kept_step = self._saved_at = 0
        self._validated_at = -1
        self._is_stopped = False

    def _make_searches(self, mean: NDArray[np.float64]) -> list[Search]:
        settings, seed = self._settings, self._task.seed
        generators = [np.random.default_rng([seed, SEARCHES, number]) for number in range(settings.restarts)]
        return [Search(mean, settings.sigma, settings.population, generator) for generator in generators]

    def start_from(self, path: str) -> None:
        """Let every search begin at another run's policy and stay near it.

        Its weights count from its own constants, so what lies between those and the constants here goes into biases.

        Raises:
            ArtifactError: there are none, or they belong to another agent, other features or another codec.
        """
        folder = find_artifact(path)
        manifest = read_manifest(folder)
        if manifest.agent != self._settings.name:
            raise ArtifactError(f"{folder}: its policy is of agent {manifest.agent}; cma-es starts from its own only")
        self._task.check_start(folder, manifest)
        weights, rule = read_weights(folder)
        theirs = [list(manifest.settings[name]) for name in ("features", "hidden")]
        if theirs != [list(self._settings.features), list(self._settings.hidden)] or len(weights) != len(self._zero):
            raise ArtifactError(f"{folder}: its policy has other features or hidden layers; set agent.features as it")
        setpoints = self._task.layout.setpoints
        between = start_of(*setpoints[rule[RULE_SETPOINT]]) - start_of(*setpoints[self._arena.start.setpoint])
        last = (len(self._settings.features), *self._settings.hidden)[-1]
        biases = len(weights) - number_of_weights(last, ()) + np.arange(OUTPUTS)
        self._anchor = weights.copy()
        self._anchor[biases] += between
        self._searches = self._make_searches(self._anchor)

    def search(self) -> None:
        """Search until the steps are done, or the caller wants to stop."""
        train = self._task.train
        if self._validated_at < 0:
            self._validate()
        while self.steps < train.total_steps:
            if self._hooks.should_stop():
                self._is_stopped = True
                break
            self._run_generation()
            if self._is_due(self._validated_at, train.total_steps // train.validations):
                self._validate()
            if self._is_due(self._saved_at, train.checkpoint_steps):
                self._checkpoint()
        if not self._is_stopped and self._validated_at < self.steps:
            self._validate()
        if self._saved_at < self.steps or self._is_stopped:
            self._checkpoint()
        for writer in self._writers:
            writer.close()

    def _is_due(self, last: int, interval: int) -> bool:
        return self.steps // max(interval, 1) > last // max(interval, 1)

    def _run_generation(self) -> None:
        settings = self._settings
        search = self._searches[self._generation % settings.restarts]
        episodes = self._arena.draw(np.random.default_rng([self._task.seed, WINDOWS, self._generation]))
        candidates = search.ask()
        before = self._arena.steps
        usd = self._arena.costs(np.vstack([self._zero, candidates]), episodes).mean(axis=1)
        steps = self._arena.steps - before
        relative = (usd[1:] - usd[0]) / max(abs(usd[0]), 1e-9)
        distance = np.square(candidates - self._anchor).mean(axis=1)
        search.tell(relative + settings.penalty * distance)
        self.steps, self._generation = self.steps + steps, self._generation + 1
        self._hooks.advance(steps)
        number = (self._generation - 1) % settings.restarts
        self._write(
            {
                f"search{number}/best_against_tuned": float(relative.min()),
                f"search{number}/mean_against_tuned": float(relative.mean()),
                f"search{number}/sigma": search.sigma,
            }
        )

    def _write(self, entry: dict[str, float]) -> None:
        for writer in self._writers:
            writer.write(entry, dict.fromkeys(entry, ()), self.steps)

    def _choose(self) -> Choice:
        """The shrinkage that costs least on the validation part, where the gain is larger than chance explains."""
        settings = self._settings
        mean = np.mean([search.mean for search in self._searches], axis=0)
        factors = np.array(settings.shrinkage)
        bases = [self._zero] if self._anchor is self._zero else [self._zero, self._anchor]
        tried = np.vstack([*bases, self._anchor + factors[:, None] * (mean - self._anchor)])
        usd = self._arena.costs(tried, self._arena.validation)
        base = int(usd[: len(bases)].mean(axis=1).argmin())
        best = len(bases) + int(usd[len(bases) :].mean(axis=1).argmin())
        factor, saved, tuned_usd = float(factors[best - len(bases)]), usd[base] - usd[best], float(usd[0].mean())
        scale = max(abs(tuned_usd), 1e-9)
        gain, error = float(saved.mean()), float(saved.std(ddof=1) / np.sqrt(len(saved)))
        if not gain > settings.proof * error:
            best, factor = base, 0.0
        return Choice(
            weights=tried[best],
            factor=factor,
            usd=float(usd[best].mean()),
            tuned_usd=tuned_usd,
            gain=gain / scale,
            error=error / scale,
            base=START if base else CONSTANTS,
        )

    def _validate(self) -> None:
        """Choose a policy and save it."""
        self._choice = self._choose()
        self._validated_at = self.steps
        self._kept_step = self.steps if self._choice.factor > 0.0 else 0
        self._save_policy()
        metric = self._task.metric
        self._write(
            {
                f"validation/{metric.name}": self._choice.usd,
                f"validation/{metric.baseline_key}_{metric.name}": self._choice.tuned_usd,
                "validation/shrinkage": self._choice.factor,
                "validation/gain": self._choice.gain,
                "validation/gain_error": self._choice.error,
            }
        )

    def _save_policy(self) -> None:
        policy = self._arena.policy(self._choice.weights, self._task.problem.config.packer)
        save_trained(self._folder / POLICY, policy, self._manifest(), self._task.config_text)

    def _manifest(self) -> Manifest:
        settings = to_dict(self._settings)
        return Manifest(
            agent=settings.pop("name"),
            settings=settings,
            masked=self._settings.masked,
            **self._task.world(),
            seed=self._task.seed,
            kept_step=self._kept_step,
            total_steps=max(self._task.train.total_steps, self.steps),  # the last generation is a whole one
        )

    def _checkpoint(self) -> None:
        """Save all that the rest depends on: what each search was told, from which it comes to its state again."""
        self._saved_at = self.steps
        state: dict[str, Any] = {
            "steps": self.steps,
            "generation": self._generation,
            "validated_at": self._validated_at,
            "kept_step": self._kept_step,
            "curve_size": self._curve.size,
            "choice": {name: getattr(self._choice, name) for name in Choice._fields[1:]},
        }
        told: dict[str, Any] = {f"told{number}": np.array(search.told) for number, search in enumerate(self._searches)}
        with new_folder(self._folder / "checkpoints" / f"step-{self.steps:012d}") as temporary:
            (temporary / STATE).write_text(json.dumps(state))
            np.savez(temporary / TOLD, weights=self._choice.weights, **told)
        for old in checkpoints(self._folder)[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)

    def resume(self) -> None:
        """Go on from the newest checkpoint.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """
        found = checkpoints(self._folder)
        if not found:
            raise ArtifactError(f"{self._folder}: there is no checkpoint to resume from; train it anew")
        if self._task.train.init_from is not None:
            self.start_from(self._task.train.init_from)
        try:
            state = json.loads((found[-1] / STATE).read_text())
            with (found[-1] / TOLD).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                for number, search in enumerate(self._searches):
                    search.repeat(arrays[f"told{number}"])
                self._choice = Choice(weights=arrays["weights"], **state["choice"])
            self.steps, self._generation = int(state["steps"]), int(state["generation"])
            self._validated_at, self._kept_step = int(state["validated_at"]), int(state["kept_step"])
            self._saved_at = self.steps
            self._curve.truncate(int(state["curve_size"]))
        except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(
                f"{found[-1]}: the checkpoint cannot be resumed ({reason}); remove it to resume from the one before"
            ) from error

    def result(self) -> Result:
        """How the training ended."""
        choice = self._choice
        return Result(
            steps=self.steps,
            total_steps=self._task.train.total_steps,
            finished=not self._is_stopped,
            kept_step=self._kept_step,
            metric=self._task.metric,
            best_score=choice.usd,
            start_score=choice.tuned_usd,
            baseline_score=choice.tuned_usd,
            note=choice.describe(),
        )
