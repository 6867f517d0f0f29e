"""Policies of Stable-Baselines3 as settings describe them: for training, and to load weights into."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from agents.dotted import import_subclass
from agents.errors import AgentConfigError
from agents.sb3.maskable_ppo import SEARCHED, SHARED, MaskablePPO
from agents.sb3.policy import SharedPolicy
from agents.sb3.settings import MAX_UNITS, Sb3Config
from configs.errors import did_you_mean
from configs.registry import import_object
from envs.gpu_cluster.codec import RULE_SIZE, CodecLayout

GIVEN = ("self", "args", "kwargs", "observation_space", "action_space", "lr_schedule", "use_sde")


def algorithm_class(settings: Sb3Config) -> type[BaseAlgorithm]:
    """The algorithm of an agent."""
    found: type[BaseAlgorithm] = import_object(settings.algorithm, "algorithm")
    return found


def policy_class(settings: Sb3Config) -> type[BasePolicy]:
    """The policy class that settings name.

    Raises:
        AgentConfigError: the algorithm has no such policy, or the class of the user does not fit.
    """
    if isinstance(settings, MaskablePPO) and settings.policy == SHARED:
        return SharedPolicy
    aliases = algorithm_class(settings).policy_aliases
    if ":" in settings.policy:
        default = aliases.get("MlpPolicy", aliases.get("MlpLstmPolicy"))
        assert default is not None
        found: type[BasePolicy] = import_subclass(settings.policy, default, "agent.policy")
        return found
    if settings.policy not in aliases:
        raise AgentConfigError(f"agent.policy is {settings.policy!r}{did_you_mean(settings.policy, aliases)}")
    return aliases[settings.policy]


def policy_arguments(
    settings: Sb3Config, layout: CodecLayout | None = None, start_rule: Sequence[int] = (0,) * RULE_SIZE
) -> dict[str, Any]:
    """Arguments of the policy class, with names turned into classes.

    Args:
        settings: of the agent.
        layout: the codec layout, for `shared`.
        start_rule: [RULE_SIZE] what an untrained `shared` prefers.

    Raises:
        AgentConfigError: an unknown argument, or a name that names nothing.
    """
    if isinstance(settings, MaskablePPO) and settings.policy == SHARED:
        if settings.policy_kwargs:
            raise AgentConfigError("agent.policy_kwargs belongs to another policy; shared has agent.hidden_units")
        return {
            "layout": layout,
            "hidden_units": settings.hidden_units,
            "rule": tuple(start_rule),
            "start_logit": settings.start_logit,
            "has_start": settings.start == SEARCHED,
        }
    known = _parameters(policy_class(settings))
    for key in settings.policy_kwargs:
        if key not in known:
            raise AgentConfigError(f"agent.policy_kwargs: unknown key {key!r}{did_you_mean(key, known)}")
    given = {key: _resolved(key, value) for key, value in settings.policy_kwargs.items()}
    return {**settings.policy_defaults, **given}


def _parameters(policy: type[BasePolicy]) -> list[str]:
    """Arguments of a policy class; where it passes on `**kwargs`, also those of the classes that it derives from."""
    found: list[str] = []
    for entry in policy.__mro__:
        if "__init__" not in entry.__dict__:
            continue
        parameters = inspect.signature(entry).parameters
        found += [name for name in parameters if name not in GIVEN]
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return found


def _resolved(key: str, value: Any) -> Any:
    where = f"agent.policy_kwargs.{key}"
    if key == "activation_fn":
        return _named_class(str(value), nn, nn.Module, where)
    if key == "optimizer_class":
        return _named_class(str(value), torch.optim, torch.optim.Optimizer, where)
    if key == "features_extractor_class":
        return import_subclass(str(value), BaseFeaturesExtractor, where)
    if key == "net_arch":
        _check_widths(value, where)
    return value


def _named_class(name: str, module: Any, base: type, where: str) -> Any:
    """A class of a module of torch by its name in any case, or another one by dotted name."""
    if ":" in name:
        return import_subclass(name, base, where)
    classes = {
        entry.lower(): found
        for entry, found in vars(module).items()
        if isinstance(found, type) and issubclass(found, base) and found is not base
    }
    if name.lower() not in classes:
        raise AgentConfigError(f"{where} is {name!r}{did_you_mean(name.lower(), classes)}")
    return classes[name.lower()]


def _check_widths(value: Any, where: str) -> None:
    parts = value.values() if isinstance(value, Mapping) else [value]
    for part in parts:
        fits = isinstance(part, Sequence) and all(isinstance(units, int) and 1 <= units <= MAX_UNITS for units in part)
        if not fits:
            raise AgentConfigError(f"{where} is {value!r}; it must be a list of widths from 1 to {MAX_UNITS}")


def build_policy(
    settings: Sb3Config,
    observation_space: spaces.Space[Any],
    action_space: spaces.Space[Any],
    layout: CodecLayout | None,
) -> BasePolicy:
    """An untrained policy as the agent trains it, to load weights into.

    Raises:
        AgentConfigError: settings and spaces do not fit together.
    """
    arguments = policy_arguments(settings, layout)
    if getattr(settings, "use_sde", False):
        arguments["use_sde"] = True
    found: Any = policy_class(settings)
    if "lr_schedule" in _all_parameters(found):
        arguments["lr_schedule"] = lambda _remaining: 0.0
    try:
        policy: BasePolicy = found(observation_space, action_space, **arguments)
    except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
        raise AgentConfigError(f"agent {settings.name}: {' '.join(str(error).split())}") from error
    return policy


def _all_parameters(policy: type[BasePolicy]) -> set[str]:
    return {
        name for entry in policy.__mro__ if "__init__" in entry.__dict__ for name in inspect.signature(entry).parameters
    }
