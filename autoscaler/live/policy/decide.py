"""From a snapshot to a decision: encode, call the policy, check its output, decode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from agents.pretrained import is_pretrained
from agents.registry import make_baseline
from autoscaler.live.policy.artifact import PolicyOutputError, load_artifact
from configs.errors import UserError
from envs.gpu_cluster.codec import (
    ClusterSnapshot,
    CodecLayout,
    Decision,
    decode,
    empty_decision,
    empty_plan,
    encode,
    fingerprint,
    observation_size,
    write_mask,
)

FALLBACK = "reactive"


class PolicyError(UserError, ValueError):
    """There is no such policy, or it does not fit this config."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision and all that led to it.

    Attributes:
        observation: [observation size] float32.
        mask: [mask size] bool.
        action: [P + W] int64.
        decision: what the action means.
        policy: name of the policy that chose it.
        fallback: why it was not the configured policy, empty: it was.
    """

    observation: NDArray[np.float32]
    mask: NDArray[np.bool_]
    action: NDArray[np.int64]
    decision: Decision
    policy: str
    fallback: str = ""


class Decider:
    """Decides with one policy, and with `reactive` when that says nothing usable.

    Args:
        policy: the policy.
        fallback: what decides otherwise.
        layout: the codec layout.

    Raises:
        PolicyError: a policy is of another layout.
    """

    def __init__(self, policy: Policy, fallback: Policy, layout: CodecLayout) -> None:
        for each in (policy, fallback):
            if each.codec_fingerprint != fingerprint(layout):
                raise PolicyError(
                    f"policy {each.name}: its codec fingerprint is {each.codec_fingerprint}, this config's is "
                    f"{fingerprint(layout)}; use the codec settings that it was trained with"
                )
            each.reset(1)
        self.policy, self.fallback = policy, fallback
        self._layout = layout
        self._tables = layout.tables()
        self._plan = empty_plan(layout)
        self._starts = np.cumsum([0, *layout.action_sizes[:-1]])
        self._sizes = np.array(layout.action_sizes)

    def decide(self, snapshot: ClusterSnapshot) -> Decided:
        """Decide for a snapshot; what the policy does wrong never raises."""
        observation = np.zeros(observation_size(self._layout), np.float32)
        mask = np.zeros(self._layout.mask_size, np.bool_)
        encode(snapshot, self._tables, self._plan, observation)
        write_mask(snapshot, self._tables, mask)
        action, fallback = self.choose(observation, mask)
        return Decided(
            observation,
            mask,
            action,
            self.decode(action, snapshot),
            self.fallback.name if fallback else self.policy.name,
            fallback,
        )

    def choose(self, observation: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], str]:
        """The action for an observation, and why the fallback chose it, empty when it did not."""
        try:
            action = self.policy.act(observation[None], mask[None])
            problem = self._problem(action, mask)
        except PolicyOutputError as error:
            problem = str(error)
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if not problem:
            return np.asarray(action[0], np.int64), ""
        return np.asarray(self.fallback.act(observation[None], mask[None])[0], np.int64), problem

    def decode(self, action: NDArray[np.int64], snapshot: ClusterSnapshot) -> Decision:
        """What an action means for a snapshot."""
        decision = empty_decision(self._layout)
        decode(action, snapshot, self._tables, self._plan, decision)
        return decision

    def _problem(self, action: object, mask: NDArray[np.bool_]) -> str:
        if not isinstance(action, np.ndarray) or action.shape != (1, len(self._sizes)):
            return f"the action has the shape {getattr(action, 'shape', None)}"
        if not np.issubdtype(action.dtype, np.integer):
            return f"the action is of type {action.dtype}"
        if ((action[0] < 0) | (action[0] >= self._sizes)).any():
            return "a choice is out of range"
        if self.policy.masked and not mask[self._starts + action[0]].all():
            return "a choice is not valid under the mask"
        return ""


def load_policy(source: str, layout: CodecLayout) -> Policy:
    """A policy artifact by its folder or as `pretrained:NAME`, or a baseline by its name.

    Raises:
        UnknownPolicyError: no baseline has this name.
        ArtifactError: the artifact is damaged or of another codec.
    """
    path = Path(source)
    if is_pretrained(source) or path.exists() or path.name != source:
        return load_artifact(path, layout)
    return make_baseline(source, layout)


def make_decider(source: str, layout: CodecLayout) -> Decider:
    """A decider for a policy, with `reactive` to fall back on; see `load_policy`."""
    return Decider(load_policy(source, layout), make_baseline(FALLBACK, layout), layout)
