"""A training by search: generations, validation, and the policy that the validation part chose."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.errors import ArtifactError
from agents.es.arena import Arena, start_weights
from agents.es.cma_es import SetpointConfig
from agents.es.files import read_weights, save_trained
from agents.es.generations import GenerationRun, Scores
from agents.es.search import Search
from agents.sb3.run import POLICY
from agents.training import Hooks
from envs.gpu_cluster.codec import number_of_weights, start_of

SEARCHES, WINDOWS = 1, 2
"""Streams of random numbers of an experiment's seed."""


CONSTANTS, START = "the tuned constants are", "the policy that it started from is"


class Choice(NamedTuple):
    """What the validation part chose.

    Attributes:
        weights: [number of weights] float64.
        factor: by which what training found was shrunk; 0: `base` is kept.
        usd: mean cost of a validation window.
        tuned_usd: that of the tuned constants.
        gain: mean saving on a window by the best factor against `base`, as a share of the constants' cost.
        error: standard error of it.
        base: what is kept where nothing better is proved.
        refitted: whether the searches have gone on over all of the training part since.
    """

    weights: NDArray[np.float64]
    factor: float
    usd: float
    tuned_usd: float
    gain: float
    error: float
    base: str = CONSTANTS
    refitted: bool = False

    def describe(self) -> str:
        """In words, for the record of the run."""
        found = f"{self.gain:+.1%} of the constants' cost saved on the validation part, standard error {self.error:.1%}"
        if self.factor == 0.0:
            return f"{self.base} kept: {found} is no proof"
        then = ", then searched on over all of the training part" if self.refitted else ""
        return f"what training found times {self.factor:g}: {found}{then}"


class SetpointRun(GenerationRun):
    """A training of setpoints, whichever way, and the policy that the validation part chooses.

    Args:
        task: what is trained.
        settings: of the agent.
        folder: the run folder.
        hooks: of the caller.
        arena: where candidates compete; None: windows of the task's traces.
        zero: weights of a policy that is the baseline; None: those of the tuned constants.
    """

    keeps_best: ClassVar[bool] = False
    """Whether what was chosen once is kept where later choices cost no less on the validation part."""

    def __init__(
        self,
        task: Any,
        settings: SetpointConfig,
        folder: Path,
        hooks: Hooks,
        arena: Any = None,
        zero: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(task, settings, folder, hooks)
        self._arena: Any = Arena(task) if arena is None else arena
        if zero is None:
            zero = start_weights(settings, task.layout, task.seed)
            if settings.price != "ignored" and not settings.hidden:
                zero = self._arena.constants_by_price(zero)
        self._zero = self._anchor = zero
        self._choice = Choice(self._zero, 0.0, 0.0, 0.0, 0.0, 0.0)
        self._begin_at(self._zero)

    @abstractmethod
    def _begin_at(self, weights: NDArray[np.float64]) -> None:
        """Let the training begin at a policy."""

    @abstractmethod
    def _found(self) -> NDArray[np.float64]:
        """[number of weights] float64, what the training has come to."""

    def start_from(self, path: str) -> None:
        """Begin at another run's policy and stay near it.

        Its weights count from its own constants, so what lies between those and the constants here goes into biases.

        Raises:
            ArtifactError: there are none, or they belong to another agent, other features or another codec.
        """
        folder, manifest = self._own_artifact(path)
        weights, rule, _ = read_weights(folder)  # an intensity is fitted to the trace of the run
        settings = self._settings
        layout = self._task.layout
        levers = settings.levers_of(layout)
        their_levers = manifest.settings.get("levers")
        theirs = [list(manifest.settings[name]) for name in ("features", "hidden", "price")]
        theirs.append(list(levers if their_levers is None else their_levers))
        ours = [list(settings.features), list(settings.hidden), list(settings.price), list(levers)]
        if theirs != ours or len(weights) != len(self._zero):
            raise ArtifactError(
                f"{folder}: its policy has other features, hidden layers, price or levers; set agent.features as it"
            )
        between = start_of(layout, rule, levers) - start_of(layout, self._arena.start.rule, levers)
        *_, last, outputs = settings.sizes(layout)
        biases = len(weights) - number_of_weights(last, (), outputs) + np.arange(outputs)
        self._anchor = weights.copy()
        self._anchor[biases] += between
        self._begin_at(self._anchor)

    def _choose(self) -> Choice:
        """The shrinkage that costs least on the validation part, where the gain is larger than chance explains."""
        settings = self._settings
        mean, factors = self._found(), np.array(settings.shrinkage)
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
        choice = self._choose()
        if self._validated_at < 0 or not self.keeps_best or choice.usd < self._choice.usd:
            self._choice = choice
            self._kept_step = self.steps if choice.factor > 0.0 else 0
            self._save_policy()
        self._validated_at = self.steps
        metric = self._task.metric
        self._write(
            {
                f"validation/{metric.name}": choice.usd,
                f"validation/{metric.baseline_key}_{metric.name}": choice.tuned_usd,
                "validation/shrinkage": choice.factor,
                "validation/gain": choice.gain,
                "validation/gain_error": choice.error,
            }
        )

    def _save_policy(self) -> None:
        policy = self._arena.policy(self._choice.weights, self._task.problem.config.packer)
        save_trained(self._folder / POLICY, policy, self._manifest(), self._task.config_text)

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        values = {name: getattr(self._choice, name) for name in Choice._fields[1:]}
        return values, {"weights": self._choice.weights}

    def _restore(self, values: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> None:
        self._choice = Choice(weights=arrays["weights"], **values)

    def _scores(self) -> Scores:
        return Scores(self._choice.usd, self._choice.tuned_usd, self._choice.tuned_usd, self._choice.describe())


class SearchRun(SetpointRun):
    """Searches that take turns, generation by generation, until the steps are done; see `SetpointRun`."""

    refits: ClassVar[bool] = True
    """Whether windows may also be drawn from what validates."""

    def _begin_at(self, weights: NDArray[np.float64]) -> None:
        settings, seed = self._settings, self._task.seed
        generators = [np.random.default_rng([seed, SEARCHES, number]) for number in range(settings.restarts)]
        self._searches = [Search(weights, settings.sigma, settings.population, each) for each in generators]

    def _found(self) -> NDArray[np.float64]:
        """The mean of the searches."""
        mean: NDArray[np.float64] = np.mean([search.mean for search in self._searches], axis=0)
        return mean

    def _validate(self) -> None:
        """Choose a policy and save it; once the validation part is searched on too, it has no more say."""
        if not self._choice.refitted:
            super()._validate()
            return
        weights = self._anchor + self._choice.factor * (self._found() - self._anchor)
        self._choice = self._choice._replace(weights=weights)
        self._kept_step = self._validated_at = self.steps
        self._save_policy()

    def _begin_refit(self) -> None:
        """Go on over all of the training part, where so many steps are done and a gain is proved."""
        begin = (1.0 - self._settings.refit) * self._task.train.total_steps
        if not self.refits or self._choice.refitted or self.steps < begin:
            return
        if self._validated_at < begin:
            self._validate()  # after that as often as ever, until a gain is proved
        self._choice = self._choice._replace(refitted=self._choice.factor > 0.0)

    def _run_generation(self) -> None:
        settings = self._settings
        self._begin_refit()
        search = self._searches[self._generation % settings.restarts]
        generator = np.random.default_rng([self._task.seed, WINDOWS, self._generation])
        episodes = (
            self._arena.draw(generator, everything=True) if self._choice.refitted else self._arena.draw(generator)
        )
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
