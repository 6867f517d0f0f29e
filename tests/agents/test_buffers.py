"""Rollout buffers that discount by simulated time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.buffers import MaskableRolloutBuffer
from stable_baselines3.common.buffers import RolloutBuffer

from agents.sb3.buffers import MaskableTimeDiscountBuffer, TimeDiscountBuffer

STEPS, ENVS, GAMMA, LAMBDA, UNIT = 40, 5, 0.97, 0.9, 60.0
PAIRS = [(TimeDiscountBuffer, RolloutBuffer), (MaskableTimeDiscountBuffer, MaskableRolloutBuffer)]


def arguments(steps: int = STEPS, envs: int = ENVS) -> dict[str, Any]:
    return {
        "buffer_size": steps,
        "observation_space": spaces.Box(0.0, 1.0, (3,)),
        "action_space": spaces.MultiDiscrete([2, 3]),
        "device": "cpu",
        "n_envs": envs,
        "gamma": GAMMA,
        "gae_lambda": LAMBDA,
    }


def fill(buffer: RolloutBuffer, seed: int = 0) -> None:
    """Random steps with episodes that end here and there."""
    generator = np.random.default_rng(seed)
    masked = {"action_masks": np.ones((ENVS, 5), bool)} if isinstance(buffer, MaskableRolloutBuffer) else {}
    for _ in range(STEPS):
        buffer.add(
            generator.random((ENVS, 3)).astype(np.float32),
            np.ones((ENVS, 2)),
            generator.normal(size=ENVS).astype(np.float32),
            generator.random(ENVS) < 0.1,
            torch.tensor(generator.normal(size=ENVS), dtype=torch.float32),
            torch.zeros(ENVS),
            **masked,
        )
    last = torch.tensor(generator.normal(size=ENVS), dtype=torch.float32)
    buffer.compute_returns_and_advantage(last, generator.random(ENVS) < 0.5)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_steps_of_one_unit_give_exactly_stable_baselines_estimate(ours: Any, theirs: Any) -> None:
    one = ours(**arguments(), step_seconds=lambda: np.full(ENVS, UNIT), unit_seconds=UNIT)
    other = theirs(**arguments())
    fill(one)
    fill(other)
    np.testing.assert_allclose(one.advantages, other.advantages, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(one.returns, other.returns, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_steps_of_two_units_discount_twice(ours: Any, theirs: Any) -> None:
    one = ours(**arguments(), step_seconds=lambda: np.full(ENVS, 2 * UNIT), unit_seconds=UNIT)
    other = theirs(**{**arguments(), "gamma": GAMMA**2})
    fill(one)
    fill(other)
    np.testing.assert_allclose(one.advantages, other.advantages, rtol=1e-5, atol=1e-5)


def test_steps_of_different_times_by_hand() -> None:
    """Three steps of 30, 120 and 60 s; the episode of the second environment begins anew at its last step."""
    seconds = iter([[30.0, 60.0], [120.0, 60.0], [60.0, 600.0]])
    buffer = TimeDiscountBuffer(**arguments(3, 2), step_seconds=lambda: np.array(next(seconds)), unit_seconds=UNIT)
    rewards, values = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], [[0.5, 0.5], [0.25, 0.25], [0.125, 0.125]]
    starts = [[1, 1], [0, 0], [0, 1]]
    for reward, value, start in zip(rewards, values, starts, strict=True):
        buffer.add(
            np.zeros((2, 3)), np.zeros((2, 2)), np.array(reward), np.array(start), torch.tensor(value), torch.zeros(2)
        )
    buffer.compute_returns_and_advantage(torch.tensor([4.0, 4.0]), np.array([False, True]))

    half, two, one = GAMMA**0.5, GAMMA**2, GAMMA
    third = 3.0 + one * 4.0 - 0.125
    second = 2.0 + two * 0.125 - 0.25 + two * LAMBDA * third
    first = 1.0 + half * 0.25 - 0.5 + half * LAMBDA * second
    np.testing.assert_allclose(buffer.advantages[:, 0], [first, second, third], rtol=1e-6)
    # The other one: both its last steps end an episode, so nothing after them counts.
    ended = [1.0 + one * 0.25 - 0.5 + one * LAMBDA * (2.0 - 0.25), 2.0 - 0.25, 3.0 - 0.125]
    np.testing.assert_allclose(buffer.advantages[:, 1], ended, rtol=1e-6)
    np.testing.assert_allclose(buffer.returns, buffer.advantages + np.array(values), rtol=1e-6)


def test_a_buffer_that_is_emptied_forgets_its_times() -> None:
    times = [np.full(ENVS, 600.0)]
    buffer = TimeDiscountBuffer(**arguments(), step_seconds=lambda: times[0], unit_seconds=UNIT)
    fill(buffer)
    long = buffer.advantages.copy()
    buffer.reset()
    times[0] = np.full(ENVS, UNIT)
    fill(buffer)
    other = RolloutBuffer(**arguments())
    fill(other)
    assert np.abs(long - other.advantages).max() > 0.1
    np.testing.assert_allclose(buffer.advantages, other.advantages, rtol=2e-6, atol=2e-6)
