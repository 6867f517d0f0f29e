"""Candidates: the policies that a user names, with the settings that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.policy import Policy
from agents.registry import BASELINES, UnknownPolicyError, make_baseline
from configs.errors import did_you_mean
from configs.loader import build_config, to_dict
from envs.config import EnvironmentConfig

TUNED = "reactive-tuned"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy and where it acts.

    Attributes:
        policy: who decides.
        environment: settings of the environment.
    """

    policy: Policy
    environment: EnvironmentConfig


def load_candidate(
    name: str,
    *,
    seed: int = 0,
    packer: str | None = None,
    overrides: Sequence[str] = (),
) -> Candidate:
    """The policy that a user names, for one replay.

    Args:
        name: a fixed rule, or the folder of a run or artifact.
        seed: for rules that draw lots.
        packer: in-pool packer that takes the place of the policy's own.
        overrides: changes of the environment's settings, `key.of.field=value`.

    Raises:
        UnknownPolicyError: there is neither such a rule nor such a folder.
        ConfigError: an override does not fit.
    """
    if packer is not None:
        overrides = (*overrides, f"packer={packer}")
    if name in BASELINES:
        environment = environment_config({}, overrides)
        policy = make_baseline(name, environment.codec, seed)
    else:
        raise UnknownPolicyError(unknown(name))
    if packer is not None:
        policy.packer = None
    return Candidate(policy, environment)


def environment_config(settings: Any, overrides: Sequence[str] = ()) -> EnvironmentConfig:
    """Settings of an environment with changes.

    Args:
        settings: an `EnvironmentConfig`, or plain values.
        overrides: `key.of.field=value` each.

    Raises:
        ConfigError: an unknown key, or a value that has no meaning.
    """
    data = to_dict(settings) if isinstance(settings, EnvironmentConfig) else settings
    return build_config(data, EnvironmentConfig, "environment", overrides)


def unknown(name: str) -> str:
    """The message for a name that is no policy."""
    if "/" in name or Path(name).exists():
        return f"{name}: there is no run or policy artifact; give the folder that `autoscaler train` made"
    return f"unknown policy {name!r}{did_you_mean(name, [*BASELINES, TUNED])}; or give the folder of a trained run"
