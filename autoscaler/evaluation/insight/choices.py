"""What a policy chooses when: maps over load and hour, and where it differs from the tuned heuristic."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from autoscaler.evaluation.formats import duration, percent
from autoscaler.evaluation.insight.influence import changes_between
from autoscaler.evaluation.insight.moments import RESERVES, Moments, reserves_of, timeouts_of
from envs.gpu_cluster.codec import (
    HEADROOM_FRACTIONS,
    IDLE_AGE_EDGES_SECONDS,
    LEVERS,
    RULE_SETPOINT,
    CodecLayout,
    lever_columns,
    observation_names,
)
from envs.gpu_cluster.codec.features import CLUSTER_PARTS

HOURS = 4
"""Of a column of the map."""
LOADS = 5
"""Rows of the map, each with about as many moments."""
FEWEST = 5
"""A cell of the map with fewer moments is empty."""
TOLD = 3
"""Features that are named where the policy differs."""


def timeout_text(index: int) -> str:
    """A time-out by its index."""
    return duration(IDLE_AGE_EDGES_SECONDS[index])


def reserve_text(index: int) -> str:
    """A reserve by its index."""
    return "always on" if index >= RESERVES else percent(HEADROOM_FRACTIONS[index])


@dataclass(frozen=True, slots=True, eq=False)
class DecisionMap:
    """The median choice over the GPUs at work and the hour of the day, all pools together.

    Attributes:
        load_edges: [LOADS + 1] float64, GPUs at work.
        timeouts: [LOADS, 24 / HOURS] int64, indices of time-outs; -1: too few moments.
        reserves: the same of reserves.
    """

    load_edges: NDArray[np.float64]
    timeouts: NDArray[np.int64]
    reserves: NDArray[np.int64]

    def row_names(self) -> list[str]:
        """The load of each row."""
        edges = self.load_edges
        return [f"{low:.0f} to {high:.0f} GPUs" for low, high in pairwise(edges)]

    @staticmethod
    def column_names() -> list[str]:
        """The hours of each column."""
        return [f"{hour:02d} to {hour + HOURS:02d} h" for hour in range(0, 24, HOURS)]


def decision_map(moments: Moments, layout: CodecLayout, week_offset_seconds: float) -> DecisionMap:
    """The map of some moments.

    Args:
        moments: at which the policy decided.
        layout: its codec layout.
        week_offset_seconds: of the trace, for the hour of the day.
    """
    load = natural(moments.observations[:, observation_names(layout).index("used_gpus")], "used_gpus")
    edges = np.quantile(load, np.linspace(0.0, 1.0, LOADS + 1))
    row = np.clip(np.searchsorted(edges, load, side="right") - 1, 0, LOADS - 1)
    hour = (moments.time_ms / 1000.0 + week_offset_seconds) % 86_400.0 / 3600.0
    column = (hour // HOURS).astype(np.int64)
    shape = (LOADS, 24 // HOURS)
    timeouts, reserves = np.full(shape, -1, np.int64), np.full(shape, -1, np.int64)
    for cell in np.ndindex(shape):
        chosen = moments.setpoints[(row == cell[0]) & (column == cell[1])]
        if len(chosen) >= FEWEST:
            timeouts[cell] = int(np.median(timeouts_of(chosen)))
            reserves[cell] = int(np.median(reserves_of(chosen)))
    return DecisionMap(edges, timeouts, reserves)


@dataclass(frozen=True, slots=True)
class Contrast:
    """A feature where the policy differs from the heuristic, and where it does not.

    Attributes:
        feature: of the cluster.
        unit: of its values.
        differing: mean where the policy differs.
        other: mean elsewhere.
    """

    feature: str
    unit: str
    differing: float
    other: float


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a policy differs from the tuned heuristic in one direction.

    Attributes:
        kind: in words, such as `keeps nodes longer`.
        share: of all decisions about setpoints.
        contrasts: the features that tell these moments from the others best.
    """

    kind: str
    share: float
    contrasts: tuple[Contrast, ...]


def differences(moments: Moments, layout: CodecLayout, heuristic: NDArray[np.int64]) -> list[Difference]:
    """Where a policy keeps more or fewer nodes than a constant or pulls other levers, the most frequent way first.

    Args:
        moments: at which the policy decided.
        layout: its codec layout.
        heuristic: [RULE_SIZE] int64, the constant.
    """
    setpoint = heuristic[RULE_SETPOINT]
    timeout, reserve = changes_between(moments.setpoints, np.full_like(moments.setpoints, setpoint))
    kinds = {
        "keeps idle nodes longer": timeout > 0,
        "lets idle nodes go sooner": timeout < 0,
        "keeps a larger reserve": reserve > 0,
        "keeps a smaller reserve": reserve < 0,
        **_pulled(moments, layout, heuristic),
    }
    found = [
        Difference(kind, float(where.mean()), _contrasts(moments, layout, np.asarray(where.any(axis=1))))
        for kind, where in kinds.items()
        if where.any()
    ]
    return sorted(found, key=lambda entry: -entry.share)


def _pulled(moments: Moments, layout: CodecLayout, heuristic: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """[M, pools] bool: where each lever that is on has each choice that is not the constant's."""
    columns = lever_columns(layout)
    found: dict[str, NDArray[np.bool_]] = {}
    for number, lever in enumerate(LEVERS):
        if lever.name in columns:
            at = columns[lever.name]
            chosen = moments.actions[:, at : at + moments.pools]
            others = [choice for choice in range(len(lever.choices)) if choice != heuristic[1 + number]]
            found |= {f"sets {lever.name} to {lever.choices[choice]}": chosen == choice for choice in others}
    return found


def _contrasts(moments: Moments, layout: CodecLayout, where: NDArray[np.bool_]) -> tuple[Contrast, ...]:
    """The features of the cluster whose means differ most there, in standard deviations; hours are in the map."""
    if where.all():
        return ()
    names, told = observation_names(layout), []
    for feature in CLUSTER_PARTS[0].features:
        values = moments.observations[:, names.index(feature.name.lower())]
        spread = float(values.std())
        if feature.scale is None or spread <= 0.0:
            continue
        plain = natural(values, feature.name.lower())
        distance = abs(float(values[where].mean() - values[~where].mean())) / spread
        contrast = Contrast(feature.name.lower(), feature.unit, float(plain[where].mean()), float(plain[~where].mean()))
        told.append((distance, contrast))
    return tuple(contrast for _, contrast in sorted(told, key=lambda pair: -pair[0])[:TOLD])


def natural(values: NDArray[np.float32], name: str) -> NDArray[np.float64]:
    """The quantity, in its unit, of a squashed feature of the cluster."""
    scale = next(feature.scale for feature in CLUSTER_PARTS[0].features if feature.name.lower() == name)
    assert scale is not None
    share = np.minimum(values.astype(np.float64), 1.0 - 1e-6)
    return np.asarray(scale * share / (1.0 - share))
