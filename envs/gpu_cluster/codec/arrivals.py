"""What a policy remembers of submissions: sums that fade, the batch that comes in now, gangs, and the habits of users.

The memory after a job follows from the memory before it, so no window is searched, however far back it reaches. Each
user has habits of their own beside it. CPython and numba both run this file and give the same bits: only + - * / and
comparisons, in float64.

Source: Hawkes, "Spectra of some self-exciting and mutually exciting point processes" (Biometrika 1971), whose intensity
is such a sum, for one exponential; several of them stand for the slow decay that submissions of jobs have.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.layout import BATCH_SECONDS, FADING_HALF_LIVES_SECONDS, Signal

HALF_LIVES_MS = tuple(seconds * 1000.0 for seconds in FADING_HALF_LIVES_SECONDS)
HALF_LIVES = len(HALF_LIVES_MS)
SOON, LATELY = 1, 2
"""Positions among the half-lives: of what users are expected to submit next, and of gangs and users."""

AGAIN_MS = 600_000.0
"""A user submits again if the next job comes within that time, ms."""

BATCH_MS = BATCH_SECONDS * 1000.0
LONGEST_GAP_MS = 86_400_000.0
"""Longer gaps between two jobs count as that, ms, so that one holiday is no habit."""

HABIT_RATE = 0.1
"""Weight of the newest job in a habit; the first jobs count equally until each has less than that."""

LN2 = 0.6931471805599453
MOST_HALVINGS = 200.0


class Memory(IntEnum):
    """Columns of the memory after a job; what fades has its value at that moment."""

    COUNT = 0  # jobs so far
    AT_MS = 1  # when the last one was submitted
    GPUS = 2  # and the next columns: GPUs submitted, fading by each half-life
    JOBS = GPUS + HALF_LIVES  # and the next columns: jobs likewise
    LARGEST_GPUS = JOBS + HALF_LIVES  # of a job, fading
    LAST_GPUS = LARGEST_GPUS + 1  # of the last job
    BATCH_JOBS = LARGEST_GPUS + 2  # jobs with at most `BATCH_SECONDS` between one and the next, the last one included
    BATCH_GPUS = LARGEST_GPUS + 3
    BATCHES = LARGEST_GPUS + 4  # that were over before this one
    MEAN_BATCH_GPUS = LARGEST_GPUS + 5  # a habit, of those
    MEAN_GAP_SECONDS = LARGEST_GPUS + 6  # a habit, between two jobs
    USERS = LARGEST_GPUS + 7  # each counts by how their last job has faded
    BUSIEST_GPUS = LARGEST_GPUS + 8  # GPUs of the user who submitted most, fading
    NEXT_GPUS = LARGEST_GPUS + 9  # what the users who submitted will submit soon, by their habits, fading
    USER_GPUS = LARGEST_GPUS + 10  # habits of the user of the last job, with that job
    USER_AGAIN = LARGEST_GPUS + 11
    USER_GAP_SECONDS = LARGEST_GPUS + 12


MEMORY_COLUMNS = len(Memory) + 2 * (HALF_LIVES - 1)


class Habit(IntEnum):
    """Columns of what is remembered of a user."""

    COUNT = 0  # jobs so far
    AT_MS = 1  # when the last one was submitted
    GPUS = 2  # submitted, fading
    MEAN_GPUS = 3  # of a job
    AGAIN = 4  # share of the jobs that were followed by another one soon
    GAP_SECONDS = 5  # between two jobs


HABIT_COLUMNS = len(Habit)


def faded(age_ms: float, half_life_ms: float) -> float:
    """What is left of 1 after some time: 2 ** -(age / half-life), in arithmetic that is the same everywhere."""
    halvings = age_ms / half_life_ms
    if halvings > MOST_HALVINGS:
        return 0.0
    left = 1.0
    while halvings >= 1.0:
        left *= 0.5
        halvings -= 1.0
    power = halvings * LN2
    # The series of the exponential function; less than 1e-13 is left of it after 12 terms.
    total = 1.0
    for term in range(12, 0, -1):
        total = 1.0 + total * power / term
    return left / total


def habit(mean: float, value: float, count: float) -> float:
    """A habit that has seen one more value after `count` others."""
    rate = 1.0 / (count + 1.0)
    rate = max(rate, HABIT_RATE)
    return mean + rate * (value - mean)


def note_user(own: NDArray[np.float64], at_ms: float, gpus: float) -> None:
    """Remember that a user submits a job.

    Args:
        own: [HABIT_COLUMNS] float64, zeros before the first job; changed.
        at_ms: when, ms.
        gpus: of the job.
    """
    count = own[Habit.COUNT]
    if count > 0.0:
        age_ms = max(at_ms - own[Habit.AT_MS], 0.0)
        own[Habit.GPUS] *= faded(age_ms, HALF_LIVES_MS[LATELY])
        own[Habit.AGAIN] = habit(own[Habit.AGAIN], 1.0 if age_ms <= AGAIN_MS else 0.0, count - 1.0)
        gap_seconds = min(age_ms, LONGEST_GAP_MS) / 1000.0
        own[Habit.GAP_SECONDS] = habit(own[Habit.GAP_SECONDS], gap_seconds, count - 1.0)
    own[Habit.GPUS] += gpus
    own[Habit.MEAN_GPUS] = habit(own[Habit.MEAN_GPUS], gpus, count)
    own[Habit.COUNT], own[Habit.AT_MS] = count + 1.0, at_ms


def fade(memory: NDArray[np.float64], age_ms: float) -> None:
    """Let what fades in a memory be what is left of it after some time, ms."""
    for index in range(HALF_LIVES):
        left = faded(age_ms, HALF_LIVES_MS[index])
        memory[Memory.GPUS + index] *= left
        memory[Memory.JOBS + index] *= left
        if index == SOON:
            memory[Memory.NEXT_GPUS] *= left
        if index == LATELY:
            memory[Memory.LARGEST_GPUS] *= left
            memory[Memory.USERS] *= left
            memory[Memory.BUSIEST_GPUS] *= left


def note_submission(memory: NDArray[np.float64], own: NDArray[np.float64], at_ms: float, gpus: float) -> None:
    """Remember a job that is submitted; jobs come in the order of their submission.

    Args:
        memory: [MEMORY_COLUMNS] float64, of the jobs before it, zeros before the first one; changed.
        own: [HABIT_COLUMNS] float64, of its user, likewise; changed.
        at_ms: when, ms.
        gpus: of the job.
    """
    count = memory[Memory.COUNT]
    age_ms = max(at_ms - memory[Memory.AT_MS], 0.0) if count > 0.0 else 0.0
    fade(memory, age_ms)
    for index in range(HALF_LIVES):
        memory[Memory.GPUS + index] += gpus
        memory[Memory.JOBS + index] += 1.0
    memory[Memory.LARGEST_GPUS], memory[Memory.LAST_GPUS] = max(memory[Memory.LARGEST_GPUS], gpus), gpus
    if count > 0.0:
        gap_seconds = min(age_ms, LONGEST_GAP_MS) / 1000.0
        memory[Memory.MEAN_GAP_SECONDS] = habit(memory[Memory.MEAN_GAP_SECONDS], gap_seconds, count - 1.0)
        if age_ms > BATCH_MS:
            batches = memory[Memory.BATCHES]
            memory[Memory.MEAN_BATCH_GPUS] = habit(memory[Memory.MEAN_BATCH_GPUS], memory[Memory.BATCH_GPUS], batches)
            memory[Memory.BATCHES] = batches + 1.0
            memory[Memory.BATCH_JOBS], memory[Memory.BATCH_GPUS] = 0.0, 0.0
    memory[Memory.BATCH_JOBS] += 1.0
    memory[Memory.BATCH_GPUS] += gpus
    # The user counts once: what is left of the last time is taken away again.
    seen_ms = max(at_ms - own[Habit.AT_MS], 0.0)
    memory[Memory.USERS] += 1.0 - faded(seen_ms, HALF_LIVES_MS[LATELY]) if own[Habit.COUNT] > 0.0 else 1.0
    note_user(own, at_ms, gpus)
    # All users fade alike, so who is the busiest changes only when somebody submits.
    memory[Memory.BUSIEST_GPUS] = max(memory[Memory.BUSIEST_GPUS], own[Habit.GPUS])
    memory[Memory.NEXT_GPUS] += own[Habit.AGAIN] * own[Habit.MEAN_GPUS]
    memory[Memory.USER_GPUS], memory[Memory.USER_AGAIN] = own[Habit.MEAN_GPUS], own[Habit.AGAIN]
    memory[Memory.USER_GAP_SECONDS] = own[Habit.GAP_SECONDS]
    memory[Memory.COUNT], memory[Memory.AT_MS] = count + 1.0, at_ms


def write_arrivals(memory: NDArray[np.float64], now_ms: float, signals: NDArray[np.float64]) -> None:
    """Write what a memory says at a moment.

    Args:
        memory: [MEMORY_COLUMNS] float64, of the jobs submitted until then.
        now_ms: the moment, ms, not before the last of them.
        signals: [len(Signal)] float64, from `Signal.FADING_GPUS_60S` on; written.
    """
    age_ms = max(now_ms - memory[Memory.AT_MS], 0.0) if memory[Memory.COUNT] > 0.0 else 0.0
    for index in range(HALF_LIVES):
        left = faded(age_ms, HALF_LIVES_MS[index])
        signals[Signal.FADING_GPUS_60S + index] = left * memory[Memory.GPUS + index]
        signals[Signal.FADING_JOBS_60S + index] = left * memory[Memory.JOBS + index]
        if index == SOON:
            signals[Signal.USERS_NEXT_GPUS] = left * memory[Memory.NEXT_GPUS]
        if index == LATELY:
            signals[Signal.LARGEST_GANG_GPUS] = left * memory[Memory.LARGEST_GPUS]
            signals[Signal.ACTIVE_USERS] = left * memory[Memory.USERS]
    goes_on = 1.0 if age_ms <= BATCH_MS else 0.0
    signals[Signal.BATCH_JOBS] = goes_on * memory[Memory.BATCH_JOBS]
    signals[Signal.BATCH_GPUS] = goes_on * memory[Memory.BATCH_GPUS]
    signals[Signal.MEAN_BATCH_GPUS] = memory[Memory.MEAN_BATCH_GPUS]
    jobs, gpus = memory[Memory.JOBS + LATELY], memory[Memory.GPUS + LATELY]  # both fade alike
    signals[Signal.MEAN_GANG_GPUS] = gpus / jobs if jobs > 0.0 else 0.0
    signals[Signal.LAST_GANG_GPUS] = memory[Memory.LAST_GPUS]
    signals[Signal.MEAN_GAP_SECONDS] = memory[Memory.MEAN_GAP_SECONDS]
    signals[Signal.BUSIEST_USER_SHARE] = min(memory[Memory.BUSIEST_GPUS] / gpus, 1.0) if gpus > 0.0 else 0.0
    signals[Signal.USER_MEAN_GPUS] = memory[Memory.USER_GPUS]
    signals[Signal.USER_AGAIN] = memory[Memory.USER_AGAIN]
    signals[Signal.USER_GAP_SECONDS] = memory[Memory.USER_GAP_SECONDS]


def empty_memory() -> NDArray[np.float64]:
    """[MEMORY_COLUMNS] float64, of no job."""
    return np.zeros(MEMORY_COLUMNS)


def empty_habits(users: int) -> NDArray[np.float64]:
    """[users, HABIT_COLUMNS] float64, of users without jobs."""
    return np.zeros((users, HABIT_COLUMNS))
