"""Batches of Serverless-v0: steps that a caller decides, and whole episodes by rule or by weights. Compiled."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel, rare
from envs.containers import state as st
from envs.containers.history import bin_start
from envs.containers.kernels.accounting import book, usd_of
from envs.containers.kernels.batch import world_of
from envs.containers.kernels.events import advance, begin, charge_waiting
from envs.containers.kernels.life import go_idle
from envs.containers.kernels.placement import plan_sleep
from envs.containers.state import Problem, World
from envs.serverless import state as sv
from envs.serverless.codec import (
    BREAK_EVEN,
    COUNT_TABLE,
    FEATURES,
    FIRST_BEGIN,
    FIRST_END,
    HALF_OCTAVES,
    KEEP_MS,
    KEEP_TABLE,
    MULTIPLIER_TABLE,
    NEVER,
    SLEEP_TABLE,
    SUMMARY,
    observe,
    summarise,
)
from envs.serverless.network import HazardNetwork, Scratch, choose
from envs.serverless.rules import hazard_windows, idle_age, windows_of
from envs.serverless.state import Play, Serverless

SIZE, INPUTS = len(FEATURES), len(SUMMARY)
FIXED_KEEPS = len(KEEP_MS)
OUTPUTS = 2
WEIGHTS = OUTPUTS * (INPUTS + 1)
MOST_OCTAVES = HALF_OCTAVES / 2.0
"""A learned factor of what a cold start costs is at most 2 to this."""


@helper
def pay(problem: Problem, world: World, about: Serverless, play: Play, index: int) -> None:
    """Make the reward of what the time since the last one cost."""
    book(problem, world)
    usd = usd_of(world, about.prices)
    play.reward[index] = play.clock[index, sv.PAID] - usd
    play.clock[index, sv.PAID] = usd


@helper
def run_to_decision(problem: Problem, world: World, about: Serverless, play: Play, index: int) -> None:
    """Run until a container is idle, or the episode is over."""
    clock = play.clock[index]
    found = advance(problem, world, int(clock[sv.END_MS]), True)
    if found == st.UNTIL:
        charge_waiting(problem, world)
        clock[sv.IS_DONE] = 1.0
        play.observation[index, :] = 0.0
    else:
        observe(problem, world, about, world.clock[st.PENDING], play.observation[index])
    pay(problem, world, about, play, index)


@kernel
def begin_episode(
    problem: Problem,
    batch: World,
    about: Serverless,
    play: Play,
    index: int,
    start_ms: int,
    end_ms: int,
    first: int,
    end: int,
) -> None:
    """Begin an episode in an environment and run to its first decision."""
    world, clock = world_of(batch, index), play.clock[index]
    begin(problem, world, start_ms, first, end)
    clock[:] = 0.0
    clock[sv.STARTED_MS], clock[sv.END_MS] = start_ms, end_ms
    while advance(problem, world, min(start_ms + about.warm_up_ms, end_ms), True) == st.IDLE:
        slot = world.clock[st.PENDING]
        keep, pre_warm = hazard_windows(world, about, world.container[slot, st.KEY], 1.0, 1.0)
        go_idle(problem, world, slot, keep, pre_warm, 1)
    pay(problem, world, about, play, index)
    run_to_decision(problem, world, about, play, index)
    clock[sv.PAID] += play.reward[index]  # the first reward counts from here on, and nothing is lost
    play.reward[index] = 0.0


@helper
def pause_until(world: World, about: Serverless, key: int, keep: int, begin: int) -> int:
    """How long a function has no container so that one is ready when it was idle for `begin` ms; `FOREVER`: never.

    Args:
        world: what changes.
        about: of functions and prices.
        key: of the idle container.
        keep: how long that is kept, ms.
        begin: as above.
    """
    pause = begin - idle_age(world, key) - keep
    if pause <= 0:
        return st.FOREVER
    return max(pause - int(about.about[key, sv.COLD_MS]), 1)


@helper
def sleep_of(about: Serverless, node: int, sleep_ms: int) -> int:
    """The idle time-out of a node for a choice of the codec or a constant of a rule, ms."""
    if sleep_ms >= 0:
        return sleep_ms
    return about.break_even_ms[node] if sleep_ms == BREAK_EVEN else about.sleep_ms[node]


@helper
def carry_out(problem: Problem, world: World, about: Serverless, action: NDArray[np.int64]) -> None:
    """Carry out an action about the container that is idle."""
    slot = world.clock[st.PENDING]
    key = world.container[slot, st.KEY]
    if action[0] < FIXED_KEEPS:
        keep, pre_warm = KEEP_TABLE[action[0]], st.FOREVER
    elif action[0] < FIRST_END:
        factor = MULTIPLIER_TABLE[action[0] - FIXED_KEEPS]
        keep, pre_warm = hazard_windows(world, about, key, factor, factor)
    else:
        keep, pre_warm = max(bin_start(action[0] - FIRST_END) - idle_age(world, key), 0), st.FOREVER
    if action[1] == NEVER:
        pre_warm = st.FOREVER
    elif action[1] >= FIRST_BEGIN:
        pre_warm = pause_until(world, about, key, keep, bin_start(action[1] - FIRST_BEGIN))
    if action[2] != 0:
        for node in range(world.node.shape[0]):
            sleep = sleep_of(about, node, SLEEP_TABLE[action[2]])
            if world.node[node, st.SLEEP_MS] != sleep:
                world.node[node, st.SLEEP_MS] = sleep
                plan_sleep(problem, world, node)
    go_idle(problem, world, slot, keep, pre_warm, COUNT_TABLE[action[3]])


@kernel
def step_worlds(
    problem: Problem, batch: World, about: Serverless, play: Play, actions: NDArray[np.int64], first: int, end: int
) -> None:
    """Step each environment of a part of the batch that is not done."""
    for index in range(first, end):
        if play.clock[index, sv.IS_DONE] != 0.0:
            continue
        world = world_of(batch, index)
        carry_out(problem, world, about, actions[index])
        play.clock[index, sv.DECISIONS] += 1.0
        run_to_decision(problem, world, about, play, index)


@kernel
def follow_worlds(
    problem: Problem,
    batch: World,
    about: Serverless,
    play: Play,
    network: HazardNetwork,
    scratch: Scratch,
    actions: NDArray[np.int64],
    first: int,
    end: int,
) -> None:
    """Play each environment of a part of the batch to its end by a network: `step_worlds` with what it chooses.

    Args:
        problem: what does not change.
        batch: the worlds.
        about: of functions and prices.
        play: what they show.
        network: the policy.
        scratch: memory of it.
        actions: [N, components] int64, memory.
        first: the first environment.
        end: the one after the last.
    """
    for index in range(first, end):
        world = world_of(batch, index)
        while play.clock[index, sv.IS_DONE] == 0.0:
            choose(play.observation[index], network, scratch, actions[index])
            carry_out(problem, world, about, actions[index])
            play.clock[index, sv.DECISIONS] += 1.0
            run_to_decision(problem, world, about, play, index)


@helper
def learned_windows(
    problem: Problem,
    world: World,
    about: Serverless,
    slot: int,
    weights: NDArray[np.float64],
    out: NDArray[np.float32],
) -> tuple[int, int]:
    """The hazard rule with a factor that is 2 to a linear function of the summary; another says if it pre-warms.

    The factor is the nearest of the actions: this is `envs.serverless.training.linear_actions`, compiled.
    """
    summarise(problem, world, about, slot, out)
    keep, warm = weights[INPUTS], weights[2 * INPUTS + 1]
    for index in range(INPUTS):
        keep += weights[index] * out[index]
        warm += weights[INPUTS + 1 + index] * out[index]
    step = math.floor(2.0 * min(max(keep, -MOST_OCTAVES), MOST_OCTAVES) + 0.5)
    factor = MULTIPLIER_TABLE[step + HALF_OCTAVES]
    keep_ms, pre_warm_ms = hazard_windows(world, about, world.container[slot, st.KEY], factor, factor)
    return keep_ms, pre_warm_ms if warm >= 0.0 else st.FOREVER


@rare
def play_until(
    problem: Problem,
    world: World,
    about: Serverless,
    play: Play,
    index: int,
    rule: NDArray[np.float64],
    weights: NDArray[np.float64],
    until: int,
) -> int:
    """Play up to a moment by a rule; returns the number of decisions."""
    decisions = 0
    while advance(problem, world, until, True) == st.IDLE:
        slot = world.clock[st.PENDING]
        if int(rule[sv.RULE_KIND]) == sv.LEARNED:
            keep, pre_warm = learned_windows(problem, world, about, slot, weights, play.observation[index])
            count = 1
        else:
            keep, pre_warm, count = windows_of(world, about, slot, rule)
        go_idle(problem, world, slot, keep, pre_warm, count)
        decisions += 1
    return decisions


@kernel
def play_worlds(
    problem: Problem,
    batch: World,
    about: Serverless,
    play: Play,
    rules: NDArray[np.float64],
    weights: NDArray[np.float64],
    episodes: NDArray[np.int64],
    memory: int,
    first: int,
    end: int,
) -> None:
    """Play whole episodes by rules, one after the other in one world.

    Args:
        problem: what does not change.
        batch: the worlds.
        about: of functions and prices.
        play: `play.reward` has minus the USD of each.
        rules: [N, RULE_COLUMNS] float64.
        weights: [N, WEIGHTS] float64, read where the rule is `LEARNED`.
        episodes: [N, 4] int64: begin and end, ms, first request and the one behind the last.
        memory: number of the world that all are played in.
        first: the first episode.
        end: the one after the last.
    """
    for index in range(first, end):
        world, rule, episode = world_of(batch, memory), rules[index], episodes[index]
        for node in range(world.node.shape[0]):
            world.node[node, st.SLEEP_MS] = sleep_of(about, node, int(rule[sv.SLEEP]))
        begin(problem, world, episode[0], episode[2], episode[3])
        counted_from = min(episode[0] + about.warm_up_ms, episode[1])
        decisions = play_until(problem, world, about, play, index, rule, weights[index], counted_from)
        book(problem, world)
        before = usd_of(world, about.prices)
        decisions += play_until(problem, world, about, play, index, rule, weights[index], episode[1])
        charge_waiting(problem, world)
        book(problem, world)
        play.reward[index] = before - usd_of(world, about.prices)
        play.clock[index, sv.DECISIONS] = decisions
