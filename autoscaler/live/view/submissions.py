"""The submissions of the last day, which the policy sees in sliding windows."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable

from autoscaler.live.view.gangs import Submission
from envs.gpu_cluster.codec import SUBMIT_WINDOWS_SECONDS


def milliseconds(seconds: float) -> int:
    """Clock seconds as whole milliseconds, in which the simulator counts too."""
    return round(seconds * 1000.0)


class Submissions:
    """Remembers each job once, also when its objects are gone. A restart remembers those that still exist.

    Args:
        started_seconds: clock time from which on it watches.
    """

    def __init__(self, started_seconds: float) -> None:
        self._started_ms = milliseconds(started_seconds)
        self._known: dict[str, int] = {}
        self._jobs: list[tuple[int, str, int]] = []  # (time in ms, key, thousandths of a GPU), in order of time

    def note(self, submissions: Iterable[Submission], now_seconds: float) -> None:
        """Take in the jobs that exist now, and forget those that no window reaches any more."""
        oldest = milliseconds(now_seconds) - milliseconds(SUBMIT_WINDOWS_SECONDS[-1])
        seen: set[str] = set()
        for job in submissions:
            seen.add(job.key)
            if job.key not in self._known:
                self._known[job.key] = milliseconds(job.seconds)
                insort(self._jobs, (milliseconds(job.seconds), job.key, job.gpu_milli))
        # The newest is kept, however old: the policy also sees how long ago it was.
        first = min(bisect_right(self._jobs, (oldest, "\U0010ffff", 0)), max(0, len(self._jobs) - 1))
        del self._jobs[:first]
        self._known = {key: at for key, at in self._known.items() if at > oldest or key in seen}

    def gpus(self, now_seconds: float, window_seconds: float) -> float:
        """GPUs of the jobs that were submitted in the last `window_seconds`."""
        now = milliseconds(now_seconds)
        after = now - milliseconds(window_seconds)
        return sum(milli for at, _, milli in self._jobs if after < at <= now) / 1000.0

    def jobs(self, now_seconds: float, window_seconds: float) -> int:
        """The same, in jobs."""
        now = milliseconds(now_seconds)
        after = now - milliseconds(window_seconds)
        return sum(after < at <= now for at, _, _ in self._jobs)

    def since_newest_seconds(self, now_seconds: float) -> float:
        """Seconds since the newest submission; without one, since the watch began."""
        newest = self._jobs[-1][0] if self._jobs else self._started_ms
        return max(0, milliseconds(now_seconds) - newest) / 1000.0
