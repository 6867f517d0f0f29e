"""The policy of the agent `learned-hazard`, compiled: chances of requests from a network, and the cheapest plan.

What it reads, its layers and its plans are defined with NumPy in `agents.hazard`, where it is trained; tests hold both
side by side. Numbers differ in their last digits: sums are taken in another order, and tanh is a rational function.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel, rare
from envs.containers.history import BINS, bin_of, bin_start
from envs.serverless.codec import FIRST_BEGIN, FIRST_END, FIRST_GAPS, GAPS_SCALE, MINUTE, NEVER, SUMMARY
from envs.serverless.rules import one_bin_back

LANES = -(-BINS // 16) * 16
"""Columns of `Scratch`: bins, and some more, so that loops over them are made of whole vectors."""
NUM_INPUTS = 28
SOFTNESS = 4.0
"""A gap counts as the same as a bin's time to 1/e where they differ by a factor of e^(1/4)."""
UNKNOWN_DISTANCE = 5.0
"""Logarithmic distance of a gap that is not known."""
MOST_LOGIT = 16.0
"""Chances are between 1e-7 and 1 - 1e-7."""
MOST_DEVIATIONS = 5.0
"""Inputs count up to there, so that functions unlike all that were fitted do not lead far away."""
ROUNDING_MS = 50.0
"""Float32 observations are coarser than ms; an age that is this little before a bin is at its beginning."""

_COLUMN = {feature.name: index for index, feature in enumerate(SUMMARY)}
ARRIVALS, RECENT, FIRST_QUANTILE = _COLUMN["arrivals"], _COLUMN["recent_requests"], _COLUMN["gap_p10"]
LAST_GAP, GAP_BEFORE, RUNNING = _COLUMN["last_gap"], _COLUMN["gap_before"], _COLUMN["running"]
CONTAINERS, IDLE_AGE, COLD_START = _COLUMN["containers"], _COLUMN["idle_age"], _COLUMN["cold_start"]
COLD_MINUTES = _COLUMN["cold_minutes"]
GAPS = 7
"""The last gap, the one before, and five quantiles."""

_STARTS = np.array([bin_start(index) for index in range(BINS)], np.float64)
_WIDTHS = np.append(np.diff(_STARTS), _STARTS[-1] - _STARTS[-2])
AGES = np.log1p(_STARTS / 1000.0)
WIDE = np.log(_WIDTHS / 1000.0)
RISING, FALLING = np.exp(SOFTNESS * AGES), np.exp(-SOFTNESS * AGES)

ONE, LIMIT = np.float32(1.0), np.float32(MOST_DEVIATIONS)
TANH_LIMIT = np.float32(7.90531110763549805)
# tanh(x) = x * ABOVE(x^2) / BELOW(x^2). Source: the rational function of Eigen (generic_fast_tanh_float).
A0, A1, A2 = np.float32(4.89352455891786e-03), np.float32(6.37261928875436e-04), np.float32(1.48572235717979e-05)
A3, A4, A5 = np.float32(5.12229709037114e-08), np.float32(-8.60467152213735e-11), np.float32(2.00018790482477e-13)
A6 = np.float32(-2.76076847742355e-16)
B0, B1, B2 = np.float32(4.89352518554385e-03), np.float32(2.26843463243900e-03), np.float32(1.18534705686654e-04)
B3 = np.float32(1.19825839466702e-06)


class HazardNetwork(NamedTuple):
    """A network and its frame; see `agents.hazard.model.HazardModel`.

    Attributes:
        prior: [BINS] float64, gaps of the prior by bin.
        factors: [3] float64, of what a cold start costs, of how long a start takes, and of what a cold start costs for
            a container that is spare.
        sleep: [1] int64, the choice of the nodes' idle time-out, an index of `envs.serverless.codec.SLEEP_MS`.
        mean, deviation: [NUM_INPUTS] float32, of the inputs.
        sizes: [layers + 1] int64, of the inputs, and of the outputs of each layer; the last is 1.
        numbers: float32, of each layer its weights [outputs, inputs], then its biases [outputs].
    """

    prior: NDArray[np.float64]
    factors: NDArray[np.float64]
    sleep: NDArray[np.int64]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    sizes: NDArray[np.int64]
    numbers: NDArray[np.float32]


class Scratch(NamedTuple):
    """Memory of one thread that decides.

    Attributes:
        counts, tails, odds, chances: [LANES] float64.
        first, second: [units, LANES] float32, what layers read and write in turn.
    """

    counts: NDArray[np.float64]
    tails: NDArray[np.float64]
    odds: NDArray[np.float64]
    chances: NDArray[np.float64]
    first: NDArray[np.float32]
    second: NDArray[np.float32]


def make_scratch(network: HazardNetwork) -> Scratch:
    """Memory for a network."""
    counts, tails, odds, chances = np.zeros((4, LANES))
    first, second = np.zeros((2, int(network.sizes.max()), LANES), np.float32)
    return Scratch(counts, tails, odds, chances, first, second)


@helper
def unscaled(value: float, scale: float) -> float:
    """The inverse of `envs.serverless.codec.scaled`; finite for what is infinite there."""
    below = min(float(value), 1.0 - 2.0**-24)
    return scale * below / (1.0 - below)


@helper
def gap_seen(seen: NDArray[np.float32], which: int, total: float, is_idle: bool) -> float:
    """Logarithm of one of the `GAPS` of a function, of 1 + seconds; -1: it is not known."""
    if which < 2:
        value = seen[LAST_GAP] if which == 0 else seen[GAP_BEFORE]
        if not is_idle or total < which + 1.0:
            return -1.0
    else:
        value = seen[FIRST_QUANTILE + which - 2]
        if value >= ONE:
            return -1.0
    return math.log1p(unscaled(value, 10.0 * MINUTE) / 1000.0)


@rare
def fill_inputs(seen: NDArray[np.float32], network: HazardNetwork, scratch: Scratch, is_idle: bool) -> None:
    """Write the inputs of all bins, `agents.hazard.features.NAMES`, to `scratch.first`."""
    out, counts, odds = scratch.first, scratch.counts, scratch.odds
    total = 0.0
    for index in range(BINS):
        total += counts[index]
        out[0, index], out[1, index] = AGES[index], WIDE[index]
        out[2, index] = math.log(scratch.tails[index])
        before, behind = max(index - 1, 0), min(index + 1, BINS - 1)
        out[3, index], out[4, index], out[5, index] = odds[index], odds[before], odds[behind]
        out[6, index], out[7, index], out[8, index] = counts[index], counts[before], counts[behind]
    last, median = 0.0, 0.0
    for which in range(GAPS):
        gap = gap_seen(seen, which, total, is_idle)
        distance, match = out[9 + which], out[9 + GAPS + which]
        if gap < 0.0:
            distance[:] = UNKNOWN_DISTANCE
            match[:] = math.exp(-SOFTNESS * UNKNOWN_DISTANCE)
            continue
        if which == 0:
            last = gap
        elif which == 4:
            median = gap
        rising, falling = math.exp(SOFTNESS * gap), math.exp(-SOFTNESS * gap)
        for index in range(BINS):
            distance[index] = gap - AGES[index]
            # exp(-SOFTNESS * |gap - age|), whose two factors are known.
            match[index] = falling * RISING[index] if gap >= AGES[index] else rising * FALLING[index]
    out[23, :], out[24, :], out[25, :] = last, median, math.log1p(total)
    out[26, :] = math.log1p(unscaled(seen[ARRIVALS], 20.0))
    out[27, :] = math.log1p(unscaled(seen[RECENT], 5.0))
    for number in range(NUM_INPUTS):
        row, mean, deviation = out[number], network.mean[number], network.deviation[number]
        for index in range(LANES):
            row[index] = min(max((row[index] - mean) / deviation, -LIMIT), LIMIT)


@helper
def tanh_all(row: NDArray[np.float32]) -> None:
    """The hyperbolic tangent of each number of a row, in place; within 3e-7."""
    for index in range(LANES):
        x = min(max(row[index], -TANH_LIMIT), TANH_LIMIT)
        y = x * x
        above = x * (A0 + y * (A1 + y * (A2 + y * (A3 + y * (A4 + y * (A5 + y * A6))))))
        row[index] = above / (B0 + y * (B1 + y * (B2 + y * B3)))


@rare
def run_layer(
    numbers: NDArray[np.float32],
    read: NDArray[np.float32],
    written: NDArray[np.float32],
    inputs: int,
    outputs: int,
    is_last: bool,
) -> None:
    """One layer for all bins at once.

    Args:
        numbers: weights and biases from here on.
        read: [inputs, LANES].
        written: [outputs, LANES].
        inputs: of the layer.
        outputs: of the layer.
        is_last: no tanh follows.
    """
    for unit in range(outputs):
        row = written[unit]
        row[:] = numbers[inputs * outputs + unit]
        for number in range(inputs):
            weight, values = numbers[unit * inputs + number], read[number]
            for index in range(LANES):
                row[index] += weight * values[index]
        if not is_last:
            tanh_all(row)


@rare
def fill_chances(seen: NDArray[np.float32], network: HazardNetwork, scratch: Scratch) -> None:
    """Write the chance of a request in each bin, if none came before, to `scratch.chances`."""
    tail = 0.0
    for back in range(BINS):
        index = BINS - 1 - back
        scratch.counts[index] = np.rint(unscaled(seen[FIRST_GAPS + index], GAPS_SCALE))
        mass = scratch.counts[index] + network.prior[index]
        tail += mass
        scratch.tails[index] = tail
        share = mass / tail
        odds = MOST_LOGIT if share >= 1.0 else math.log(share) - math.log1p(-share)
        scratch.odds[index] = min(max(odds, -MOST_LOGIT), MOST_LOGIT)
    is_idle = np.rint(unscaled(seen[RUNNING], 2.0)) == 0.0
    read, written = scratch.first, scratch.second
    if is_idle:
        fill_inputs(seen, network, scratch, is_idle)
        first = 0
        for layer in range(network.sizes.shape[0] - 1):
            inputs, outputs = network.sizes[layer], network.sizes[layer + 1]
            is_last = layer == network.sizes.shape[0] - 2
            run_layer(network.numbers[first:], read, written, inputs, outputs, is_last)
            first += (inputs + 1) * outputs
            read, written = written, read
    for index in range(BINS):
        correction = float(read[0, index]) if is_idle else 0.0
        odds = min(max(scratch.odds[index] + correction, -MOST_LOGIT), MOST_LOGIT)
        scratch.chances[index] = 1.0 / (1.0 + math.exp(-odds))


@rare
def choose(seen: NDArray[np.float32], network: HazardNetwork, scratch: Scratch, action: NDArray[np.int64]) -> None:
    """Write the action that begins the plan which costs least.

    Args:
        seen: [features] float32, the observation.
        network: the policy.
        scratch: memory.
        action: [4] int64.
    """
    fill_chances(seen, network, scratch)
    age = unscaled(seen[IDLE_AGE], 10.0 * MINUTE)
    demand = np.rint(unscaled(seen[RUNNING], 2.0))
    others = np.rint(unscaled(seen[CONTAINERS], 4.0)) - demand - 1.0
    is_spare = age > 0.0 and others > 0.0  # a container that goes idle after a request has the age 0
    cold_ms = network.factors[0] * unscaled(seen[COLD_MINUTES], 20.0) * MINUTE
    if is_spare:
        cold_ms *= network.factors[2]
    start_ms = network.factors[1] * unscaled(seen[COLD_START], 30_000.0)
    first, may_warm = bin_of(int(age + ROUNDING_MS)), demand == 0.0
    saved, keep_until, warm_from, next_warm = (0.0, 0.0, 0.0), BINS - 1, -1, -1
    for back in range(BINS - 1 - first):
        index = BINS - 2 - back
        saved, is_dropped, is_warmed = one_bin_back(saved, scratch.chances[index], index, cold_ms, start_ms, may_warm)
        if is_warmed:
            next_warm = index
        if is_dropped:
            keep_until, warm_from = index, next_warm
    action[0], action[1] = FIRST_END + keep_until, NEVER if warm_from < 0 else FIRST_BEGIN + warm_from
    action[2], action[3] = network.sleep[0], 0


@kernel
def choose_all(
    observations: NDArray[np.float32], network: HazardNetwork, scratch: Scratch, actions: NDArray[np.int64]
) -> None:
    """Write the action for each observation.

    Args:
        observations: [B, features] float32.
        network: the policy.
        scratch: memory.
        actions: [B, 4] int64.
    """
    for index in range(observations.shape[0]):
        choose(observations[index], network, scratch, actions[index])
