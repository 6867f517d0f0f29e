"""Checkpoints: all that the rest of a training run depends on, so that a resumed run has the same bits.

    model.safetensors  weights, optimizers, memory of an LSTM
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
from sb3_contrib.common.recurrent.type_aliases import RNNStates
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.save_util import recursive_getattr

from agents.artifact import new_folder
from agents.errors import ArtifactError
from agents.sb3.side_by_side import SideBySideARS
from envs.vec_env import TrainingVecEnv

MODEL, ARRAYS, STATE = "model.safetensors", "arrays.npz", "state.json"
COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls", "exploration_rate")
DAMAGES = (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OSError, EOFError, zipfile.BadZipFile)
REPLAY_ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts", "discounts")


def save_checkpoint(folder: Path, model: BaseAlgorithm, env: TrainingVecEnv, extra: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        folder: where.
        model: the agent, between two iterations.
        env: its environments.
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
    tensors, state["numbers"] = _model_tensors(model)
    with new_folder(folder) as temporary:
        safetensors.torch.save_file(tensors, temporary / MODEL)
        np.savez(temporary / ARRAYS, **arrays)
        (temporary / STATE).write_text(json.dumps(state))


def follow_new_episodes(model: BaseAlgorithm, env: TrainingVecEnv) -> None:
    """Let an agent go on in a batch whose episodes have all begun anew, see `envs.vec_env.BeginsAnew`.

    Args:
        model: the agent, between two iterations.
        env: its environments.
    """
    model._last_obs = env.observations()  # noqa: SLF001
    model._last_episode_starts = np.ones(env.num_envs, np.bool_)  # noqa: SLF001
    memory = getattr(model, "_last_lstm_states", None)
    if memory is not None:
        for state in (*memory.pi, *memory.vf):
            state.zero_()
    buffer = getattr(model, "replay_buffer", None)
    if isinstance(buffer, ReplayBuffer) and (buffer.pos > 0 or buffer.full):
        # The next step follows none: sums of rewards over several steps end here, as where time ran out.
        buffer.dones[buffer.pos - 1] = buffer.timeouts[buffer.pos - 1] = 1.0


def load_checkpoint(folder: Path, model: BaseAlgorithm, env: TrainingVecEnv) -> dict[str, Any]:
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
    env: TrainingVecEnv,
    state: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    tensors: dict[str, torch.Tensor],
) -> None:
    _load_model_tensors(model, tensors, state["numbers"])
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


def _model_tensors(model: BaseAlgorithm) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Weights, optimizers and the memory of an LSTM, by name; and which of them are plain numbers."""
    tensors: dict[str, torch.Tensor] = {}
    numbers: list[str] = []
    modules, variables = model._get_torch_save_params()  # noqa: SLF001 (what the algorithm itself would save)
    for name in modules:
        part = recursive_getattr(model, name)
        if not isinstance(part, torch.optim.Optimizer):
            tensors |= {f"{name}|{key}": tensor.clone() for key, tensor in part.state_dict().items()}
            continue
        for index, slots in part.state_dict()["state"].items():
            for slot, value in slots.items():
                key = f"{name}|{index}.{slot}"
                numbers += [] if isinstance(value, torch.Tensor) else [key]
                tensors[key] = torch.as_tensor(value).clone()
    tensors |= {f"variable|{name}": recursive_getattr(model, name).detach().clone() for name in variables}
    memory = getattr(model, "_last_lstm_states", None)
    if memory is not None:
        tensors |= {f"memory|{index}": state.clone() for index, state in enumerate((*memory.pi, *memory.vf))}
    return tensors, numbers


def _load_model_tensors(model: BaseAlgorithm, tensors: dict[str, torch.Tensor], numbers: list[str]) -> None:
    parts: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        name, _, entry = key.partition("|")
        parts.setdefault(name, {})[entry] = tensor.item() if key in numbers else tensor
    modules, variables = model._get_torch_save_params()  # noqa: SLF001
    for name in modules:
        part = recursive_getattr(model, name)
        if isinstance(part, torch.optim.Optimizer):
            _load_optimizer(part, parts.get(name, {}))
        else:
            part.load_state_dict(parts[name])
    for name in variables:
        with torch.no_grad():
            recursive_getattr(model, name).copy_(parts["variable"][name])
    if getattr(model, "_last_lstm_states", None) is not None:
        hidden_pi, cell_pi, hidden_vf, cell_vf = (parts["memory"][str(index)] for index in range(4))
        model._last_lstm_states = RNNStates((hidden_pi, cell_pi), (hidden_vf, cell_vf))  # type: ignore[attr-defined]  # noqa: SLF001
    if isinstance(model, SideBySideARS):
        model.adopt_policy()


def _load_optimizer(optimizer: torch.optim.Optimizer, entries: Mapping[str, Any]) -> None:
    state = optimizer.state_dict()
    for name, value in entries.items():
        index, _, slot = name.partition(".")
        state["state"].setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict(state)
