"""Which features move which choice of a policy."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from agents.setpoints import LearnedSetpoints
from autoscaler.evaluation.insight.moments import Moments, reserves_of, timeouts_of
from envs.gpu_cluster.codec import INTENSITY, INTENSITY_INPUTS, lever_columns, observation_names
from envs.gpu_cluster.codec.setpoint_policy import PRICE

MOST_PERMUTED = 1500
"""Moments whose features are permuted, which bounds the time."""
LEAST_SPREAD = 1e-6
"""A feature that spreads less does not change at all."""


@dataclass(frozen=True, slots=True)
class LeverEffect:
    """What a feature does to a lever that a linear policy chooses.

    Attributes:
        lever: its name in the codec's `LEVERS`.
        choices: by which it rises, in its order, when the feature is one standard deviation higher.
    """

    lever: str
    choices: float


@dataclass(frozen=True, slots=True)
class Influence:
    """What a feature does to the choices.

    Attributes:
        feature: its name; those of a pool, of a slot, and of both together are taken as one.
        spread: standard deviation of its values, each in [0, 1].
        changed: share of the decisions about setpoints that differ when its values are exchanged between moments
            (permutation importance).
        placed: the same of the decisions about jobs in the window.
        pulled: the same of the decisions about levers; 0 where none is on.
        timeout: for a linear policy, choices by which the time-out is longer when the feature is one standard deviation
            higher; else None.
        reserve: the same for the reserve.
        levers: the same for each lever that it chooses; empty for another policy.

    Source: Breiman, "Random Forests", 2001 (permutation importance).
    """

    feature: str
    spread: float
    changed: float
    placed: float
    pulled: float
    timeout: float | None
    reserve: float | None
    levers: tuple[LeverEffect, ...]

    @property
    def size(self) -> float:
        """By what features are ranked."""
        effects = (self.timeout or 0.0, self.reserve or 0.0, *(each.choices for each in self.levers))
        return max(map(abs, effects)) + self.changed + self.placed + self.pulled


def influences(policy: Policy, moments: Moments, generator: np.random.Generator) -> list[Influence]:
    """What each feature does, the most important one first; features without any effect are left out.

    Args:
        policy: who decided; with a memory it is asked as if each moment were its first.
        moments: at which it did.
        generator: of the permutations.
    """
    columns = feature_columns(policy)
    chosen = np.sort(generator.permutation(len(moments.time_ms))[:MOST_PERMUTED])
    observations, masks, actions = moments.observations[chosen], moments.masks[chosen], moments.actions[chosen]
    slots = slice(policy.layout.max_pools, policy.layout.max_pools + policy.layout.window_slots)
    present = (actions[:, slots] > 0).sum()
    pulled = [at + pool for at in lever_columns(policy.layout).values() for pool in range(moments.pools)]
    linear = _linear_effects(policy)
    found = []
    for name, places in columns.items():
        here = [place for place in places if observations[:, place].std() > LEAST_SPREAD]
        if not here:
            continue
        mixed = observations.copy()
        mixed[:, here] = observations[generator.permutation(len(chosen))][:, here]
        policy.reset(len(chosen))
        other = policy.act(mixed, masks)
        changed = (other[:, : moments.pools] != actions[:, : moments.pools]).mean()
        placed = (other[:, slots] != actions[:, slots]).sum() / present if present else 0.0
        spread = float(np.mean([moments.observations[:, place].std() for place in here]))
        moved = float((other[:, pulled] != actions[:, pulled]).mean()) if pulled else 0.0
        timeout, reserve, *rest = (None, None) if linear is None else (spread * linear[name]).tolist()
        effects = tuple(map(LeverEffect, getattr(policy, "levers", ()), rest))
        entry = Influence(name, spread, float(changed), float(placed), moved, timeout, reserve, effects)
        if entry.size > 0.0:
            found.append(entry)
    return sorted(found, key=lambda entry: -entry.size)


def feature_columns(policy: Policy) -> dict[str, list[int]]:
    """The places of each feature that a policy reads in the observation; pools and slots share a name."""
    columns: dict[str, list[int]] = defaultdict(list)
    read = _read_features(policy)
    for place, name in enumerate(observation_names(policy.layout)):
        plain = re.sub(r"\b(slot|pool)\d+\.", r"\1.", name)
        if read is None or plain in read:
            columns[plain].append(place)
    return dict(columns)


def _read_features(policy: Policy) -> set[str] | None:
    if not isinstance(policy, LearnedSetpoints):
        return None
    read = {*policy.features, *([] if policy.price == "ignored" else [f"pool.{PRICE}"])}
    return read if INTENSITY not in read else read | {feature.name.lower() for feature in INTENSITY_INPUTS}


def _linear_effects(policy: Policy) -> dict[str, NDArray[np.float64]] | None:
    """Feature -> [time-out, reserve, levers] choices for a change of 1; None where the policy is not linear in them."""
    if not isinstance(policy, LearnedSetpoints) or len(policy.policies.sizes) != 2 or policy.policies.is_crossed:
        return None
    if INTENSITY in policy.features:  # what it reads counts by another curve there
        return None
    outputs = len(policy.policies.start)
    inputs = policy.policies.weights[0][outputs:].reshape(-1, outputs)  # after the biases
    in_order = [name for name in policy.features if not name.startswith("pool.")]
    in_order += [name for name in policy.features if name.startswith("pool.")]
    return dict(zip(in_order, inputs[: len(in_order)], strict=True))  # the price of waiting comes after them


def changes_between(ours: NDArray[np.int64], theirs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """By how many choices the time-out and the reserve of setpoints exceed those of others: two [...] int64."""
    return timeouts_of(ours) - timeouts_of(theirs), reserves_of(ours) - reserves_of(theirs)
