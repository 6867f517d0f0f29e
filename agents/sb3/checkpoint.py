"""Checkpoints: all that the rest of a training run depends on, so that a resumed run has the same bits.

    model.safetensors  weights and optimizer
    arrays.npz         simulator, replay buffer, generators of torch and numpy
    state.json         counters and the other generators

Nothing is pickled.
"""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer

from agents.artifact import new_folder
from agents.errors import ArtifactError
from envs.gpu_cluster.vector import GpuClusterVecEnv

MODEL, ARRAYS, STATE = "model.safetensors", "arrays.npz", "state.json"
COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls", "exploration_rate")
DAMAGES = (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OSError, EOFError, zipfile.BadZipFile)
REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def save_checkpoint(folder: Path, model: BaseAlgorithm, env: GpuClusterVecEnv, extra: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        folder: where.
        model: the agent, between two iterations.
        env: its clusters.
        extra: further plain values, given back by `load_checkpoint`.

    Raises:
        OSError: it cannot be written.
    """
    env_state = env.state_dict()
    arrays = {f"env.{name}": array for name, array in env_state["arrays"].items()}
    arrays["torch_generator"] = torch.get_rng_state().numpy()
    name, keys, *position = np.random.get_state()  # noqa: NPY002 (Stable-Baselines3 draws minibatches from it)
    arrays["numpy_generator"] = np.asarray(keys)
    arrays["last_episode_starts"] = np.asarray(model._last_episode_starts)  # noqa: SLF001
    state = {
        "counters": {name: getattr(model, name) for name in COUNTERS if hasattr(model, name)},
        "episodes": list(model.ep_info_buffer or ()),
        "logged": [
            [key, float(value), model.logger.name_to_excluded[key]] for key, value in model.logger.name_to_value.items()
        ],
        "env_generator": env_state["generator"],
        "numpy_generator": [name, *position],
        "python_generator": random.getstate(),
        "action_generator": model.action_space.np_random.bit_generator.state,
        "extra": dict(extra),
    }
    buffer = getattr(model, "replay_buffer", None)
    if isinstance(buffer, ReplayBuffer):
        arrays |= {f"replay.{name}": getattr(buffer, name) for name in REPLAY_ARRAYS}
        state["replay"] = {"pos": buffer.pos, "full": buffer.full}
    with new_folder(folder) as temporary:
        safetensors.torch.save_file(_model_tensors(model), temporary / MODEL)
        np.savez(temporary / ARRAYS, **arrays)
        (temporary / STATE).write_text(json.dumps(state))


def load_checkpoint(folder: Path, model: BaseAlgorithm, env: GpuClusterVecEnv) -> dict[str, Any]:
    """Bring a new agent and its clusters to the state of a checkpoint.

    Returns:
        The `extra` values.

    Raises:
        ArtifactError: the checkpoint is damaged or belongs to another configuration.
    """
    try:
        state = json.loads((folder / STATE).read_text())
        # Opened here, because numpy leaves a file open that is no archive.
        with (folder / ARRAYS).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = dict(file)
        tensors = safetensors.torch.load_file(folder / MODEL)
        _restore(model, env, state, arrays, tensors)
    except (*DAMAGES, safetensors.SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactError(
            f"{folder}: the checkpoint cannot be resumed ({reason}); remove it to resume from the one before"
        ) from error
    extra: dict[str, Any] = state["extra"]
    return extra


def _restore(
    model: BaseAlgorithm,
    env: GpuClusterVecEnv,
    state: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    tensors: dict[str, torch.Tensor],
) -> None:
    _load_model_tensors(model, tensors)
    env_arrays = {name.removeprefix("env."): array for name, array in arrays.items() if name.startswith("env.")}
    env.load_state_dict({"arrays": env_arrays, "generator": state["env_generator"]})
    for name, value in state["counters"].items():
        setattr(model, name, value)
    buffer = getattr(model, "replay_buffer", None)
    if isinstance(buffer, ReplayBuffer):
        for name in REPLAY_ARRAYS:
            getattr(buffer, name)[...] = arrays[f"replay.{name}"]
        buffer.pos, buffer.full = state["replay"]["pos"], state["replay"]["full"]
    assert model.ep_info_buffer is not None
    model.ep_info_buffer.extend(state["episodes"])
    for key, value, excluded in state["logged"]:
        model.logger.record(key, value, tuple(excluded))
    model._last_obs = env.observations()  # noqa: SLF001
    model._last_episode_starts = arrays["last_episode_starts"]  # noqa: SLF001
    torch.set_rng_state(torch.from_numpy(arrays["torch_generator"]))
    name, *position = state["numpy_generator"]
    np.random.set_state((name, arrays["numpy_generator"], *position))  # noqa: NPY002
    version, internal, gauss = state["python_generator"]
    random.setstate((version, tuple(internal), gauss))
    model.action_space.np_random.bit_generator.state = state["action_generator"]


def _model_tensors(model: BaseAlgorithm) -> dict[str, torch.Tensor]:
    tensors = {f"policy.{name}": tensor.clone() for name, tensor in model.policy.state_dict().items()}
    for index, slots in model.policy.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value.clone() for name, value in slots.items()}
    return tensors


def _load_model_tensors(model: BaseAlgorithm, tensors: dict[str, torch.Tensor]) -> None:
    policy = {name.removeprefix("policy."): value for name, value in tensors.items() if name.startswith("policy.")}
    model.policy.load_state_dict(policy)
    optimizer = model.policy.optimizer.state_dict()
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".")
            optimizer["state"].setdefault(int(index), {})[slot] = value
    model.policy.optimizer.load_state_dict(optimizer)
