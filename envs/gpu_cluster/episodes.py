"""Which part of a trace an episode replays."""

from __future__ import annotations

import logging
import math
import numbers
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import did_you_mean
from envs.errors import EnvironmentConfigError
from envs.gpu_cluster.simulator import NEVER
from envs.gpu_cluster.simulator.problem import Problem

MAX_EPISODE_SHARE = 0.5
"""Longest random episode, as a share of the time in which jobs are submitted: else all would begin at one moment."""

logger = logging.getLogger(__name__)


class RandomEpisodes:
    """The random episodes of a problem: how long each is, and where one may begin.

    Made once for a problem: a reset then takes some microseconds, as a step does.

    Args:
        problem: trace, cluster and settings.

    Attributes:
        seconds: how long an episode is: `episode_seconds` of the settings, and at most half of the trace. Where half of
            the trace is shorter than `settle_seconds`, there is nothing to draw and the setting holds.
    """

    __slots__ = ("_first_ms", "_latest_ms", "_length_ms", "_problem", "seconds")

    def __init__(self, problem: Problem) -> None:
        config = problem.config
        first_ms, last_ms = int(problem.submit_ms[0]), int(problem.submit_ms[-1])
        longest_ms = int((last_ms - first_ms) * MAX_EPISODE_SHARE)
        length_ms = round(config.episode_seconds * 1000)
        if longest_ms >= config.settle_seconds * 1000:
            length_ms = min(length_ms, longest_ms)
        self._problem, self._length_ms, self._first_ms = problem, length_ms, first_ms
        self._latest_ms = max(first_ms, last_ms - length_ms)
        self.seconds = length_ms / 1000

    def draw(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """An episode that begins at a random moment, uniform over the trace.

        Returns:
            [1, 3] int64, as `Simulator.reset` takes it.
        """
        start_ms = int(generator.integers(self._first_ms, self._latest_ms, endpoint=True))
        return np.array([[start_ms, start_ms + self._length_ms, self._problem.num_jobs]], np.int64)

    def describe(self) -> str | None:
        """One line for the user where episodes are shorter than the settings say; None: they are not."""
        configured = self._problem.config.episode_seconds
        if self.seconds >= round(configured * 1000) / 1000:
            return None
        return (
            f"episodes last {self.seconds / 3600:.1f} h, not the {configured / 3600:.1f} h of episode_seconds: at most "
            f"{MAX_EPISODE_SHARE:.0%} of the trace, so that they begin at different moments"
        )

    def log(self) -> None:
        """Log `describe`, if there is anything to say."""
        if (text := self.describe()) is not None:
            logger.info(text)


def draw_seed(problem: Problem, generator: np.random.Generator) -> NDArray[np.int64] | None:
    """[1] int64, the seed of what happens to nodes at random; None, and nothing is drawn, where nothing does."""
    if not problem.is_stochastic:
        return None
    return np.array([generator.integers(0, 2**63 - 1, endpoint=True)])


def episode_of(problem: Problem, start_seconds: float, end_seconds: float | None = None) -> NDArray[np.int64]:
    """The episode of the jobs submitted in [start, end), which ends when all of them are done.

    Args:
        problem: trace and cluster.
        start_seconds: first moment, in the trace's time.
        end_seconds: jobs from here on are left out; None: none is.

    Returns:
        [1, 3] int64, as `Simulator.reset` takes it.
    """
    last_job = problem.num_jobs
    if end_seconds is not None:
        last_job = int(np.searchsorted(problem.submit_ms, round(end_seconds * 1000)))
    return np.array([[round(start_seconds * 1000), NEVER, last_job]], np.int64)


WINDOW = ("start_seconds", "end_seconds")
"""The options of `reset`."""


def episode_from_options(problem: Problem, options: Mapping[str, Any]) -> NDArray[np.int64]:
    """The episode that the options of `reset` describe: `start_seconds` and, if wanted, `end_seconds`.

    Returns:
        [1, 3] int64, as `Simulator.reset` takes it.

    Raises:
        EnvironmentConfigError: an option is unknown or no finite number, or no job is submitted in the window.
    """
    for name in options:
        if name not in WINDOW:
            raise EnvironmentConfigError(f"reset has no option {name!r}{did_you_mean(str(name), WINDOW)}")
    if "start_seconds" not in options:
        raise EnvironmentConfigError("the option end_seconds of reset needs start_seconds beside it")
    start = _finite_seconds("start_seconds", options["start_seconds"])
    end = _finite_seconds("end_seconds", options["end_seconds"]) if "end_seconds" in options else None
    if start < 0.0:
        raise EnvironmentConfigError(f"the option start_seconds of reset is {start}; trace time begins at 0")
    first, last = (float(problem.submit_ms[row]) / 1000 for row in (0, -1))
    if start <= last:
        # Numbers beyond the trace may be no int64.
        episode = episode_of(problem, start, None if end is None else min(max(end, 0.0), last + 1.0))
        if episode[0, 2] > np.searchsorted(problem.submit_ms, episode[0, 0]):
            return episode
    until = "the end" if end is None else f"{end} s"
    raise EnvironmentConfigError(
        f"no job is submitted in the window from {start} s to {until}; the jobs of the trace are submitted from "
        f"{first} s to {last} s"
    )


def _finite_seconds(name: str, value: Any) -> float:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)
    if not is_number or not math.isfinite(value):
        raise EnvironmentConfigError(f"the option {name} of reset is {value!r}; it must be a finite number of seconds")
    return float(value)


def equal_edges_ms(start_ms: int, end_ms: int, count: int) -> list[int]:
    """The `count + 1` edges of [start, end) cut into equal parts, whole ms."""
    return [start_ms + (end_ms - start_ms) * index // count for index in range(count + 1)]


def equal_episodes(problem: Problem, start_seconds: float, end_seconds: float, count: int) -> NDArray[np.int64]:
    """[start, end) cut into equal windows, each of which ends when all jobs that were submitted in it are done.

    Windows without a submission are left out.

    Returns:
        [0 to count, 3] int64, as `Simulator.reset` takes them.
    """
    edges = equal_edges_ms(round(start_seconds * 1000), round(end_seconds * 1000), count)
    first_jobs = np.searchsorted(problem.submit_ms, edges)
    windows = [
        (edge, NEVER, end) for edge, (first, end) in zip(edges, pairwise(first_jobs), strict=False) if end > first
    ]
    return np.array(windows, np.int64).reshape(-1, 3)
