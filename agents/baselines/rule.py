"""Rules of the literature: policies of a few constants, which are tuned on a training window.

A rule reads a `View` and changes the `Choices` of a constant setpoint. Many sets of constants can be played side by
side in one batch, one per cluster: that is how they are tuned. Importing this loads no simulator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.baselines.view import Choices, Floats, Ints, Reader, View
from envs.gpu_cluster.codec import ALWAYS_ON, HEADROOM_FRACTIONS, IDLE_AGE_EDGES_SECONDS, CodecLayout, fingerprint

if TYPE_CHECKING:
    from agents.baselines.search import TunedConstants
    from agents.baselines.training_window import TrainingWindow

TIMEOUT = "idle_timeout_seconds"
HEADROOM = "headroom"
SHORT_TIMEOUTS = (0.0, 60.0, 300.0, 600.0, 1800.0)
"""Idle time-outs that most rules are tried with."""

Constants = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule knows of the training window beside its constants: plain values, for JSON.

    Attributes:
        values: by name; lists of numbers, nested where they have several dimensions.
    """

    values: Mapping[str, Any]

    def array(self, name: str) -> Floats:
        """One of them."""
        return np.array(self.values[name], np.float64)


NO_FACTS = Facts({})


class Rule(ABC):
    """A rule with its constants.

    Args:
        layout: the codec layout.
        constants: by name; what is left out has its default.
        facts: what was learned from the training window before the constants were tried.
        packer: in-pool packer, None for the environment's own.

    Attributes:
        label: its name in tables.
        num_clusters: of the batch since the last reset.
        grid: constant -> values that tuning tries; every constant of the rule. The default is the first.
        tuned_packer: packer that it is tuned with, None for the environment's own.
    """

    label: ClassVar[str]
    grid: ClassVar[Mapping[str, tuple[float, ...]]]
    tuned_packer: ClassVar[str | None] = None

    def __init__(
        self,
        layout: CodecLayout,
        constants: Constants | None = None,
        facts: Facts = NO_FACTS,
        packer: str | None = None,
    ) -> None:
        self.name = self.label
        self.packer = packer
        self.layout = layout
        self.masked = True
        self.codec_fingerprint = fingerprint(layout)
        self.facts = facts
        self._reader = Reader(layout)
        self._constants: dict[str, Floats] = {}
        self.num_clusters = 0
        self.set_constants([constants or {}])

    def set_constants(self, sets: Sequence[Constants]) -> None:
        """Give each cluster of the batch its own constants; one set is for all.

        Args:
            sets: one, or one per cluster.
        """
        full = [self.defaults() | dict(constants) for constants in sets]
        self._constants = {name: np.array([each[name] for each in full], np.float64) for name in full[0]}

    @classmethod
    def defaults(cls) -> dict[str, float]:
        """The constants that are tried first."""
        return {TIMEOUT: 600.0, HEADROOM: 0.0, **{name: values[0] for name, values in cls.grid.items()}}

    @property
    def constants(self) -> Mapping[str, Floats]:
        """[B or 1] float64 each, all constants of each cluster."""
        return self._constants

    def constant(self, name: str) -> Floats:
        """[B or 1] float64, a constant of each cluster."""
        return self._constants[name]

    def reset(self, num_clusters: int) -> None:
        """Forget what was remembered; a rule that remembers something overrides it.

        Args:
            num_clusters: of the batch.
        """
        self.num_clusters = num_clusters

    def act(self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_]) -> Ints:
        """The rule's action where it is valid; see `agents.policy.Policy`."""
        view = self._reader.read(observations, action_masks)
        choices = view.choices(
            _index(self.constant(TIMEOUT), IDLE_AGE_EDGES_SECONDS), _headroom_index(self.constant(HEADROOM))
        )
        self.decide(view, choices)
        return self._reader.action(choices, action_masks)

    @abstractmethod
    def decide(self, view: View, choices: Choices) -> None:
        """Change the choices of the constant setpoint in place.

        Args:
            view: what is seen.
            choices: those of the constants `idle_timeout_seconds` and `headroom`, every job in its default pool.
        """

    @classmethod
    def learn(cls, *_training: Any) -> Facts:
        """What the rule learns from the training window before its constants are tried; see `TrainingWindow`."""
        return NO_FACTS

    @classmethod
    def tune(cls, window: TrainingWindow) -> TunedConstants:
        """Search; see `Baseline.tune`. The simulator is imported only here."""
        from agents.baselines.search import search

        return search(cls, window)


def _headroom_index(values: Floats) -> Ints:
    """As `Choices.headroom` has it; `ALWAYS_ON` comes last."""
    return np.where(values == ALWAYS_ON, len(HEADROOM_FRACTIONS), _index(values, HEADROOM_FRACTIONS))


def _index(values: Floats, edges: tuple[float, ...]) -> Ints:
    return np.searchsorted(np.array(edges), values).astype(np.int64)


class Elapsed:
    """How much time has passed between decisions, from the hour of the day: they are never a day apart.

    Args:
        num_clusters: of the batch.
    """

    def __init__(self, num_clusters: int) -> None:
        self._hours: Floats = np.full(num_clusters, np.nan)

    def advance(self, view: View) -> Floats:
        """[B] float64, seconds since the last call, 0 at the first."""
        hours = view.day_hours
        passed = np.nan_to_num((hours - self._hours) % 24.0) * 3600.0
        self._hours = hours
        # The hour is known to a ms; a time that did not pass must not become a day.
        return np.where(passed > 86_390.0, 0.0, passed)
