"""Search on an environment that brings what is searched: `search()` of its training, see `SearchProblem`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from agents.artifact import CONFIG, WEIGHTS, Manifest, save_artifact
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError, ArtifactError
from agents.es.cma_es import CmaES
from agents.es.run import SearchRun
from agents.sb3.run import POLICY
from agents.training import Hooks
from configs.registry import import_object
from envs.registry import TRAINING


class SearchProblem(Protocol):
    """What an environment offers to a search: small policies whose cost is that of whole windows.

    Weights of zero are the environment's baseline.

    Attributes:
        num_weights: of a policy.
        num_windows: that may be searched on.
    """

    num_weights: int
    num_windows: int

    @property
    def decisions(self) -> int:
        """Made so far."""
        ...

    def search_costs(self, weights: NDArray[np.float64], windows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[candidates, windows] float64, what candidates cost on some windows, by number."""
        ...

    def validation_costs(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """[candidates, at least 2] float64, what they cost on what no search sees."""
        ...


class EnvironmentArena:
    """Where candidates compete: windows of the environment's own.

    Args:
        problem: of the environment.
        windows: of a generation.

    Attributes:
        size: weights of a policy.
        validation: what stands for the windows that no search sees.
    """

    validation = None

    def __init__(self, problem: SearchProblem, windows: int) -> None:
        self._problem, self._windows = problem, min(windows, problem.num_windows)
        self.size = problem.num_weights

    @property
    def steps(self) -> int:
        """Decisions taken so far."""
        return self._problem.decisions

    def draw(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Numbers of the windows of a generation."""
        return generator.choice(self._problem.num_windows, self._windows, replace=False).astype(np.int64)

    def costs(self, weights: NDArray[np.float64], windows: NDArray[np.int64] | None) -> NDArray[np.float64]:
        """[K, windows] float64, what candidates cost; None: on `validation`."""
        if windows is None:
            return self._problem.validation_costs(weights)
        return self._problem.search_costs(weights, windows)


class EnvironmentSearchRun(SearchRun):
    """`SearchRun` on an environment that is no GPU cluster.

    Raises:
        AgentConfigError: the environment brings no search, or the agent has hidden layers.
    """

    refits: ClassVar[bool] = False

    def __init__(self, task: EnvironmentTask, settings: CmaES, folder: Path, hooks: Hooks) -> None:
        if settings.hidden:
            raise AgentConfigError(f"agent.hidden is {list(settings.hidden)}; {task.env} has linear policies: set []")
        make = getattr(task.training, "search", None)
        if make is None:
            raise AgentConfigError(
                f"agent cma-es cannot play {task.env}, which brings no search; choose ppo or another"
            )
        if settings.levers is not None:
            raise AgentConfigError(f"agent.levers is {list(settings.levers)}; {task.env} has no levers: leave it out")
        arena = EnvironmentArena(make(), settings.windows)
        super().__init__(task, settings, folder, hooks, arena, np.zeros(arena.size))

    def start_from(self, path: str) -> None:
        """Let every search begin at another run's policy of the same environment.

        Raises:
            ArtifactError: it is of another agent, of other spaces, or has another number of weights.
        """
        folder, _ = self._own_artifact(path)
        weights = read_environment_weights(folder)
        if weights.shape != self._zero.shape:
            raise ArtifactError(f"{folder}: its policy has {len(weights)} weights, not {len(self._zero)}; train anew")
        self._anchor = weights
        self._begin_at(weights)

    def _save_policy(self) -> None:
        weights, text = self._choice.weights, self._task.config_text

        def write(temporary: Path) -> None:
            safetensors.numpy.save_file({"weights": weights}, temporary / WEIGHTS)
            (temporary / CONFIG).write_text(text)

        save_artifact(self._folder / POLICY, self._manifest(), write)


def read_environment_weights(folder: Path) -> NDArray[np.float64]:
    """The weights of an artifact.

    Raises:
        ArtifactError: they cannot be read.
    """
    try:
        weights: NDArray[np.float64] = safetensors.numpy.load_file(folder / WEIGHTS)["weights"]
    except (OSError, KeyError, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{folder / WEIGHTS}: the weights cannot be read ({reason}); train it again") from error
    if not np.isfinite(weights).all():
        raise ArtifactError(f"{folder / WEIGHTS}: a weight is not finite; train it again")
    return weights


class SearchedPolicy:
    """A policy that was searched, as an `agents.policy.EnvironmentPolicy`.

    Args:
        name: of the agent.
        weights: of the policy.
        environment: what it plays.
    """

    masked = False

    def __init__(self, name: str, weights: NDArray[np.float64], environment: Mapping[str, Any]) -> None:
        self.name, self.environment, self.weights = name, environment, weights
        training = import_object(TRAINING[str(environment["env"])], "env", ArtifactError)
        self._actions = training.searched_actions

    def reset(self, num_envs: int, /) -> None:
        """Nothing is remembered."""

    def act(self, observations: NDArray[Any], action_masks: NDArray[np.bool_] | None = None, /) -> NDArray[Any]:
        """The action of each environment; see `agents.policy.EnvironmentPolicy`."""
        actions: NDArray[Any] = self._actions(self.weights, observations)
        return actions


def load_searched(folder: Path, manifest: Manifest) -> SearchedPolicy:
    """Load the policy of an artifact whose manifest was read.

    Raises:
        ArtifactError: the weights cannot be read, or this version cannot play the environment.
    """
    environment = manifest.environment or {}
    if environment.get("env") not in TRAINING:
        raise ArtifactError(f"{folder}: no search plays {environment.get('env')!r} in this version; train it again")
    return SearchedPolicy(str(manifest.agent), read_environment_weights(folder), environment)
