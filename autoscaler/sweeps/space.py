"""What a sweep searches: an experiment, and ranges of some of its values by their dotted keys.

sweep:
agent.learning_rate: {low: 1.0e-4, high: 3.0e-3, log: true}
train.num_envs: {choices: [64, 128, 256]}
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoscaler.experiment import ExperimentConfig, load_experiment
from configs.errors import UserError
from configs.loader import build_config, load_config

if TYPE_CHECKING:
    from optuna import Trial

COMPARABLE = ("agent.", "train.", "environment.codec.", "environment.decision_", "environment.resync_")
"""Beginnings of the keys that a sweep may search."""

INCOMPARABLE = ("agent.name", "train.validation_windows")
"""Keys that it may not search all the same: the first has settings of its own, the second changes the score."""


class SweepError(UserError, ValueError):
    """A sweep that cannot be run."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values that one key may take: numbers from `low` to `high`, or `choices`.

    Attributes:
        low: the least value; with a whole `high`, whole numbers are drawn.
        high: the largest value, included.
        log: draw on a logarithmic scale.
        step: draw multiples of this above `low` only.
        choices: any values, instead of all of these.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse a range that has no meaning.

        Raises:
            SweepError: as above.
        """
        if self.choices is not None:
            if self.choices and (self.low, self.high, self.log, self.step) == (None, None, False, None):
                return
            raise SweepError("choices must be a list that is not empty, with neither low, high, log nor step beside it")
        if self.low is None or self.high is None:
            raise SweepError("give low and high, or choices")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise SweepError(f"low is {self.low} and high is {self.high}; low must be less than high, both finite")
        if self.log and (self.low <= 0 or self.step is not None):
            raise SweepError(f"low is {self.low}; a logarithmic range needs low > 0 and no step")
        if self.step is not None and not (0 < self.step <= self.high - self.low):
            raise SweepError(f"step is {self.step}; it must be > 0 and fit between low and high")
        if self.is_whole and self.step is not None and not isinstance(self.step, int):
            raise SweepError(f"step is {self.step}; it must be whole where low and high are")

    @property
    def is_whole(self) -> bool:
        """Whether whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to check before the sweep begins: the least and the largest, or all choices."""
        return self.choices if self.choices is not None else (self.low, self.high)

    def suggest(self, trial: Trial, key: str) -> Any:
        """Let a trial draw a value."""
        if self.choices is not None:
            # As JSON, because Optuna's storage keeps no lists.
            return self.parse(trial.suggest_categorical(key, [json.dumps(choice) for choice in self.choices]))
        assert self.low is not None
        assert self.high is not None
        if self.is_whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)

    def parse(self, stored: Any) -> Any:
        """The value that Optuna's storage keeps."""
        return stored if self.choices is None else json.loads(stored)


@dataclass(frozen=True, slots=True)
class SweepConfig(ExperimentConfig):
    """An experiment and what is searched.

    Attributes:
        sweep: ranges by dotted key of the experiment.
    """

    sweep: Mapping[str, Range] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a search of nothing, and of what changes the meaning of the score.

        Raises:
            SweepError: as above.
        """
        ExperimentConfig.__post_init__(self)
        if self.env is not None:
            raise SweepError(f"env is {self.env!r}; a sweep scores trainings on GPU clusters, in USD")
        if not self.sweep:
            raise SweepError("sweep is empty; list what to search, such as agent.learning_rate: {low: .., high: ..}")
        for key in self.sweep:
            if not key.startswith(COMPARABLE) or key in INCOMPARABLE:
                raise SweepError(
                    f"sweep.{key} cannot be searched, because trials must be scored alike; search keys of agent, train "
                    "or environment.codec"
                )

    def experiment(self, values: Mapping[str, Any] | None = None) -> ExperimentConfig:
        """The experiment, with drawn values.

        Args:
            values: by dotted key; None: the config's own.

        Raises:
            ConfigError: a key does not exist, or a value has no meaning there.
        """
        names = [item.name for item in dataclasses.fields(ExperimentConfig)]
        base = ExperimentConfig(**{name: getattr(self, name) for name in names})
        return load_experiment(base, [f"{key}={json.dumps(value)}" for key, value in (values or {}).items()])


def load_sweep(source: SweepConfig | Mapping[str, Any] | str | Path, overrides: Sequence[str] = ()) -> SweepConfig:
    """A sweep from a YAML file, a preset or plain values; each end of each range is tried on the experiment.

    Args:
        source: a path, a preset, nested plain values, or a sweep.
        overrides: `key.of.field=value` each.

    Raises:
        ConfigError: no such file, an unknown key, or a value that has no meaning.
        SweepError: the search has no meaning.
    """
    if isinstance(source, SweepConfig):
        if overrides:
            raise SweepError("overrides change a config that is read; make the change in the SweepConfig that is given")
        config = source
    elif isinstance(source, str | Path):
        config = load_config(source, SweepConfig, overrides)
    else:
        config = build_config(source, SweepConfig, "sweep", overrides)
    for key, span in config.sweep.items():
        for value in span.ends:
            config.experiment({key: value})
    return config
