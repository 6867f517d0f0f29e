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


def episode_seconds(problem: Problem) -> float:
    """How long a random episode is: `episode_seconds` of the settings, and at most half of the trace.

    Where half of the trace is shorter than one decision, there is nothing to draw and the setting holds.
    """
    return _episode_ms(problem) / 1000


def _episode_ms(problem: Problem) -> int:
    config = problem.config
    longest_ms = int((problem.submit_ms[-1] - problem.submit_ms[0]) * MAX_EPISODE_SHARE)
    configured_ms = round(config.episode_seconds * 1000)
    return configured_ms if longest_ms < config.decision_interval_seconds * 1000 else min(configured_ms, longest_ms)


def describe_episodes(problem: Problem) -> str | None:
    """One line for the user where episodes are shorter than the settings say; None: they are not."""
    seconds, configured = episode_seconds(problem), problem.config.episode_seconds
    if seconds >= round(configured * 1000) / 1000:
        return None
    return (
        f"episodes last {seconds / 3600:.1f} h, not the {configured / 3600:.1f} h of episode_seconds: at most "
        f"{MAX_EPISODE_SHARE:.0%} of the trace, so that they begin at different moments"
    )


def log_episodes(problem: Problem) -> None:
    """Log `describe_episodes`, if there is anything to say."""
    if (text := describe_episodes(problem)) is not None:
        logger.info(text)


def draw_episodes(problem: Problem, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Episodes of the length `episode_seconds(problem)` that begin at random moments, uniform over the trace.

    Returns:
        [count, 3] int64, as `Simulator.reset` takes them.
    """
    first_ms, last_ms = problem.submit_ms[0], problem.submit_ms[-1]
    length_ms = _episode_ms(problem)
    latest_ms = max(first_ms, last_ms - length_ms)
    episodes = np.empty((count, 3), np.int64)
    episodes[:, 0] = generator.integers(first_ms, latest_ms, size=count, endpoint=True)
    episodes[:, 1] = episodes[:, 0] + length_ms
    episodes[:, 2] = problem.num_jobs
    return episodes


def draw_seeds(problem: Problem, count: int, generator: np.random.Generator) -> NDArray[np.int64] | None:
    """[count] int64, seeds of what happens to nodes at random; None, and nothing is drawn, where nothing does."""
    if not problem.is_stochastic:
        return None
    return generator.integers(0, 2**63 - 1, size=count, endpoint=True)


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
