"""What the kernels of Serverless-v0 read and write beside the container simulator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Serverless.function
KEEP_USD_PER_MS, COLD_USD, COLD_MS, MEMORY_GIB, GPUS = range(5)
ABOUT_COLUMNS = 5
# Rule: a row of numbers that says what becomes of an idle container.
RULE_KIND, FIRST, SECOND, THIRD, SLEEP, MANY = range(6)
RULE_COLUMNS = 6
"""`SLEEP` is the idle time-out of nodes, ms, or one of `envs.serverless.codec.SLEEP_MS` below 0; `MANY` how often
demand must have come to two and more, as a share, for containers to be pre-warmed for them too; 0: one is."""
FIXED, PER_FUNCTION, HAZARD, HISTOGRAM, AUTOSCALER, LOOK_AHEAD, LEARNED = range(7)
"""Kinds of rules, see `envs.serverless.rules`."""
# Play.clock
STARTED_MS, END_MS, PAID, IS_DONE, DECISIONS = range(5)
PLAY_COLUMNS = 5


class Serverless(NamedTuple):
    """What does not change: F functions.

    Attributes:
        about: [F, ABOUT_COLUMNS] float64, what keeping a container costs a ms, what a cold start costs and how long it
            takes, memory and GPUs.
        prior_mass: [BINS] float64, gaps that the prior of a histogram has in each bin.
        prior_tail: [BINS + 1] float64, those in it and all later bins.
        prices: `ContainerPrices.flat()`.
        mean_usd_per_uj: mean price of energy, with its carbon.
        day_offset_ms: time of day of the ms 0.
        sleep_ms: [N] int64, idle time-out of each node as it is described.
        break_even_ms: [N] int64, how long a node can be idle for what a boot costs.
        warm_up_ms: at the beginning of an episode, in which costs do not count.
    """

    about: NDArray[np.float64]
    prior_mass: NDArray[np.float64]
    prior_tail: NDArray[np.float64]
    prices: NDArray[np.float64]
    mean_usd_per_uj: float
    day_offset_ms: int
    sleep_ms: NDArray[np.int64]
    break_even_ms: NDArray[np.int64]
    warm_up_ms: int


class Play(NamedTuple):
    """What a batch of N environments shows.

    Attributes:
        clock: [N, PLAY_COLUMNS] float64: begin and end of the episode, ms; USD that rewards have paid; whether it is
            over; decisions.
        observation: [N, FEATURES] float32.
        reward: [N] float64.
    """

    clock: NDArray[np.float64]
    observation: NDArray[np.float32]
    reward: NDArray[np.float64]
