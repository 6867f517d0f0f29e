"""The submissions of the last day, which the policy sees in sliding windows, and what it remembers of all of them."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from autoscaler.live.view.gangs import Submission
from envs.gpu_cluster.codec import (
    SUBMIT_WINDOWS_SECONDS,
    empty_habits,
    empty_memory,
    note_submission,
    write_arrivals,
)

_Job = tuple[int, str, int, str]
"""Time in ms, key, thousandths of a GPU, user."""


def milliseconds(seconds: float) -> int:
    """Clock seconds as whole milliseconds, in which the simulator counts too."""
    return round(seconds * 1000.0)


class _Memory:
    """What is remembered of jobs in the order of their submission; see `envs.gpu_cluster.codec.arrivals`."""

    def __init__(self) -> None:
        self.jobs, self._last_ms = 0, 0
        self.arrivals = empty_memory()
        self._habits: dict[str, NDArray[np.float64]] = {}

    def note(self, job: _Job) -> None:
        """Remember the next job."""
        at, _, milli, user = job
        self._last_ms = max(self._last_ms, at)  # a job that was seen after later ones were forgotten counts as the last
        own = self._habits.setdefault(user, empty_habits(1)[0])
        note_submission(self.arrivals, own, float(self._last_ms), milli / 1000.0)
        self.jobs += 1

    def copy(self) -> _Memory:
        """The same, which goes on by itself."""
        other = _Memory()
        other._last_ms, other.arrivals = self._last_ms, self.arrivals.copy()
        other._habits = {user: own.copy() for user, own in self._habits.items()}
        return other


class Submissions:
    """Remembers each job once, also when its objects are gone. A restart remembers those that still exist.

    Args:
        started_seconds: clock time from which on it watches.
        remembers: whether jobs that no window reaches any more are remembered too, for `write_memory`.
    """

    def __init__(self, started_seconds: float, remembers: bool = False) -> None:
        self._started_ms = milliseconds(started_seconds)
        self._remembers = remembers
        self._known: dict[str, int] = {}
        self._jobs: list[_Job] = []  # in order of time
        self._before = _Memory()  # of the jobs before those of the list
        self._now: _Memory | None = _Memory()  # with the first jobs of the list; None: a job came before one of them

    def note(self, submissions: Iterable[Submission], now_seconds: float) -> None:
        """Take in the jobs that exist now, and forget those that no window reaches any more."""
        oldest = milliseconds(now_seconds) - milliseconds(SUBMIT_WINDOWS_SECONDS[-1])
        seen: set[str] = set()
        for job in submissions:
            seen.add(job.key)
            if job.key not in self._known:
                self._known[job.key] = milliseconds(job.seconds)
                self._insert((milliseconds(job.seconds), job.key, job.gpu_milli, job.user))
        # The newest is kept, however old: the policy also sees how long ago it was.
        first = min(bisect_right(self._jobs, (oldest, "\U0010ffff", 0, "")), max(0, len(self._jobs) - 1))
        self._forget(first)
        self._known = {key: at for key, at in self._known.items() if at > oldest or key in seen}

    def _insert(self, job: _Job) -> None:
        if self._now is not None and bisect_right(self._jobs, job) < self._now.jobs:
            self._now = None
        insort(self._jobs, job)

    def _forget(self, count: int) -> None:
        """Take the first jobs off the list; the memory keeps them."""
        if self._remembers:
            for job in self._jobs[:count]:
                self._before.note(job)
            if self._now is not None:
                self._now.jobs -= count
                if self._now.jobs < 0:
                    self._now = None
        del self._jobs[:count]

    def gpus(self, now_seconds: float, window_seconds: float) -> float:
        """GPUs of the jobs that were submitted in the last `window_seconds`."""
        now = milliseconds(now_seconds)
        after = now - milliseconds(window_seconds)
        return sum(milli for at, _, milli, _ in self._jobs if after < at <= now) / 1000.0

    def jobs(self, now_seconds: float, window_seconds: float) -> int:
        """The same, in jobs."""
        now = milliseconds(now_seconds)
        after = now - milliseconds(window_seconds)
        return sum(after < at <= now for at, _, _, _ in self._jobs)

    def since_newest_seconds(self, now_seconds: float) -> float:
        """Seconds since the newest submission; without one, since the watch began."""
        newest = self._jobs[-1][0] if self._jobs else self._started_ms
        return max(0, milliseconds(now_seconds) - newest) / 1000.0

    def write_memory(self, now_seconds: float, signals: NDArray[np.float64]) -> None:
        """Write what is remembered of all jobs into the signals of a snapshot.

        Args:
            now_seconds: clock time; it never goes back.
            signals: [len(Signal)] float64, written from `Signal.FADING_GPUS_60S` on.
        """
        now = milliseconds(now_seconds)
        if self._now is None:
            self._now = self._before.copy()
        while self._now.jobs < len(self._jobs) and self._jobs[self._now.jobs][0] <= now:
            self._now.note(self._jobs[self._now.jobs])
        write_arrivals(self._now.arrivals, float(now), signals)
