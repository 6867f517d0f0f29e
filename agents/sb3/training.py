"""Train an agent inside a run folder: learning curve, validation, checkpoints, and the best policy so far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from agents.artifact import Manifest, find_artifact, read_manifest
from agents.config import AgentConfig, CallbackConfig, TrainConfig
from agents.dotted import import_subclass
from agents.errors import AgentConfigError, ArtifactError
from agents.es.files import load_trained as load_searched
from agents.sb3.bootstrap import TimeBootstrap
from agents.sb3.checkpoint import load_checkpoint
from agents.sb3.curve import CurveWriter
from agents.sb3.files import load_weights
from agents.sb3.maskable_ppo import SEARCHED, SHARED, MaskablePPO
from agents.sb3.models import Clock, is_off_policy, make_model
from agents.sb3.policies import policy_arguments
from agents.sb3.policy import SharedPolicy
from agents.sb3.reward import CustomReward, check_reward, load_reward
from agents.sb3.run import RunCallback, checkpoints, policy_of
from agents.sb3.settings import Sb3Config
from agents.sb3.side_by_side import SideBySideARS
from agents.setpoints import LearnedSetpoints
from agents.training import Hooks, Result, Task
from envs.vec_env import TrainingVecEnv

CMA_ES = "cma-es"
CURVE, TENSORBOARD = "metrics.jsonl", "tensorboard"


def check(agent: AgentConfig, config: TrainConfig) -> None:
    """Refuse settings in which a name names nothing; see `agents.training.check`."""
    assert isinstance(agent, Sb3Config)
    policy_arguments(agent)
    if isinstance(agent, MaskablePPO):
        _check_start(agent, config)
    if config.reward is not None:
        check_reward(config.reward)
    for entry in config.callbacks:
        import_subclass(entry.target, BaseCallback, "train.callbacks")


def _check_start(agent: MaskablePPO, config: TrainConfig) -> None:
    """Refuse a start that is not there, and a leash that nothing holds."""
    if agent.policy != SHARED and (agent.start == SEARCHED or agent.leash > 0.0):
        raise AgentConfigError(f"agent.start and agent.leash belong to agent.policy={SHARED}; it is {agent.policy}")
    if agent.start == SEARCHED and config.init_from is None:
        raise AgentConfigError(
            f"agent.start is {SEARCHED}; set train.init_from (--init-from) to the run of a cma-es policy"
        )
    if agent.leash > 0.0 and agent.ent_coef == 0.0:
        raise AgentConfigError(f"agent.leash is {agent.leash:g} and agent.ent_coef 0; set agent.ent_coef above 0")


def train(task: Task, folder: Path, hooks: Hooks, resume: bool) -> Result:
    """Train; see `agents.training.train`."""
    settings = task.agent
    assert isinstance(settings, Sb3Config)
    torch.set_num_threads(task.train.threads)
    env = task.make_vec()
    clock = Clock(lambda: env.step_seconds, task.unit_seconds)
    batch = env if task.train.reward is None else CustomReward(env, load_reward(task.train.reward))
    model = make_model(settings, batch, clock, task.seed, task.layout, task.start_rule)
    policy_of(task, task.world(), model.policy)  # refuses what cannot be saved
    more = [_callback(config) for config in task.train.callbacks]
    leash = getattr(settings, "leash", 0.0)
    if task.train.init_from is not None and (not resume or leash > 0.0):
        _start_from(task, model)
    if leash > 0.0:
        assert isinstance(settings, MaskablePPO)
        assert isinstance(model.policy, SharedPolicy)
        model.policy.keep_near(leash / settings.ent_coef)
    curve = CurveWriter(folder / CURVE)
    model.set_logger(_logger(folder, curve, hooks))
    baseline = np.nan if resume else task.baseline_score()  # a checkpoint has it
    callback = RunCallback(task, folder, hooks, curve, env, baseline)
    if resume:
        _resume(folder, model, env, callback)
        hooks.advance(model.num_timesteps)
    left = task.train.total_steps - model.num_timesteps
    callback.init_callback(model)
    if left > 0:
        _learn(model, left, callback, more, clock)
    if not callback.stopped and left > 0:
        callback.validate()
        callback.checkpoint()
    model.logger.close()
    return callback.result()


def _learn(model: BaseAlgorithm, steps: int, callback: RunCallback, more: list[BaseCallback], clock: Clock) -> None:
    callbacks = [callback, *more]
    if isinstance(model, OnPolicyAlgorithm):
        callbacks.append(TimeBootstrap(clock))
    # Entries of off-policy algorithms would come when an episode ends; the callback writes them as often as others'.
    log_interval = None if is_off_policy(model) else 1
    model.learn(steps, CallbackList(callbacks), log_interval, reset_num_timesteps=False)  # type: ignore[arg-type]


def _callback(config: CallbackConfig) -> BaseCallback:
    """A callback of the user.

    Raises:
        AgentConfigError: it is no callback, or does not take these arguments.
    """
    found = import_subclass(config.target, BaseCallback, "train.callbacks")
    try:
        callback: BaseCallback = found(**config.kwargs)
    except TypeError as error:
        raise AgentConfigError(f"train.callbacks: {config.target}: {error}") from error
    return callback


def _start_from(task: Task, model: BaseAlgorithm) -> None:
    """Load the weights of another run.

    Raises:
        ArtifactError: there are none, or they belong to another agent, network or codec.
    """
    assert task.train.init_from is not None
    folder = find_artifact(task.train.init_from)
    manifest = read_manifest(folder)
    if manifest.agent == CMA_ES and isinstance(task.agent, MaskablePPO) and task.agent.start == SEARCHED:
        task.check_start(folder, manifest)
        _follow(folder, manifest, model)
        return
    if manifest.agent != task.agent.name:
        raise ArtifactError(
            f"{folder}: its policy is of agent {manifest.agent}; train.init_from needs {task.agent.name}"
        )
    task.check_start(folder, manifest)
    load_weights(folder, manifest, model.policy)
    if isinstance(model, SideBySideARS):
        model.adopt_policy()


def _follow(folder: Path, manifest: Manifest, model: BaseAlgorithm) -> None:
    """Begin as a policy that was searched.

    Raises:
        ArtifactError: it cannot be loaded, or has hidden layers.
    """
    searched = load_searched(folder, manifest)
    assert isinstance(searched, LearnedSetpoints)
    assert isinstance(model.policy, SharedPolicy)
    try:
        model.policy.follow(searched)
    except ValueError as error:
        raise ArtifactError(f"{folder}: {error}; search one with agent.hidden=[]") from error


def _logger(folder: Path, curve: CurveWriter, hooks: Hooks) -> Logger:
    board = TensorBoardOutputFormat(str(folder / TENSORBOARD))
    return Logger(str(folder), [curve, board, *hooks.writers])


def _resume(folder: Path, model: BaseAlgorithm, env: TrainingVecEnv, callback: RunCallback) -> None:
    found = checkpoints(folder)
    if not found:
        raise ArtifactError(f"{folder}: there is no checkpoint to resume from; train it anew")
    model._setup_learn(0, reset_num_timesteps=True)  # noqa: SLF001 (makes the buffers that the checkpoint fills)
    callback.load_state(load_checkpoint(found[-1], model, env))
