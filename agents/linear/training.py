"""Search a linear policy inside a run folder: learning curve, validation, checkpoints, and the chosen policy."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat

from agents.artifact import Manifest, find_artifact, new_folder, read_manifest
from agents.config import AgentConfig, TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError, ArtifactError
from agents.es.search import Search
from agents.linear.files import load_trained, save_trained
from agents.linear.linear_cma_es import LinearCmaES
from agents.linear.policy import ActionMap, LinearPolicy, outputs_of
from agents.sb3.curve import CurveWriter
from agents.sb3.run import KEEP_CHECKPOINTS, POLICY, checkpoints
from agents.sb3.training import CURVE, TENSORBOARD
from agents.training import Hooks, Result, Task
from configs.serialize import to_dict
from envs.scores import ReadsSome, StartsAtRule

STATE, TOLD = "state.json", "told.npz"
SEARCH, EPISODES = 1, 2
"""Streams of random numbers of an experiment's seed."""
MOST_STEPS = 100_000
"""An episode that is longer counts up to there."""


def check(agent: AgentConfig, config: TrainConfig) -> None:
    """Refuse settings that search has no use for; see `agents.training.check`."""
    if config.reward is not None or config.callbacks:
        raise AgentConfigError(
            f"agent {agent.name} learns from whole episodes: it takes neither train.reward nor train.callbacks"
        )


def train(task: Task, folder: Path, hooks: Hooks, resume: bool) -> Result:
    """Train; see `agents.training.train`."""
    settings = task.agent
    assert isinstance(settings, LinearCmaES)
    if not isinstance(task, EnvironmentTask):
        raise AgentConfigError(f"agent {settings.name} plays no GPU clusters; choose another, such as cma-es")
    run = LinearRun(task, settings, folder, hooks)
    if resume:
        run.resume()
    elif task.train.init_from is not None:
        run.start_from(task.train.init_from)
    run.search()
    return run.result()


class LinearRun:
    """A search, generation by generation, until the steps are done.

    Args:
        task: what is trained.
        settings: of the agent.
        folder: the run folder.
        hooks: of the caller.
    """

    def __init__(self, task: EnvironmentTask, settings: LinearCmaES, folder: Path, hooks: Hooks) -> None:
        self._task, self._settings, self._folder, self._hooks = task, settings, folder, hooks
        training = task.training
        self._world = task.world()
        start = training.start_action() if isinstance(training, StartsAtRule) else None
        probe = training.make_vec(1, task.seed)
        _check_spaces(settings.name, probe.observation_space, probe.action_space)
        self._actions = ActionMap(probe.action_space, start)
        size = int(np.prod(probe.observation_space.shape or (1,)))
        self._inputs = training.searched_inputs() if isinstance(training, ReadsSome) else np.arange(size)
        self._shape, self._full = (self._actions.size, 1 + len(self._inputs)), (self._actions.size, 1 + size)
        probe.close()
        self._vec: Any = None
        self._search = self._make_search(np.zeros(self._shape).ravel())
        self._curve = CurveWriter(folder / CURVE)
        board = TensorBoardOutputFormat(str(folder / TENSORBOARD))
        self._writers: list[KVWriter] = [self._curve, board, *hooks.writers]
        self.steps = self._generation = self._kept_step = self._saved_at = 0
        self._validated_at = -1
        self._kept = np.zeros(self._shape)
        self._best = self._start_score = self._baseline = float("nan")
        self._is_stopped = False

    def _make_search(self, mean: NDArray[np.float64]) -> Search:
        settings = self._settings
        generator = np.random.default_rng([self._task.seed, SEARCH])
        return Search(mean, settings.sigma, settings.population, generator)

    def start_from(self, path: str) -> None:
        """Begin at the weights of another run.

        Raises:
            ArtifactError: there are none, or they belong to another agent or other spaces.
        """
        folder = find_artifact(path)
        manifest = read_manifest(folder)
        if manifest.agent != self._settings.name:
            raise ArtifactError(f"{folder}: its policy is of agent {manifest.agent}; start from one of the same agent")
        self._task.check_start(folder, manifest)
        self._search = self._make_search(load_trained(folder, manifest).weights[:, self._columns()].ravel())

    def search(self) -> None:
        """Search until the steps are done, or the caller wants to stop."""
        train = self._task.train
        self._hooks.advance(self.steps)
        if self._validated_at < 0:
            self._start_score = self._task.score(self._policy(np.zeros(self._shape)))
            self._baseline = self._task.baseline_score()
            self._best = self._start_score
            self._validate([])
        while self.steps < train.total_steps:
            if self._hooks.should_stop():
                self._is_stopped = True
                break
            self._run_generation()
            if self._is_due(self._validated_at, train.total_steps // train.validations):
                self._validate(self._settings.shrinkage)
            if self._is_due(self._saved_at, train.checkpoint_steps):
                self._checkpoint()
        if not self._is_stopped and self._validated_at < self.steps:
            self._validate(self._settings.shrinkage)
        if self._saved_at < self.steps or self._is_stopped:
            self._checkpoint()
        for writer in self._writers:
            writer.close()

    def _is_due(self, last: int, interval: int) -> bool:
        return self.steps // max(interval, 1) > last // max(interval, 1)

    def _run_generation(self) -> None:
        candidates = self._search.ask()
        with_start = np.vstack([np.zeros((1, candidates.shape[1])), candidates])
        seeds = np.random.default_rng([self._task.seed, EPISODES, self._generation])
        returns, steps = self._play(with_start, seeds.integers(1 << 31, size=self._settings.episodes).tolist())
        relative = (returns[0] - returns[1:]) / max(abs(float(returns[0])), 1e-9)
        self._search.tell(relative + self._settings.penalty * np.square(candidates).mean(axis=1))
        self.steps, self._generation = self.steps + steps, self._generation + 1
        self._hooks.advance(steps)
        best, mean = float(relative.min()), float(relative.mean())
        self._write({"search/best": best, "search/mean": mean, "search/sigma": self._search.sigma})

    def _play(self, weights: NDArray[np.float64], seeds: list[int]) -> tuple[NDArray[np.float64], int]:
        """[K] mean return of candidates, [K, weights], on the same episodes; and the environment steps that it took."""
        count, episodes = len(weights), len(seeds)
        if self._vec is None:
            self._vec = self._task.training.make_vec(count * episodes, self._task.seed)
        vec = self._vec
        shaped = weights.reshape(count, *self._shape)
        observations = vec.begin(seeds * count)
        returns, running = np.zeros(vec.num_envs), np.ones(vec.num_envs, np.bool_)
        steps = 0
        for _ in range(MOST_STEPS):
            rows = np.asarray(observations, np.float64).reshape(count, vec.num_envs // count, -1)
            actions = self._actions(outputs_of(shaped, rows[:, :, self._inputs]))
            observations, rewards, dones, _ = vec.step(actions.reshape(vec.num_envs, *actions.shape[2:]))
            returns += np.where(running, rewards, 0.0)
            steps += count * episodes
            running &= ~dones
            if not running.any():
                break
        return returns.reshape(count, -1).mean(axis=1), steps

    def _columns(self) -> NDArray[np.int64]:
        """Columns of a policy's weights that are searched: the constant, and those of the inputs that it reads."""
        return np.concatenate([[0], 1 + self._inputs])

    def _policy(self, weights: NDArray[np.float64]) -> LinearPolicy:
        whole = np.zeros(self._full)
        whole[:, self._columns()] = weights
        return LinearPolicy(self._settings.name, whole, self._actions, self._world["environment"])

    def _validate(self, factors: tuple[float, ...] | list[float]) -> None:
        """Score the mean of the search, shrunk by each factor, and save the best policy so far."""
        mean, metric = self._search.mean.reshape(self._shape), self._task.metric
        self._validated_at = self.steps
        entry = {f"validation/{metric.baseline_key}_{metric.name}": self._baseline}
        for factor in factors:
            score = self._task.score(self._policy(factor * mean))
            entry[f"validation/{metric.name}_times_{factor:g}"] = score
            if metric.is_better(score, self._best):
                self._best, self._kept, self._kept_step = score, factor * mean, self.steps
        self._write({**entry, f"validation/{metric.name}": self._best})
        policy = self._policy(self._kept)
        save_trained(self._folder / POLICY, policy, self._actions, self._manifest(), self._task.config_text)

    def _write(self, entry: dict[str, float]) -> None:
        for writer in self._writers:
            writer.write(entry, dict.fromkeys(entry, ()), self.steps)

    def _manifest(self) -> Manifest:
        settings = to_dict(self._settings)
        return Manifest(
            agent=settings.pop("name"),
            settings=settings,
            masked=False,
            **self._world,
            seed=self._task.seed,
            kept_step=self._kept_step,
            total_steps=max(self._task.train.total_steps, self.steps),  # the last generation is a whole one
        )

    def _checkpoint(self) -> None:
        """Save all that the rest depends on: what the search was told, from which it comes to its state again."""
        self._saved_at = self.steps
        scores = {"best": self._best, "start": self._start_score, "baseline": self._baseline}
        state = {
            "steps": self.steps,
            "generation": self._generation,
            "validated_at": self._validated_at,
            "kept_step": self._kept_step,
            "curve_size": self._curve.size,
            "scores": scores,
        }
        with new_folder(self._folder / "checkpoints" / f"step-{self.steps:012d}") as temporary:
            (temporary / STATE).write_text(json.dumps(state))
            np.savez(temporary / TOLD, kept=self._kept, told=np.array(self._search.told))
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
                self._search.repeat(arrays["told"])
                self._kept = arrays["kept"]
            self.steps, self._generation = int(state["steps"]), int(state["generation"])
            self._validated_at, self._kept_step = int(state["validated_at"]), int(state["kept_step"])
            self._best, self._start_score, self._baseline = (
                float(state["scores"][name]) for name in ("best", "start", "baseline")
            )
            self._saved_at = self.steps
            self._curve.truncate(int(state["curve_size"]))
        except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(
                f"{found[-1]}: the checkpoint cannot be resumed ({reason}); remove it to resume from the one before"
            ) from error

    def result(self) -> Result:
        """How the training ended."""
        return Result(
            steps=self.steps,
            total_steps=self._task.train.total_steps,
            finished=not self._is_stopped,
            kept_step=self._kept_step,
            metric=self._task.metric,
            best_score=self._best,
            start_score=self._start_score,
            baseline_score=self._baseline,
        )


def _check_spaces(agent: str, observation: spaces.Space[Any], action: spaces.Space[Any]) -> None:
    """Refuse spaces that a linear policy has no outputs for.

    Raises:
        AgentConfigError: as above.
    """
    known = isinstance(action, spaces.Discrete | spaces.MultiDiscrete) or (
        isinstance(action, spaces.Box) and np.isfinite([action.low, action.high]).all()
    )
    if not known or not isinstance(observation, spaces.Box):
        raise AgentConfigError(
            f"agent {agent} reads Box observations and plays Discrete, MultiDiscrete or bounded Box actions, this "
            f"environment has {type(observation).__name__} and {action}; choose another, such as ppo"
        )
