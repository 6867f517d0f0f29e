"""Agents with continuous actions on GPU clusters: a Box of setpoints, the same ones that the discrete space has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.baselines.constant import ConstantSetpoint
from agents.loading import load_policy
from agents.registry import AGENTS, make_agent
from agents.sb3.files import save_trained
from agents.sb3.policies import build_policy
from agents.sb3.scores import TrainedPolicy
from agents.training import train
from autoscaler.live.policy.artifact import OnnxPolicy
from envs.gpu_cluster.codec import ALWAYS_ON, CodecLayout, fingerprint
from envs.gpu_cluster.setpoint_box import SetpointBoxVecEnv, setpoint_box, setpoints_of
from envs.gpu_cluster.spaces import observation_space
from envs.gpu_cluster.vector import GpuClusterVecEnv
from tests.agents.builders import manifest_of, observations_and_masks, small_problem, small_task

CONTINUOUS = [name for name in AGENTS if AGENTS[name].is_continuous()]
LAYOUT = CodecLayout(max_pools=2, window_slots=3, consolidation=True, power_caps=True)
ONE_POOL = CodecLayout(max_pools=1, window_slots=2)
NETWORK = {"net_arch": [8, 8]}


def untrained(agent: str, layout: CodecLayout = LAYOUT) -> TrainedPolicy:
    """Random weights, not nearly zero."""
    torch.manual_seed(0)
    settings = make_agent(agent, policy_kwargs=NETWORK)
    policy = build_policy(settings, observation_space(layout), setpoint_box(layout), layout)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.normal_(0.0, 0.5)
    policy.set_training_mode(False)
    return TrainedPolicy(agent, policy, False, layout, "best-fit")


def test_every_setpoint_is_an_action_and_the_ends_are_those_of_the_grid() -> None:
    assert CONTINUOUS == ["sac", "td3", "ddpg", "tqc", "crossq"]
    timeouts, reserves = (np.linspace(-1.0, 1.0, count) for count in (10, 7))
    actions = np.array([(timeout, reserve) for reserve in reserves[:-1] for timeout in timeouts], np.float32)
    np.testing.assert_array_equal(setpoints_of(actions)[:, 0], np.arange(60))
    for timeout in (-1.0, 0.3, 1.0):
        assert LAYOUT.setpoints[setpoints_of(np.array([timeout, 1.0]))[0]][1] == ALWAYS_ON
    assert setpoints_of(np.zeros((5, 4), np.float32)).shape == (5, 2)


def test_the_box_steps_as_the_same_setpoints_with_default_places_do() -> None:
    problem = small_problem(ONE_POOL)
    box, discrete = SetpointBoxVecEnv(problem, 4, seed=1), GpuClusterVecEnv(problem, 4, seed=1)
    assert box.action_space == setpoint_box(ONE_POOL)
    seen, generator = discrete.reset(), np.random.default_rng(0)
    np.testing.assert_array_equal(box.reset(), seen)
    rule = ConstantSetpoint(ONE_POOL)
    for _ in range(200):
        actions = generator.uniform(-1.0, 1.0, (4, 2)).astype(np.float32)
        whole = rule.act_with(setpoints_of(actions), seen, discrete.action_masks())
        theirs, rewards, _, _ = discrete.step(whole)
        ours, same, _, _ = box.step(actions)
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(same, rewards)
        seen = theirs


@pytest.mark.parametrize("agent", CONTINUOUS)
def test_the_saved_the_exported_and_the_trained_policy_act_the_same(agent: str, tmp_path: Path) -> None:
    policy = untrained(agent)
    network: torch.nn.Module = policy.network
    settings = {"policy_kwargs": NETWORK}
    layout = {"codec": LAYOUT.to_dict(), "codec_fingerprint": fingerprint(LAYOUT)}
    manifest = replace(manifest_of("ppo"), agent=agent, settings=settings, masked=False, **layout)
    save_trained(tmp_path / "policy", network.policy, manifest, "agent: test\n")  # type: ignore[arg-type]
    observations, masks = observations_and_masks(LAYOUT, 100)
    chosen = policy.act(observations, masks)
    np.testing.assert_array_equal(load_policy(tmp_path).act(observations, masks), chosen)  # type: ignore[arg-type]
    np.testing.assert_array_equal(OnnxPolicy(tmp_path, LAYOUT).act(observations, masks), chosen)
    actions, _ = network.policy.predict(observations, deterministic=True)  # type: ignore[operator, union-attr]
    np.testing.assert_array_equal(chosen[:, :2], setpoints_of(actions))
    default = ConstantSetpoint(LAYOUT).act(observations, masks)
    np.testing.assert_array_equal(chosen[:, 2:], default[:, 2:])
    assert len(np.unique(chosen[:, :2])) > 3


@pytest.mark.slow
@pytest.mark.parametrize("agent", CONTINUOUS)
def test_it_trains_on_a_cluster(agent: str, tmp_path: Path) -> None:
    settings = {"policy_kwargs": NETWORK, "buffer_size": 2000, "batch_size": 64, "learning_starts": 160}
    task = small_task("ppo", problem=small_problem(ONE_POOL), train={"total_steps": 1024})
    result = train(replace(task, agent=make_agent(agent, **settings)), tmp_path)
    assert result.finished
    assert np.isfinite(result.best_score)
    loaded = load_policy(tmp_path)
    assert task.score(loaded) == pytest.approx(result.best_score)  # type: ignore[arg-type]
