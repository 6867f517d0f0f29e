"""What a source of signals is: it reads values and their times from somewhere, or says in one line why it cannot."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.kube.client import KubeClient
from autoscaler.live.kube.rights import Right
from autoscaler.live.signal_config import Quantity, SignalConfigError, SignalSource
from configs.errors import UserError
from configs.loader import build_config
from traces.signals.series import FACTORS, unit_factor

S = TypeVar("S")

Clock = Callable[[], float]
"""Returns the time in clock seconds; see `autoscaler.live.clock`."""


class Problem(StrEnum):
    """Why a read failed; the label `result` of a metric."""

    UNAUTHORIZED = "unauthorized"  # 401: the credential is wrong
    FORBIDDEN = "forbidden"  # 403: the credential does not allow it
    RATE_LIMITED = "rate-limited"  # 429
    SERVER_ERROR = "server-error"  # 5xx
    REFUSED = "refused"  # another status
    UNREACHABLE = "unreachable"  # no connection, or it broke off
    TIMEOUT = "timeout"  # no whole answer in time
    MALFORMED = "malformed"  # an answer that cannot be understood, or values that cannot be
    WRONG_UNIT = "wrong-unit"
    WRONG_ZONE = "wrong-zone"
    MISSING = "missing"  # there is no such file, object or key, or no value in it
    CREDENTIAL = "credential"  # the variable or file of the credential is not there


class SourceError(UserError, RuntimeError):
    """A read that failed.

    Attributes:
        problem: why, in one word.
        retry_after_seconds: how long the source said to wait; None: it said nothing.
    """

    def __init__(self, problem: Problem, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.problem, self.retry_after_seconds = problem, retry_after_seconds


class MissingCredentialError(UserError, RuntimeError):
    """A source needs a credential that is not there."""


class Reading(NamedTuple):
    """What a source told.

    Attributes:
        time_seconds: [N] float64, seconds since the Unix epoch, from when on each value holds, in any order, N >= 1.
        values: [N] float64, in the package's unit: gCO2e/kWh or USD/kWh.
        end_seconds: until when the newest value is known to hold.
        basis: `average`, `marginal` or `none`.
    """

    time_seconds: NDArray[np.float64]
    values: NDArray[np.float64]
    end_seconds: float
    basis: str = "none"


class Source(Protocol):
    """Reads one quantity of one place; each call is made from one thread, its own."""

    def read(self, since_seconds: float | None) -> Reading:
        """Read what is new.

        Args:
            since_seconds: the newest value that is known; None: nothing is, so that a source that can tell the past
                does.

        Raises:
            SourceError: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Around:
    """What a source may use.

    Attributes:
        now: the time.
        client: calls the API server; None: there is none, as in a test of other sources.
        namespace: namespace of the Lease.
    """

    now: Clock
    client: KubeClient | None = None
    namespace: str = "kube-system"


class SourceKind(ABC, Generic[S]):
    """What the live loop has to know of a source; one module has one, called `KIND`.

    Attributes:
        settings: schema of its settings.
        quantities: what it can tell.
    """

    settings: type[S]
    quantities: ClassVar[tuple[Quantity, ...]]

    def check(self, settings: S, quantity: Quantity) -> None:
        """Refuse settings that do not fit the quantity.

        Raises:
            SignalConfigError: they do not.
        """

    def credentials(self, settings: S) -> tuple[Credential, ...]:
        """The credentials that it needs."""
        return ()

    def rights(self, settings: S) -> tuple[Right, ...]:
        """The rights in the cluster that it needs."""
        return ()

    @abstractmethod
    def make(self, source: SignalSource, quantity: Quantity, around: Around) -> Source:
        """The source; it has read nothing yet."""

    def parse(self, source: SignalSource) -> S:
        """The settings of a source, which its region has checked."""
        return build_config(source.settings, self.settings, f"settings of {source.source}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret, by reference: it is read anew for every use, so that it can be changed while the loop runs.

    Attributes:
        env: environment variable that holds it.
        file: file that holds it, which comes first; None: none.
    """

    env: str
    file: str | None = None

    def value(self) -> str:
        """The secret.

        Raises:
            SourceError: it is not there; the message says where it should be, and nothing of it.
        """
        if self.file is not None:
            try:
                text = Path(self.file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                text = ""
            if not text:
                raise SourceError(Problem.CREDENTIAL, f"the credential file {self.file} cannot be read, or is empty")
        else:
            text = os.environ.get(self.env, "").strip()
            if not text:
                raise SourceError(Problem.CREDENTIAL, f"the environment variable {self.env} is not set")
        if not text.isprintable():
            where = self.env if self.file is None else self.file
            raise SourceError(Problem.CREDENTIAL, f"the credential in {where} has control characters in it")
        return text


def check_unit(name: str, quantity: Quantity, unit: str | None) -> None:
    """Refuse a unit that the quantity does not have; None is the package's own.

    Raises:
        SignalConfigError: as above, with the nearest one.
    """
    if unit is not None:
        try:
            unit_factor(quantity, unit, name)
        except ValueError as error:
            raise SignalConfigError(str(error)) from None


def converted(values: Any, quantity: Quantity, unit: str | None, where: str) -> NDArray[np.float64]:
    """Values in the package's unit.

    Raises:
        SourceError: a value is no finite number, carbon is negative, or the quantity has no such unit.
    """
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError):
        raise SourceError(Problem.MALFORMED, f"{where}: a value is no number") from None
    if not array.size or array.ndim != 1:
        raise SourceError(Problem.MISSING, f"{where}: there is no value")
    if unit is not None:
        if unit not in FACTORS[quantity]:
            known = ", ".join(FACTORS[quantity])
            raise SourceError(
                Problem.WRONG_UNIT, f"{where}: the unit is {unit[:40]!r}; units of {quantity} are {known}"
            )
        array *= FACTORS[quantity][unit]
    if not np.isfinite(array).all():
        raise SourceError(Problem.MALFORMED, f"{where}: a value is no finite number")
    if quantity == "carbon" and array.min() < 0.0:
        raise SourceError(Problem.MALFORMED, f"{where}: carbon is {array.min():g}; it must be at least 0")
    return array


def field_of(document: Any, name: str, where: str) -> Any:
    """A field of a JSON object.

    Raises:
        SourceError: it has none.
    """
    if not isinstance(document, Mapping) or document.get(name) is None:
        raise SourceError(Problem.MALFORMED, f"{where}: there is no {name!r} in the answer")
    return document[name]


def step_seconds(times: NDArray[np.float64]) -> float:
    """How long the last of some values holds: the most frequent step, one hour for a single value."""
    steps, counts = np.unique(np.diff(np.unique(times)), return_counts=True)
    return float(steps[counts.argmax()]) if len(steps) else 3600.0
