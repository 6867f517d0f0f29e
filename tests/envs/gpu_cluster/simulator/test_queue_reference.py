"""The rules of the queue: compiled and plain simulator agree on every number in crowded worlds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.gpu_cluster.simulator.problem import Problem
from tests.envs.gpu_cluster.side_by_side import (
    assert_equal,
    assert_same_times,
    both_simulators,
    keep_nodes,
    step_both,
    whole,
)
from tests.envs.gpu_cluster.simulator.test_queue_invariants import always_on
from tests.envs.gpu_cluster.worlds import crowded_problems, kernel_property

MAX_STEPS = 300


def queues_with_reservations(detailed: bool) -> st.SearchStrategy[Problem]:
    """Backfilling, with preemption or without."""
    preemption = always_on(detailed=detailed, backfill_policy="backfill", priorities=True, preemption=True)
    return always_on(detailed=detailed, backfill_policy="backfill") | preemption


@pytest.mark.slow
@kernel_property(examples=150)
@given(problem=crowded_problems(), seed=st.integers(0, 2**32 - 1), hold=st.sampled_from([0.0, 0.3]))
def test_any_queue_gives_the_same_numbers(problem: Problem, seed: int, hold: float) -> None:
    """Nodes stay on for long, jobs go where they fit or, at random, are held or go anywhere."""
    generator = np.random.default_rng(seed)
    fast, slow = both_simulators(problem, whole(problem))
    assert_equal(fast, slow)
    layout = problem.config.codec
    sizes = np.array(layout.action_sizes)
    for _ in range(MAX_STEPS):
        if slow.done:
            break
        action = generator.integers(sizes)
        action[: layout.max_pools] = layout.setpoint(3600.0, 0.0)
        action[layout.max_pools : layout.max_pools + layout.window_slots][
            generator.random(layout.window_slots) >= hold
        ] = layout.max_pools
        step_both(fast, slow, action)
    assert_same_times(fast, slow)


@pytest.mark.slow
@kernel_property(examples=150)
@given(problem=queues_with_reservations(detailed=False) | queues_with_reservations(detailed=True))
def test_reservations_are_the_same(problem: Problem) -> None:
    """Jobs arrive in bursts and all go where they fit, many of them on shares of a GPU, with known run times."""
    fast, slow = both_simulators(problem, whole(problem))
    action = keep_nodes(problem)
    while not slow.done:
        step_both(fast, slow, action)
    assert_same_times(fast, slow)
