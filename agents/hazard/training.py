"""Fit a hazard model inside a run folder: learning curve, validation, checkpoints, and the chosen policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from agents.baselines.keep_alive.hazard import RULE as HAZARD
from agents.baselines.keep_alive.hazard_look_ahead import RULE as LOOK_AHEAD
from agents.baselines.keep_alive.rule import Row, tuned_row
from agents.config import AgentConfig, TrainConfig
from agents.environment_task import EnvironmentTask
from agents.errors import AgentConfigError, ArtifactError
from agents.es.generations import GenerationRun, Scores, refuse_parts
from agents.hazard.features import NAMES, inputs_of, logit
from agents.hazard.files import read_model, save_trained
from agents.hazard.fit import CHUNK, Fit, rows_of
from agents.hazard.learned_hazard import LearnedHazard
from agents.hazard.model import HazardModel, HazardPolicy, chances, mean_of, model_of, untrained
from agents.hazard.periods import Periods, idle_periods
from agents.hazard.plans import costs_ms, plan
from agents.hazard.view import own_hazards
from agents.sb3.run import POLICY
from agents.training import Hooks, Result, Task
from configs.errors import did_you_mean
from envs.serverless import state as sv
from envs.serverless.codec import SLEEP_MS
from envs.serverless.problem import ServerlessProblem
from envs.serverless.simulator import RulePlayer, ServerlessSimulator
from envs.serverless.training import ServerlessTraining

FOLDS = 3
"""Parts of the functions; each is held out of one fit of every network."""
PERIODS = 1
"""Stream of random numbers of an experiment's seed: which idle periods are recorded."""
START = "untrained"


class Choice(NamedTuple):
    """What functions that are held out chose.

    Attributes:
        name: of the network; `START` where none proved a gain.
        factor: by which its correction is shrunk.
        gain: saving on these functions against the untrained model, as a share of its cost.
        error: standard error of it.
        usd: mean cost of a validation window.
    """

    name: str
    factor: float
    gain: float
    error: float
    usd: float

    def describe(self) -> str:
        """In words, for the record of the run."""
        found = f"{self.gain:+.1%} of the look-ahead rule's cost saved on functions that are held out, standard error "
        found += f"{self.error:.1%}"
        if self.name == START:
            return f"the look-ahead rule is kept: {found} is no proof"
        return f"network {self.name}, its correction times {self.factor:g}: {found}"


def check(agent: AgentConfig, config: TrainConfig) -> None:
    """Refuse settings that have no meaning here; see `agents.training.check`."""
    refuse_parts(agent, config, "idle periods")
    assert isinstance(agent, LearnedHazard)
    for name in agent.left_out:
        if name not in NAMES:
            raise AgentConfigError(f"agent.left_out: unknown input {name!r}{did_you_mean(name, NAMES)}")


def train(task: Task, folder: Path, hooks: Hooks, resume: bool) -> Result:
    """Train; see `agents.training.train`."""
    settings = task.agent
    assert isinstance(settings, LearnedHazard)
    if not isinstance(task, EnvironmentTask) or not isinstance(task.training, ServerlessTraining):
        env = task.env if isinstance(task, EnvironmentTask) else "GPU clusters"
        raise AgentConfigError(
            f"agent {settings.name} says how long containers are kept in autoscaler/Serverless-v0, it cannot play "
            f"{env}; choose another, such as ppo"
        )
    torch.set_num_threads(task.train.threads)
    return HazardRun(task, task.training, settings, folder, hooks).run(resume)


class HazardRun(GenerationRun):
    """Networks that are fitted epoch by epoch, until the steps are done: each step is an idle period that was shown.

    Args:
        task: what is trained.
        training: of the environment.
        settings: of the agent.
        folder: the run folder.
        hooks: of the caller.
    """

    def __init__(
        self, task: EnvironmentTask, training: ServerlessTraining, settings: LearnedHazard, folder: Path, hooks: Hooks
    ) -> None:
        super().__init__(task, settings, folder, hooks)
        others, self._problem = training.parts()
        rng = np.random.default_rng([task.seed, PERIODS])
        self._windows = _windows_of(self._problem)
        row = self._tuned_rule(others)
        self._start_usd, self._baseline_usd = self._rule_usd(row), self._rule_usd(HAZARD.rows[0])
        sleep = SLEEP_MS.index(int(row[sv.SLEEP]))
        self._model = untrained(
            others.serverless.prior_mass, (row[sv.FIRST], row[sv.SECOND], settings.spare_worth), sleep
        )
        first = idle_periods(self._problem, settings.most_periods, rng)
        periods = first.joined(idle_periods(others, settings.most_periods, rng))
        rows = rows_of(periods, self._model, settings.left_out)
        folds = _folds(int(first.function.max(initial=-1)) + 1, int(periods.function.max(initial=0)) + 1, rng)
        self._fits = [Fit(settings, rows, folds[rows.function] != fold, (task.seed, fold)) for fold in range(FOLDS)]
        counted = periods.begun_ms >= self._problem.serverless.warm_up_ms
        self._held_out = [periods.chosen(counted & (folds[periods.function] == fold)) for fold in range(FOLDS)]
        self._shown = len(periods)
        self._choice = Choice(START, 0.0, 0.0, 0.0, self._start_usd)

    def start_from(self, path: str) -> None:
        """Let every network that has the layers of another run's begin at it.

        Raises:
            ArtifactError: there is none, it belongs to another agent or other spaces, or no network has its layers.
        """
        folder, _ = self._own_artifact(path)
        model = read_model(folder)
        if not all(fit.start_from(model) for fit in self._fits):
            raise ArtifactError(
                f"{folder}: no network of agent.networks has the hidden layers of its policy; set them as it"
            )

    def _run_generation(self) -> None:
        left = max(1.0 - self.steps / self._task.train.total_steps, 0.0)
        rate = self._settings.learning_rate * left
        losses = np.mean([fit.epoch(self._generation, rate) for fit in self._fits], axis=0)
        self.steps, self._generation = self.steps + self._shown, self._generation + 1
        self._hooks.advance(self._shown)
        self._write({f"fit/loss_{number}": loss for number, loss in enumerate(losses)})

    def _validate(self) -> None:
        """Choose a model and save it; the first time it is the untrained one."""
        before = self._model
        if self._validated_at >= 0:
            self._choose()
        if self._validated_at < 0 or self._model is not before:
            save_trained(self._folder / POLICY, self._model, self._manifest(), self._task.config_text)
        self._validated_at = self.steps
        metric = self._task.metric
        self._write(
            {
                f"validation/{metric.name}": self._choice.usd,
                f"validation/{metric.baseline_key}_{metric.name}": self._baseline_usd,
                "validation/shrinkage": self._choice.factor,
                "validation/gain": self._choice.gain,
                "validation/gain_error": self._choice.error,
            }
        )

    def _choose(self) -> None:
        """Keep the model that saves most, if that is more than before and more than chance explains."""
        fitted, names, factors = [fit.models() for fit in self._fits], self._fits[0].names, self._settings.shrinkage
        found = [
            function_costs(models, (0.0, *factors), periods)
            for models, periods in zip(fitted, self._held_out, strict=True)
        ]
        costs = np.concatenate(found, axis=2)
        start = costs[0, 0]
        scale, count = max(float(start.sum()), 1e-12), len(start)
        tried: list[tuple[Choice, list[HazardModel]]] = []
        for number, column in product(range(len(names)), range(len(factors))):
            saved, factor = start - costs[number, 1 + column], factors[column]
            error = float(saved.std(ddof=1)) * count**0.5 / scale if count > 1 else np.inf
            choice = Choice(names[number], factor, float(saved.sum()) / scale, error, 0.0)
            tried.append((choice, [models[number].shrunk(factor) for models in fitted]))
        best, models = max(tried, key=lambda pair: pair[0].gain)
        if best.gain <= self._settings.proof * best.error:
            if self._choice.name == START:
                self._choice = self._choice._replace(gain=best.gain, error=best.error)
        elif self._choice.name == START or best.gain > self._choice.gain:
            self._model, self._kept_step = mean_of(models), self.steps
            self._choice = best._replace(usd=self._policy_usd(models[0]))

    def _policy_usd(self, model: HazardModel) -> float:
        """Mean USD of the validation windows, whose functions are the first fold, under the model that lacks them."""
        policy = HazardPolicy(self._settings.name, model, {})
        found = ServerlessSimulator(self._problem, len(self._windows)).play(policy, self._windows)
        prices = self._problem.config.prices
        return float(np.mean([results.decidable_usd(prices) for results in found]))

    def _tuned_rule(self, fitted: ServerlessProblem) -> Row:
        """The rule with look-ahead that training starts from: tuned, where that holds for the other functions too."""
        rows = (LOOK_AHEAD.rows[0], tuned_row(LOOK_AHEAD, fitted, _windows_of(fitted)))
        return min(rows, key=self._rule_usd)

    def _rule_usd(self, row: Row) -> float:
        return float(RulePlayer(self._problem).usd([row], None, self._windows).mean())

    def _kept(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        chosen = {f"chosen.{name}": array for name, array in self._model.arrays().items()}
        fits = {
            f"fold{number}.{name}": array
            for number, fit in enumerate(self._fits)
            for name, array in fit.arrays().items()
        }
        return self._choice._asdict(), {**fits, **chosen}

    def _restore(self, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        for number, fit in enumerate(self._fits):
            fit.load(_part(arrays, f"fold{number}."))
        self._model = model_of(_part(arrays, "chosen."))
        self._choice = Choice(**values)

    def _scores(self) -> Scores:
        return Scores(self._choice.usd, self._start_usd, self._baseline_usd, self._choice.describe())


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}


def _folds(first: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """[functions] the fold of each: the first ones are fold 0, the others are shared by the rest at random."""
    others = 1 + rng.permutation(count - first) % (FOLDS - 1)
    return np.concatenate([np.zeros(first, np.int64), others])


def _windows_of(problem: ServerlessProblem) -> NDArray[np.int64]:
    """Equal windows, two or more, about as long as an episode."""
    return problem.windows(max(2, problem.span_ms // problem.episode_ms))


def function_costs(models: Sequence[HazardModel], factors: Sequence[float], periods: Periods) -> NDArray[np.float64]:
    """[models, factors, functions] USD of idle periods, each function alone on nodes that cost nothing.

    Args:
        models: that differ in their layers only.
        factors: on their corrections.
        periods: of the functions.
    """
    found = np.empty((len(models), len(factors), len(periods)))
    for first in range(0, len(periods), CHUNK):
        chunk = slice(first, first + CHUNK)
        view = models[0].view_of(periods.observations[chunk])
        own = logit(own_hazards(view, models[0].prior))
        inputs = inputs_of(view, own, models[0].prior)
        for number, model in enumerate(models):
            corrections = model.corrections(inputs, view)
            for column, factor in enumerate(factors):
                plans = plan(chances(own + factor * corrections), view)
                found[number, column, chunk] = costs_ms(plans, view, periods.idle_ms[chunk], periods.came[chunk])
    usd = found * periods.keep_usd_per_ms * periods.weight
    functions = np.unique(periods.function)
    return np.stack([usd[:, :, periods.function == function].sum(axis=2) for function in functions], axis=2)
