"""Rewards are discounted by simulated time, in every algorithm that discounts: compared with sums written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger

from agents.registry import make_agent
from agents.sb3.bootstrap import TimeBootstrap
from agents.sb3.buffers import TimeDiscountReplayBuffer
from agents.sb3.models import Clock, make_model
from agents.sb3.settings import Sb3Config
from tests.agents.toys import TimedVecEnv

GAMMA, LAMBDA, UNIT, ENVS, STEPS = 0.9, 0.8, 60.0, 3, 25
ON_POLICY = ["ppo", "a2c", "trpo", "recurrent-ppo"]
CONTINUOUS = ["sac", "td3", "ddpg", "tqc", "crossq"]


class Recorder(BaseCallback):
    """Keeps what each step gave, and the value of the last observation of a truncated episode."""

    def __init__(self, env: TimedVecEnv) -> None:
        super().__init__()
        self.env = env
        self.steps: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        last = [info.get("terminal_observation") if info.get("TimeLimit.truncated") else None for info in infos]
        self.steps.append(
            {
                "rewards": self.locals["rewards"].copy(),
                "dones": self.locals["dones"].copy(),
                "seconds": self.env.step_seconds,
                "tail": [0.0 if seen is None else self._value(seen, index) for index, seen in enumerate(last)],
            }
        )
        return True

    def _value(self, observation: np.ndarray, index: int) -> float:
        policy: Any = self.model.policy
        memory: tuple[Any, ...] = ()
        if "lstm_states" in self.locals:
            states = tuple(state[:, index : index + 1] for state in self.locals["lstm_states"].vf)
            memory = (states, torch.zeros(1))
        with torch.no_grad():
            return float(policy.predict_values(torch.as_tensor(observation[None]), *memory))


def rolled_out(name: str) -> tuple[Any, Recorder]:
    """A model after one rollout, of which the recorder saw each step."""
    env = TimedVecEnv(ENVS, spaces.MultiDiscrete([2, 3]))
    sizes = {} if name == "a2c" else {"batch_size": ENVS * STEPS}
    settings = make_agent(name, gamma=GAMMA, gae_lambda=LAMBDA, n_steps=STEPS, **sizes)
    assert isinstance(settings, Sb3Config)
    clock = Clock(lambda: env.step_seconds, UNIT)
    model: Any = make_model(settings, env, clock, 3)
    model.set_logger(Logger(None, []))
    recorder = Recorder(env)
    _, callback = model._setup_learn(0, CallbackList([recorder, TimeBootstrap(clock)]))
    assert model.collect_rollouts(model.env, callback, model.rollout_buffer, STEPS)
    return model, recorder


@pytest.mark.parametrize("name", ON_POLICY)
def test_advantages_are_those_of_a_sum_written_out_step_by_step(name: str) -> None:
    """A truncated episode ends with the value that it had left, discounted by its last step."""
    model, recorder = rolled_out(name)
    buffer = model.rollout_buffer
    truncations = sum(tail != 0.0 for step in recorder.steps for tail in step["tail"])
    assert truncations >= 5
    with torch.no_grad():
        memory = ()
        if name == "recurrent-ppo":
            memory = (model._last_lstm_states.vf, torch.as_tensor(recorder.steps[-1]["dones"], dtype=torch.float32))
        last = model.policy.predict_values(torch.as_tensor(model._last_obs), *memory).flatten().numpy()
    values = np.concatenate([buffer.values, last[None]])
    for env in range(ENVS):
        for start in range(STEPS):
            total, weight = 0.0, 1.0
            for at in range(start, STEPS):
                step = recorder.steps[at]
                discount = GAMMA ** (step["seconds"][env] / UNIT)
                following = step["tail"][env] if step["dones"][env] else values[at + 1, env]
                total += weight * (step["rewards"][env] + discount * following - values[at, env])
                weight *= discount * LAMBDA
                if step["dones"][env]:
                    break
            assert buffer.advantages[start, env] == pytest.approx(total, abs=2e-5)


def filled_replay(n_steps: int, steps: int, size: int = 40) -> tuple[TimeDiscountReplayBuffer, dict[str, np.ndarray]]:
    """A replay buffer of one environment, and what was put in; observation k is k, so that it can be found again."""
    generator = np.random.default_rng(0)
    story = {
        "rewards": generator.normal(size=steps),
        "seconds": generator.integers(30, 181, steps).astype(float),
        "dones": generator.random(steps) < 0.15,
        "truncated": generator.random(steps) < 0.5,
    }
    now = [0]
    buffer = TimeDiscountReplayBuffer(
        size,
        spaces.Box(0.0, 1e6, (1,), np.float32),
        spaces.Discrete(2),
        device="cpu",
        n_envs=1,
        step_seconds=lambda: story["seconds"][now[0] : now[0] + 1],
        unit_seconds=UNIT,
        gamma=GAMMA,
        n_steps=n_steps,
    )
    for index in range(steps):
        now[0] = index
        done = bool(story["dones"][index])
        info = {"TimeLimit.truncated": done and bool(story["truncated"][index])}
        observation, following = np.array([[index]], np.float32), np.array([[index + 0.5]], np.float32)
        buffer.add(
            observation, following, np.array([[1]]), story["rewards"][index : index + 1], np.array([done]), [info]
        )
    return buffer, story


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("steps", [30, 95])
def test_targets_of_a_replay_buffer_are_those_of_a_sum_written_out(n_steps: int, steps: int) -> None:
    """Half full, and full with the oldest steps written over."""
    buffer, story = filled_replay(n_steps, steps)
    np.random.seed(0)  # noqa: NPY002 (Stable-Baselines3's buffers draw from it)
    batch = buffer.sample(300)
    assert batch.discounts is not None
    starts = batch.observations.numpy().astype(int).flatten()
    assert len(set(starts)) > 25
    for row, start in enumerate(starts):
        total, discount, at = 0.0, 1.0, start
        for at in range(start, min(start + n_steps, steps)):
            total += discount * story["rewards"][at]
            discount *= GAMMA ** (story["seconds"][at] / UNIT)
            if story["dones"][at]:
                break
        ended = story["dones"][at] and not story["truncated"][at]
        assert float(batch.rewards[row]) == pytest.approx(total, rel=1e-5, abs=1e-6)
        assert float(batch.discounts[row]) == pytest.approx(discount, rel=1e-5)
        assert float(batch.dones[row]) == float(ended)
        assert float(batch.next_observations[row]) == at + 0.5


@pytest.mark.parametrize("name", ["dqn", "qrdqn", *CONTINUOUS])
def test_an_off_policy_agent_learns_from_a_buffer_that_discounts_by_time(name: str) -> None:
    space = spaces.Discrete(3) if name in ("dqn", "qrdqn") else spaces.Box(-1.0, 1.0, (2,), np.float32)
    env = TimedVecEnv(ENVS, space)
    sizes = {"batch_size": 16, "buffer_size": 300, "learning_starts": 30, "n_steps": 2}
    settings = make_agent(name, gamma=GAMMA, policy_kwargs={"net_arch": [8]}, **sizes)
    assert isinstance(settings, Sb3Config)
    model: Any = make_model(settings, env, Clock(lambda: env.step_seconds, UNIT), 0)
    model.set_logger(Logger(None, []))
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(120)
    assert any(not torch.equal(one, other) for one, other in zip(before, model.policy.parameters(), strict=True))
    buffer = model.replay_buffer
    assert isinstance(buffer, TimeDiscountReplayBuffer)
    assert buffer.n_steps == 2
    used = buffer.discounts[: buffer.pos]
    assert used.min() >= GAMMA**3.0 - 1e-6
    assert used.max() <= GAMMA**0.5 + 1e-6
    assert len(np.unique(used)) > 20
