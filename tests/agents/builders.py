"""Small models, artifacts and training tasks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm

import traces
from agents.artifact import Manifest
from agents.baselines.tuned import Tuned
from agents.cluster_task import ClusterTask
from agents.config import TrainConfig
from agents.registry import AGENTS, make_agent
from agents.sb3.files import save_trained
from agents.sb3.models import Clock, make_model
from envs.gpu_cluster.cluster import auto_cluster
from envs.gpu_cluster.codec import CodecLayout, empty_plan, encode, fingerprint, observation_size, write_mask
from envs.gpu_cluster.config import EnvironmentConfig
from envs.gpu_cluster.episodes import equal_episodes
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.vector import GpuClusterVecEnv
from tests.envs.gpu_cluster.codec.snapshots import random_snapshot

TWO_POOLS = CodecLayout(max_pools=2, window_slots=3)
ONE_COMPONENT = CodecLayout(max_pools=1, window_slots=0)
LAYOUTS = {
    "maskable-ppo": CodecLayout(
        max_pools=2, window_slots=3, consolidation=True, power_caps=True, elastic_width=True, job_hints=True
    ),
    "ppo": TWO_POOLS,
    "recurrent-ppo": TWO_POOLS,
    "a2c": TWO_POOLS,
    "trpo": TWO_POOLS,
    "dqn": ONE_COMPONENT,
    "qrdqn": ONE_COMPONENT,
    "ars": ONE_COMPONENT,
}
HIDDEN = 8
NETWORK = {"policy_kwargs": {"net_arch": [HIDDEN, HIDDEN]}}
CLIPPED = {"n_steps": 32, "batch_size": 128, "n_epochs": 2}
Q_LEARNING = {"buffer_size": 2000, "batch_size": 128, "learning_starts": 160, "target_update_interval": 512}
SETTINGS: dict[str, dict[str, Any]] = {
    "maskable-ppo": {"hidden_units": HIDDEN, **CLIPPED},
    "ppo": {**NETWORK, **CLIPPED},
    "recurrent-ppo": {"policy_kwargs": {"net_arch": [HIDDEN], "lstm_hidden_size": HIDDEN}, **CLIPPED},
    "a2c": {**NETWORK, "n_steps": 16},
    "trpo": {**NETWORK, "n_steps": 32, "batch_size": 128},
    "dqn": {**NETWORK, **Q_LEARNING},
    "qrdqn": {"policy_kwargs": {"net_arch": [HIDDEN, HIDDEN], "n_quantiles": 10}, **Q_LEARNING},
    "ars": {"n_delta": 4},
}


@cache
def small_problem(layout: CodecLayout, uri: str = "synthetic:quickstart?days=2&seed=0") -> Problem:
    """Two days of jobs, episodes of six hours."""
    trace = traces.load(uri)
    return make_problem(trace, auto_cluster(trace), EnvironmentConfig(codec=layout, episode_seconds=21_600.0))


def small_task(
    agent: str, seed: int = 0, problem: Problem | None = None, train: Any = None, **config: Any
) -> ClusterTask:
    """A training of a few seconds; `train` and `config` override its settings."""
    problem = problem or small_problem(LAYOUTS[agent])
    start = float(problem.submit_ms[0]) / 1000
    lengths = {
        "total_steps": 4096,
        "num_envs": 16,
        "validations": 4,
        "validation_windows": 2,
        "checkpoint_steps": 10**9,
    }
    return ClusterTask(
        agent=make_agent(agent, **{**SETTINGS[agent], **config}),
        train=TrainConfig(**{**lengths, **(train or {})}),
        problem=problem,
        validation=equal_episodes(problem, start, start + 86_400.0, 2),
        tuned=Tuned(600.0, 0.0, "best-fit", 12.0, 0.5, (12.0, 12.0), ("", "")),
        seed=seed,
        config_text="agent: test\n",
    )


def small_model(agent: str, seed: int = 0) -> BaseAlgorithm:
    """An untrained model whose weights are random and not nearly zero; without biases, observations decide."""
    task = small_task(agent, seed)
    env = GpuClusterVecEnv(task.problem, 16, seed)
    clock = Clock(lambda: env.step_seconds, 60.0)
    model = make_model(task.agent, env, clock, seed, LAYOUTS[agent], (4, 0, 0, 0))
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.normal_(0.0, 0.4 if parameter.ndim > 1 else 0.0)
    return model


def manifest_of(agent: str, **values: Any) -> Manifest:
    layout = LAYOUTS[agent]
    return Manifest(
        **{
            "agent": agent,
            "settings": SETTINGS[agent],
            "masked": AGENTS[agent].masked,
            "codec": layout.to_dict(),
            "codec_fingerprint": fingerprint(layout),
            "packer": "first-fit",
            "environment": None,
            "seed": 3,
            "kept_step": 77,
            "total_steps": 100,
            **values,
        }
    )


def write_artifact(folder: Path, agent: str = "maskable-ppo", seed: int = 0) -> BaseAlgorithm:
    """Save an artifact; return the model that it holds."""
    model = small_model(agent, seed)
    save_trained(folder, model.policy, manifest_of(agent), "agent: test\n")
    return model


def observations_and_masks(layout: CodecLayout, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What the codec makes of random snapshots."""
    generator = np.random.default_rng(seed)
    observations = np.zeros((count, observation_size(layout)), np.float32)
    masks = np.zeros((count, layout.mask_size), np.bool_)
    for observation, mask in zip(observations, masks, strict=True):
        snapshot = random_snapshot(layout, generator)
        encode(snapshot, layout.tables(), empty_plan(layout), observation)
        write_mask(snapshot, layout.tables(), mask)
    return observations, masks
