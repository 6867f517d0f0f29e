"""Search a linear policy inside a run folder: learning curve, validation, checkpoints, and the chosen policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.config import AgentConfig, TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError
from agents.es.generations import GenerationRun, Scores, refuse_parts
from agents.es.search import Search
from agents.linear.files import load_trained, save_trained
from agents.linear.linear_cma_es import LinearCmaES
from agents.linear.policy import ActionMap, LinearPolicy, orders_of, outputs_of
from agents.sb3.run import POLICY
from agents.training import Hooks, Result, Task
from envs.scores import MovesSome, ReadsSome, ScoresEpisodes, StartsAtRule

SEARCH, EPISODES = 1, 2
"""Streams of random numbers of an experiment's seed."""
MOST_STEPS = 100_000
"""An episode that is longer counts up to there."""


def check(agent: AgentConfig, config: TrainConfig) -> None:
    """Refuse settings that search has no use for; see `agents.training.check`."""
    refuse_parts(agent, config, "whole episodes")


def train(task: Task, folder: Path, hooks: Hooks, resume: bool) -> Result:
    """Train; see `agents.training.train`."""
    settings = task.agent
    assert isinstance(settings, LinearCmaES)
    if not isinstance(task, EnvironmentTask):
        raise AgentConfigError(f"agent {settings.name} plays no GPU clusters; choose another, such as cma-es")
    return LinearRun(task, settings, folder, hooks).run(resume)


class LinearRun(GenerationRun):
    """A search, generation by generation, until the steps are done.

    Args:
        task: what is trained.
        settings: of the agent.
        folder: the run folder.
        hooks: of the caller.
    """

    def __init__(self, task: EnvironmentTask, settings: LinearCmaES, folder: Path, hooks: Hooks) -> None:
        super().__init__(task, settings, folder, hooks)
        training = task.training
        self._world = task.world()
        start = training.start_action() if isinstance(training, StartsAtRule) else None
        probe = training.make_vec(1, task.seed)
        _check_spaces(settings.name, probe.observation_space, probe.action_space)
        self._actions = ActionMap(probe.action_space, start)
        self._moved = np.arange(self._actions.size)
        if isinstance(training, MovesSome):
            moved = training.searched_components()
            self._moved = np.array(sorted(moved))
            choices = [moved.get(number, row[row >= 0].tolist()) for number, row in enumerate(self._actions.orders)]
            self._actions = ActionMap(probe.action_space, start, orders_of(choices))
        size = int(np.prod(probe.observation_space.shape or (1,)))
        self._inputs = training.searched_inputs() if isinstance(training, ReadsSome) else np.arange(size)
        outputs = self._actions.size
        self._middle = _middle(probe.observation_space)[self._inputs]
        self._shape, self._full = (len(self._moved), 1 + len(self._inputs)), (outputs, 1 + size)
        probe.close()
        self._start_episodes: NDArray[np.float64] | None = None
        self._vec: Any = None
        self._searches = [self._make_search(np.zeros(self._shape).ravel())]
        self._weights = np.zeros(self._shape)
        self._best = self._start_score = self._baseline = float("nan")

    def _make_search(self, mean: NDArray[np.float64]) -> Search:
        settings = self._settings
        generator = np.random.default_rng([self._task.seed, SEARCH])
        return Search(mean, settings.sigma, settings.population, generator)

    def start_from(self, path: str) -> None:
        """Begin at the weights of another run.

        Raises:
            ArtifactError: there are none, or they belong to another agent or other spaces.
        """
        folder, manifest = self._own_artifact(path)
        weights = load_trained(folder, manifest).weights[:, self._columns()]
        weights[:, 0] += weights[:, 1:] @ self._middle
        self._searches = [self._make_search(weights[self._moved].ravel())]

    def _run_generation(self) -> None:
        search = self._searches[0]
        candidates = search.ask()
        with_start = np.vstack([np.zeros((1, candidates.shape[1])), candidates])
        seeds = np.random.default_rng([self._task.seed, EPISODES, self._generation])
        returns, steps = self._play(with_start, seeds.integers(1 << 31, size=self._settings.episodes).tolist())
        relative = (returns[0] - returns[1:]) / max(abs(float(returns[0])), 1e-9)
        search.tell(relative + self._settings.penalty * np.square(candidates).mean(axis=1))
        self.steps, self._generation = self.steps + steps, self._generation + 1
        self._hooks.advance(steps)
        best, mean = float(relative.min()), float(relative.mean())
        self._write({"search/best": best, "search/mean": mean, "search/sigma": search.sigma})

    def _play(self, weights: NDArray[np.float64], seeds: list[int]) -> tuple[NDArray[np.float64], int]:
        """[K] mean return of candidates, [K, weights], on the same episodes; and the environment steps that it took."""
        count, episodes = len(weights), len(seeds)
        if self._vec is None:
            self._vec = self._task.training.make_vec(count * episodes, self._task.seed)
        vec = self._vec
        shaped = self._all_outputs(weights.reshape(count, *self._shape))
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

    def _all_outputs(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., outputs, 1 + inputs] of searched weights, [..., moved outputs, 1 + inputs]; 0 of the others.

        What is searched are constants in the middle of the inputs: so that an input can matter without moving all.
        """
        found = np.zeros((*weights.shape[:-2], self._actions.size, self._shape[1]))
        found[..., self._moved, :] = weights
        found[..., 0] -= found[..., 1:] @ self._middle
        return found

    def _policy(self, weights: NDArray[np.float64]) -> LinearPolicy:
        whole = np.zeros(self._full)
        whole[:, self._columns()] = self._all_outputs(weights)
        return LinearPolicy(self._settings.name, whole, self._actions, self._world["environment"])

    def _validate(self) -> None:
        """Score the mean of the search, shrunk by each factor, and save the best policy so far: first the start."""
        mean, metric = self._searches[0].mean.reshape(self._shape), self._task.metric
        factors = self._settings.shrinkage
        if self._validated_at < 0:
            self._start_score = self._best = self._task.score(self._policy(np.zeros(self._shape)))
            self._baseline, factors = self._task.baseline_score(), ()
        self._validated_at = self.steps
        entry = {f"validation/{metric.baseline_key}_{metric.name}": self._baseline}
        for factor in factors:
            score, is_proven = self._judge(self._policy(factor * mean))
            entry[f"validation/{metric.name}_times_{factor:g}"] = score
            if is_proven and metric.is_better(score, self._best):
                self._best, self._weights, self._kept_step = score, factor * mean, self.steps
        self._write({**entry, f"validation/{metric.name}": self._best})
        policy = self._policy(self._weights)
        save_trained(self._folder / POLICY, policy, self._actions, self._manifest(), self._task.config_text)

    def _judge(self, policy: LinearPolicy) -> tuple[float, bool]:
        """The score of a policy, and whether its episodes prove that it is better than the start."""
        training = self._task.training
        if not isinstance(training, ScoresEpisodes):
            return self._task.score(policy), True
        if self._start_episodes is None:
            self._start_episodes = training.episode_scores(self._policy(np.zeros(self._shape)))
        episodes = training.episode_scores(policy)
        gain = (episodes - self._start_episodes) * (1.0 if self._task.metric.higher_is_better else -1.0)
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
        return float(episodes.mean()), bool(gain.mean() > self._settings.proof * error)

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        scores = {"best": self._best, "start": self._start_score, "baseline": self._baseline}
        return scores, {"weights": self._weights}

    def _restore(self, values: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> None:
        self._weights = arrays["weights"]
        self._best, self._start_score, self._baseline = (float(values[name]) for name in ("best", "start", "baseline"))

    def _scores(self) -> Scores:
        return Scores(self._best, self._start_score, self._baseline)


def _middle(space: spaces.Space[Any]) -> NDArray[np.float64]:
    """[inputs] the middle of what each input may be; 0 where that has no end."""
    low, high = (np.asarray(limit, np.float64).ravel() for limit in (space.low, space.high))  # type: ignore[attr-defined]
    is_finite = np.isfinite(low) & np.isfinite(high)
    middle: NDArray[np.float64] = (
        np.where(is_finite, np.where(is_finite, low, 0.0) + np.where(is_finite, high, 0.0), 0.0) / 2.0
    )
    return middle


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
