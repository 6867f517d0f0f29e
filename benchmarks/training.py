"""Environment steps per second of training: our PPO agents as in the quickstart config, and peers on the same machine.

A row of setpoint-ppo is whole trainings, with validation, checkpoints and the policy on disk. The other rows are whole
iterations: rollout, update, nothing else. Peers: Stable-Baselines3's PPO with the same sizes, on our batch of clusters
and on its own DummyVecEnv of our Gymnasium environment.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _common import Measurement, describe, measure, parse, parser, report
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv

import traces
from agents.baselines.tuned import Tuned
from agents.cluster_task import ClusterTask
from agents.config import DISCOUNT_SECONDS
from agents.registry import make_agent
from agents.sb3.maskable_ppo import MaskablePPO
from agents.sb3.models import Clock, make_model
from agents.sb3.settings import Sb3Config
from agents.training import train
from autoscaler.experiment import ExperimentConfig
from configs.loader import load_config
from envs.gpu_cluster.env import GpuClusterEnv
from envs.gpu_cluster.episodes import equal_episodes
from envs.gpu_cluster.simulator.problem import Problem, make_problem
from envs.gpu_cluster.vector import GpuClusterVecEnv
from traces.trace import Trace

PEER_ITERATIONS = 1


def ours(name: str, experiment: ExperimentConfig, problem: Problem) -> BaseAlgorithm:
    """One of our agents on the batch of clusters."""
    env = GpuClusterVecEnv(problem, experiment.train.num_envs, seed=0)
    clock = Clock(lambda: env.step_seconds, DISCOUNT_SECONDS)
    layout = problem.config.codec
    return make_model(_agent(name, experiment), env, clock, 0, layout, (layout.setpoint(600.0, 0.0), 0, 0, 0))


def _agent(name: str, experiment: ExperimentConfig) -> Sb3Config:
    """An agent with the sizes of the experiment's maskable-ppo."""
    of = experiment.agent
    assert isinstance(of, MaskablePPO)
    sizes: dict[str, Any] = {"n_steps": of.n_steps, "batch_size": of.batch_size, "n_epochs": of.n_epochs}
    if name == "ppo":
        sizes["policy_kwargs"] = {"net_arch": [of.hidden_units, of.hidden_units]}
    agent = of if name == of.name else make_agent(name, **sizes)
    assert isinstance(agent, Sb3Config)
    return agent


def peer(experiment: ExperimentConfig, trace: Trace) -> BaseAlgorithm:
    """Stable-Baselines3's PPO with the same sizes, on Python's loop over single environments."""
    agent = _agent("ppo", experiment)
    env = DummyVecEnv([lambda: GpuClusterEnv(trace, config=experiment.environment)] * experiment.train.num_envs)
    sizes = {key: agent.arguments()[key] for key in ("n_steps", "batch_size", "n_epochs")}
    return PPO("MlpPolicy", env, seed=0, device="cpu", policy_kwargs=dict(agent.policy_kwargs), **sizes)


def speed(label: str, model: BaseAlgorithm, steps: int, repeats: int) -> Measurement:
    """Time iterations, after one that is not counted."""
    model.learn(1)
    return measure(label, "env steps/s", steps, lambda: model.learn(steps), repeats)


def whole_training(experiment: ExperimentConfig, problem: Problem, steps: int) -> int:
    """Train setpoint-ppo from constants that were not tuned, in a folder that goes again; returns the steps done."""
    start, end = (float(problem.submit_ms[at]) / 1000.0 for at in (0, -1))
    lengths = replace(experiment.train, total_steps=steps)
    windows = equal_episodes(problem, start, end, lengths.validation_windows)
    constants = Tuned(600.0, 0.0, problem.config.packer, 1.0, 1.0, (1.0, 1.0), ("", ""))
    task = ClusterTask(make_agent("setpoint-ppo"), lengths, problem, windows, constants, experiment.seed, "")
    with tempfile.TemporaryDirectory() as folder:
        return train(task, Path(folder)).steps


def main() -> None:
    """Train and print."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--config", default="experiment/quickstart-ppo", help="an experiment config")
    options.add_argument("--iterations", type=int, default=8, help="iterations of a run (default %(default)s)")
    options.add_argument(
        "--training-steps", type=int, default=3_000_000, help="of a run of setpoint-ppo (default %(default)s)"
    )
    arguments = parse(options, iterations=1, training_steps=100_000)
    before = describe()
    experiment = load_config(arguments.config, ExperimentConfig)
    trace = traces.load(experiment.trace)
    problem = make_problem(trace, experiment.described_cluster(trace), experiment.environment)
    agent = experiment.agent
    assert isinstance(agent, MaskablePPO)
    iteration = agent.n_steps * experiment.train.num_envs
    rows = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        several = replace(experiment, train=replace(experiment.train, threads=threads))
        name = f"setpoint-ppo, {threads} thread{'s'[: threads - 1]}"
        run = partial(whole_training, several, problem, arguments.training_steps)
        done = run()  # as many steps each time, for a seed gives the same bits
        rows.append(measure(name, "env steps/s", done, run, arguments.repeats))
        models = [
            ("maskable-ppo", ours("maskable-ppo", experiment, problem), arguments.iterations),
            ("ppo (SB3), our batch", ours("ppo", experiment, problem), arguments.iterations),
            ("ppo (SB3), DummyVecEnv", peer(experiment, trace), PEER_ITERATIONS),
        ]
        for label, model, iterations in models:
            name = f"{label}, {threads} thread{'s'[: threads - 1]}"
            rows.append(speed(name, model, iterations * iteration, arguments.repeats))
    title = (
        f"training, {experiment.train.num_envs} envs, rollout {agent.n_steps}, batch {agent.batch_size}, "
        f"{agent.n_epochs} epochs, {agent.hidden_units} hidden units"
    )
    report(title, before, rows, arguments.json)


if __name__ == "__main__":
    main()
