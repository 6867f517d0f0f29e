"""What becomes of an idle container by rule: a row of numbers says which rule, and its constants. Compiled.

Baselines (`agents.baselines.serverless`) are such rows; the learned policy is one whose constants come from its weights
and the observation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, rare
from envs.containers import state as st
from envs.containers.history import BINS, DEMANDS, LONG_END, bin_of, bin_start, level_of
from envs.containers.state import World
from envs.serverless import state as sv
from envs.serverless.state import Serverless

COUNTED_LEVELS = 4
"""Levels of demand up to which containers are pre-warmed: 1, 2, 3 to 4, and 5 to 8 requests at once."""


@helper
def idle_age(world: World, key: int) -> int:
    """How long the demand is below what would need the container that is idle now, ms."""
    row = world.key[key]
    demand = row[st.RUNNING] + row[st.QUEUED] + 1
    since = row[st.LAST_ABOVE + demand - 1] if demand <= DEMANDS else -1
    return world.clock[st.NOW] - since if since >= 0 else 0


@rare
def hazard_windows(
    world: World, about: Serverless, key: int, keep_factor: float, warm_factor: float
) -> tuple[int, int]:
    """Keep-alive and pre-warm by the chance that a request comes in the next bin of the function's histogram.

    A container is worth its keep in a bin where the chance of a request in it, given none before, times what a cold
    start costs is more than keeping it for the bin. It is kept until the first bin where it is not, and started again
    for the next one where it is. A prior, Lomax with a median of 10 minutes, stands in for gaps not seen yet.

    Args:
        world: what changes.
        about: of functions and prices.
        key: of the idle container.
        keep_factor: of what a cold start costs, for the bins in which it is kept.
        warm_factor: the same for the bins for which it is started again.
    """
    row, function, age = world.key[key], about.about[key], idle_age(world, key)
    level = level_of(row[st.RUNNING] + row[st.QUEUED] + 1)
    first, counted = bin_of(age), world.history[key, level]
    tail = about.prior_tail[first]
    for index in range(first, BINS):
        tail += counted[index]
    keep_until, is_kept = st.FOREVER, True
    factor = keep_factor
    for index in range(first, BINS - 1):
        mass = counted[index] + about.prior_mass[index]
        width = bin_start(index + 1) - bin_start(index)
        is_worth = mass * function[sv.COLD_USD] * factor > tail * width * function[sv.KEEP_USD_PER_MS]
        if is_kept and not is_worth:
            keep_until, is_kept, factor = bin_start(index), False, warm_factor
        elif not is_kept and is_worth and level == 0:
            keep = max(keep_until - age, 0)
            lead = int(function[sv.COLD_MS])
            return keep, max(bin_start(index) - age - keep - lead, 1)
        tail -= mass
    if is_kept:
        keep_until = LONG_END
    return max(keep_until - age, 0), st.FOREVER


@helper
def one_bin_back(
    saved: tuple[float, float, float], hazard: float, index: int, cold_ms: float, start_ms: float, may_warm: bool
) -> tuple[tuple[float, float, float], bool, bool]:
    """A step of dynamic programming from the last bin to the first.

    Args:
        saved: from the next bin on, in ms of keeping: by a container that is kept, by one that was dropped and may be
            started again, and by one that was started again.
        hazard: the chance of a request in the bin, if none came before.
        index: the bin.
        cold_ms: for how long a container can be kept for what a cold start costs.
        start_ms: how long a start takes.
        may_warm: whether one may be started again.

    Returns:
        The same from this bin on; whether the container is dropped where the bin begins; whether one that was dropped
        before is started again for it.
    """
    width = bin_start(index + 1) - bin_start(index)
    # A request that comes within the bin ends it, on average half way.
    now = hazard * cold_ms - (1.0 - 0.5 * hazard) * width
    kept = now + (1.0 - hazard) * saved[0]
    dropped = (1.0 - hazard) * saved[1]
    again = max(now + (1.0 - hazard) * saved[2], 0.0)
    is_warmed = may_warm and again - start_ms > dropped
    if is_warmed:
        dropped = again - start_ms
    is_dropped = kept <= dropped
    return (dropped if is_dropped else kept, dropped, again), is_dropped, is_warmed


@rare
def look_ahead_windows(
    world: World, about: Serverless, key: int, cold_factor: float, start_factor: float
) -> tuple[int, int]:
    """Keep-alive and pre-warm that cost least on average, if requests come as the function's histogram says.

    The hazard rule asks of each bin alone whether it is worth its keep. Here a bin may be kept for the sake of those
    after it: by dynamic programming from the last bin to the first, a container stays while what keeping it saves from
    there on is more than what dropping it does, which is 0, or what it saves to start one again for a later bin.

    Args:
        world: what changes.
        about: of functions and prices.
        key: of the idle container.
        cold_factor: of what a cold start costs.
        start_factor: of the time of a start, in which a container that is pre-warmed is paid for and serves nobody.
    """
    row, function, age = world.key[key], about.about[key], idle_age(world, key)
    level = level_of(row[st.RUNNING] + row[st.QUEUED] + 1)
    first, counted = bin_of(age), world.history[key, level]
    cold_ms = cold_factor * function[sv.COLD_USD] / function[sv.KEEP_USD_PER_MS]
    start_ms = start_factor * function[sv.COLD_MS]
    tail = about.prior_tail[BINS - 1] + counted[BINS - 1]
    saved, keep_until, warm_from, next_warm = (0.0, 0.0, 0.0), BINS - 1, -1, -1
    for back in range(BINS - 1 - first):
        index = BINS - 2 - back
        mass = counted[index] + about.prior_mass[index]
        tail += mass
        saved, is_dropped, is_warmed = one_bin_back(saved, mass / tail, index, cold_ms, start_ms, level == 0)
        if is_warmed:
            next_warm = index
        if is_dropped:
            keep_until, warm_from = index, next_warm
    keep = max(bin_start(keep_until) - age, 0)
    if warm_from < 0:
        return keep, st.FOREVER
    return keep, max(bin_start(warm_from) - age - keep - int(function[sv.COLD_MS]), 1)


@rare
def histogram_windows(world: World, key: int, head: float, tail: float, least: float) -> tuple[int, int]:
    """Pre-warm before the head of the function's idle times and keep until their tail, with a margin of 10 %.

    Where the histogram is not representative, because it has too few gaps or they are spread as evenly as chance would
    have it, the container is kept for as long as the histogram reaches.

    Source: Shahrad et al., "Serverless in the Wild", ATC 2020, section 4. Their bins are minutes, ours are narrower
    below 2 minutes and wider above an hour; the forecast by ARIMA for gaps beyond 4 hours is left out.

    Args:
        world: what changes.
        key: of the idle container.
        head: quantile before which it is not needed, 0.05 in the paper.
        tail: quantile until which it is kept, 0.99.
        least: coefficient of variation of the bins' counts from which the histogram is used, 2.
    """
    counted = world.history[key, level_of(world.key[key, st.RUNNING] + world.key[key, st.QUEUED] + 1)]
    total, squares = 0.0, 0.0
    for index in range(BINS):
        total += counted[index]
        squares += float(counted[index]) * counted[index]
    mean = total / BINS
    if total < 2 or squares / BINS - mean * mean < least * least * mean * mean or counted[BINS - 1] > 0.5 * total:
        return LONG_END, st.FOREVER
    low, high, seen = -1, 0, 0.0
    for index in range(BINS):
        seen += counted[index]
        if low < 0 and seen >= head * total and counted[index] > 0:
            low = index
        if counted[index] > 0 and seen - counted[index] < tail * total:
            high = index
    begin, end = int(0.9 * bin_start(low)), int(1.1 * bin_start(high + 1))
    age = idle_age(world, key)
    if age == 0 and begin >= 60_000:
        return 0, begin
    return max(end - age, 0), st.FOREVER


@helper
def autoscaler_windows(world: World, key: int, window: float, grace: float) -> tuple[int, int]:
    """When Knative would remove the container: as the mean concurrency of a window falls; the last one after a grace.

    The mean over the stable window is taken to fall evenly from what runs now. Panic mode only adds containers, which
    requests do here at once.

    Source: Knative Serving, configuration of the Pod Autoscaler: a stable window of 60 s, a grace of 30 s before zero.

    Args:
        world: what changes.
        key: of the idle container.
        window: the stable window, ms.
        grace: time without any request before the last container goes, ms.
    """
    row = world.key[key]
    if row[st.CONTAINERS] <= 1:
        return int(window + grace), st.FOREVER
    return int(window * (row[st.CONTAINERS] - row[st.RUNNING]) / row[st.CONTAINERS]), st.FOREVER


@helper
def count_expected(world: World, key: int, least: float) -> int:
    """How many requests are expected to run at once when a function is called again: 1, 2, 4 or 8.

    Its demand came to one so often, and to two, to three or four, to five to eight so often.

    Args:
        world: what changes.
        key: of the function.
        least: how often demand must have come so far, as a share of how often it came to one, that it is expected.
    """
    once, count = 0, 1
    for index in range(BINS):
        once += world.history[key, 0, index]
    for level in range(1, COUNTED_LEVELS):
        more = 0
        for index in range(BINS):
            more += world.history[key, level, index]
        if more < least * once * count or more == 0:
            return count
        count *= 2
    return count


@helper
def windows_of(world: World, about: Serverless, slot: int, rule: NDArray[np.float64]) -> tuple[int, int, int]:
    """Keep-alive and pre-warm of an idle container by a rule, ms, and how many are pre-warmed.

    Args:
        world: what changes.
        about: of functions and prices.
        slot: the idle container.
        rule: [RULE_COLUMNS] float64: its kind, then its constants.
    """
    keep, pre_warm = kept_by(world, about, slot, rule)
    if rule[sv.MANY] > 0.0 and pre_warm < st.FOREVER:
        return keep, pre_warm, count_expected(world, world.container[slot, st.KEY], rule[sv.MANY])
    return keep, pre_warm, 1


@rare
def kept_by(world: World, about: Serverless, slot: int, rule: NDArray[np.float64]) -> tuple[int, int]:
    """Keep-alive and pre-warm of an idle container by a rule, ms.

    Args:
        world: what changes.
        about: of functions and prices.
        slot: the idle container.
        rule: [RULE_COLUMNS] float64: its kind, then its constants.
    """
    key, kind = world.container[slot, st.KEY], int(rule[sv.RULE_KIND])
    if kind == sv.HAZARD:
        return hazard_windows(world, about, key, rule[sv.FIRST], rule[sv.SECOND])
    if kind == sv.LOOK_AHEAD:
        return look_ahead_windows(world, about, key, rule[sv.FIRST], rule[sv.SECOND])
    if kind == sv.HISTOGRAM:
        return histogram_windows(world, key, rule[sv.FIRST], rule[sv.SECOND], rule[sv.THIRD])
    if kind == sv.AUTOSCALER:
        return autoscaler_windows(world, key, rule[sv.FIRST], rule[sv.SECOND])
    if kind == sv.PER_FUNCTION:
        return world.control[key, st.KEEP], st.FOREVER
    return int(rule[sv.FIRST]), st.FOREVER
