"""A training generation by generation: learning curve, validation, checkpoints; it can be resumed to the same bits."""

from __future__ import annotations

import json
import shutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat

from agents.artifact import Manifest, find_artifact, new_folder, read_manifest
from agents.config import AgentConfig, TrainConfig
from agents.errors import AgentConfigError, ArtifactError
from agents.es.search import Search
from agents.sb3.curve import CurveWriter
from agents.sb3.run import CHECKPOINTS, KEEP_CHECKPOINTS, checkpoints
from agents.sb3.training import CURVE, TENSORBOARD
from agents.training import Hooks, Result
from configs.serialize import to_dict

STATE, TOLD = "state.json", "told.npz"


class Scores(NamedTuple):
    """What a training came to; see `agents.training.Result`."""

    best: float
    start: float
    baseline: float
    note: str = ""


def refuse_parts(agent: AgentConfig, config: TrainConfig, learns_from: str) -> None:
    """Refuse parts of the user that a search has no use for.

    Args:
        agent: the agent.
        config: of the training.
        learns_from: what the agent learns from instead, in words.

    Raises:
        AgentConfigError: there is one.
    """
    if config.reward is not None or config.callbacks:
        raise AgentConfigError(
            f"agent {agent.name} learns from {learns_from}: it takes neither train.reward nor train.callbacks"
        )


class GenerationRun(ABC):
    """Searches inside a run folder until the steps are done; what they search is said by the classes that derive.

    Args:
        task: what is trained.
        settings: of the agent.
        folder: the run folder.
        hooks: of the caller.

    Attributes:
        steps: taken so far.
    """

    def __init__(self, task: Any, settings: Any, folder: Path, hooks: Hooks) -> None:
        self._task, self._settings, self._folder, self._hooks = task, settings, folder, hooks
        self._searches: list[Search] = []
        self._curve = CurveWriter(folder / CURVE)
        self._writers: list[KVWriter] = [self._curve, *hooks.writers]
        self.steps = self._generation = self._kept_step = self._saved_at = 0
        self._validated_at = -1
        self._is_stopped = False

    @abstractmethod
    def start_from(self, path: str) -> None:
        """Begin at another run's policy.

        Raises:
            ArtifactError: there is none, or it does not fit.
        """

    @abstractmethod
    def _scores(self) -> Scores:
        """Of the policy that is chosen, of the one that the search began with, and of the baseline."""

    def result(self) -> Result:
        """How the training ended."""
        scores = self._scores()
        return Result(
            steps=self.steps,
            total_steps=self.total_steps,
            finished=not self._is_stopped,
            kept_step=self._kept_step,
            metric=self._task.metric,
            best_score=scores.best,
            start_score=scores.start,
            baseline_score=scores.baseline,
            note=scores.note,
        )

    @property
    def total_steps(self) -> int:
        """Steps of the whole training: those asked for, or those done, for the last generation is a whole one."""
        wanted: int = self._task.train.total_steps
        return max(wanted, self.steps)

    @abstractmethod
    def _run_generation(self) -> None:
        """Ask a search, play, tell it; count steps and the generation."""

    @abstractmethod
    def _validate(self) -> None:
        """Choose a policy and save it; the first time is before any step."""

    @abstractmethod
    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """What a checkpoint must keep of the choice so far: plain values, and arrays."""

    @abstractmethod
    def _restore(self, values: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """The inverse of `_kept`."""

    def run(self, resume: bool) -> Result:
        """Train, or go on from the newest checkpoint; see `agents.training.train`."""
        self._writers.append(TensorBoardOutputFormat(str(self._folder / TENSORBOARD)))
        if resume:
            self._resume()
            self._hooks.advance(self.steps)
        elif self._task.train.init_from is not None:
            self.start_from(self._task.train.init_from)
        self._search()
        return self.result()

    def _search(self) -> None:
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

    def _write(self, entry: dict[str, float]) -> None:
        for writer in self._writers:
            writer.write(entry, dict.fromkeys(entry, ()), self.steps)

    def _own_artifact(self, path: str) -> tuple[Path, Manifest]:
        """The artifact of another run, of an agent that this one starts from and of the same spaces.

        Raises:
            ArtifactError: there is none, or it does not fit.
        """
        folder = find_artifact(path)
        manifest, agent = read_manifest(folder), self._settings.name
        starts_from = getattr(self._settings, "starts_from", (agent,))
        if manifest.agent not in starts_from:
            raise ArtifactError(
                f"{folder}: its policy is of agent {manifest.agent}; {agent} starts from {', '.join(starts_from)} only"
            )
        self._task.check_start(folder, manifest)
        return folder, manifest

    def _manifest(self) -> Manifest:
        settings = to_dict(self._settings)
        return Manifest(
            agent=settings.pop("name"),
            settings=settings,
            masked=self._settings.masked,
            **self._task.world(),
            seed=self._task.seed,
            kept_step=self._kept_step,
            total_steps=self.total_steps,
        )

    def _checkpoint(self) -> None:
        """Save all that the rest depends on: what each search was told, from which it comes to its state again."""
        self._saved_at = self.steps
        values, arrays = self._kept()
        state = {
            "steps": self.steps,
            "generation": self._generation,
            "validated_at": self._validated_at,
            "kept_step": self._kept_step,
            "curve_size": self._curve.size,
            "kept": values,
        }
        told: dict[str, Any] = {f"told{number}": np.array(search.told) for number, search in enumerate(self._searches)}
        with new_folder(self._folder / CHECKPOINTS / f"step-{self.steps:012d}") as temporary:
            (temporary / STATE).write_text(json.dumps(state))
            np.savez(temporary / TOLD, **{**told, **arrays})
        for old in checkpoints(self._folder)[:-KEEP_CHECKPOINTS]:
            shutil.rmtree(old)

    def _resume(self) -> None:
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
                self._restore(state["kept"], arrays)
            self.steps, self._generation = int(state["steps"]), int(state["generation"])
            self._validated_at, self._kept_step = int(state["validated_at"]), int(state["kept_step"])
            self._saved_at = self.steps
            self._curve.truncate(int(state["curve_size"]))
        except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(
                f"{found[-1]}: the checkpoint cannot be resumed ({reason}); remove it to resume from the one before"
            ) from error
