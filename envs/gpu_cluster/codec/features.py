"""The one table of what a policy observes: each feature with its name, unit and scale, in the order of the observation.

A part of the observation is an enumeration here. Names, counts, positions, the fingerprint and `docs/observation.md`
come from it. A quantity x >= 0 with a scale is squashed to x / (x + scale); one without is in [0, 1] as it is. What may
be negative is mapped so that 0 becomes one half: see `signed_squash` and `against` in `observation.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envs.gpu_cluster.codec.layout import CodecLayout


class Feature(IntEnum):
    """A number of the observation; its value is its position in its part.

    Attributes:
        unit: of the quantity before it is squashed.
        scale: the quantity that becomes one half, in its unit; None: it is not squashed.
    """

    unit: str
    scale: float | None

    def __new__(cls, unit: str, scale: float | None = None) -> Feature:
        """Number the members from 0 in the order of their definition."""
        feature = int.__new__(cls, len(cls.__members__))
        feature._value_ = len(cls.__members__)
        feature.unit, feature.scale = unit, scale
        return feature


class ClusterFeature(Feature):
    """The cluster as a whole. Hours are hat functions: two overlap at any time and sum to 1."""

    HOUR_00 = "share"
    HOUR_04 = "share"
    HOUR_08 = "share"
    HOUR_12 = "share"
    HOUR_16 = "share"
    HOUR_20 = "share"
    WEEKEND = "0 or 1"
    SUBMITTED_GPUS_600S = "GPUs", 8.0
    SUBMITTED_GPUS_3600S = "GPUs", 32.0
    SUBMITTED_GPUS_21600S = "GPUs", 128.0
    SUBMITTED_GPUS_86400S = "GPUs", 512.0
    SUBMITTED_10MIN_AGAINST_1H = "share"
    SUBMITTED_1H_AGAINST_24H = "share"
    SUBMITTED_JOBS_1H = "jobs", 8.0
    SINCE_SUBMIT = "seconds", 600.0
    QUEUE_JOBS = "jobs", 8.0
    QUEUE_GPUS = "GPUs", 16.0
    RUNNING_JOBS = "jobs", 32.0
    USED_GPUS = "GPUs", 64.0


class GridFeature(Feature):
    """What grid events add to the cluster; the budget is known from its notice on."""

    BUDGET_KNOWN = "0 or 1"
    BUDGET_AGAINST_POWER = "share"
    BUDGET_STARTS = "seconds", 3600.0
    BUDGET_ENDS = "seconds", 3600.0


class ArrivalFeature(Feature):
    """What the memory of submissions adds to the cluster, see `envs.gpu_cluster.codec.arrivals`."""

    FADING_GPUS_60S = "GPUs", 2.0
    FADING_GPUS_300S = "GPUs", 4.0
    FADING_GPUS_1800S = "GPUs", 16.0
    FADING_GPUS_10800S = "GPUs", 64.0
    FADING_GPUS_604800S = "GPUs", 2048.0
    FADING_JOBS_60S = "jobs", 1.0
    FADING_JOBS_300S = "jobs", 2.0
    FADING_JOBS_1800S = "jobs", 4.0
    FADING_JOBS_10800S = "jobs", 16.0
    FADING_JOBS_604800S = "jobs", 512.0
    BATCH_JOBS = "jobs", 2.0
    BATCH_GPUS = "GPUs", 8.0
    MEAN_BATCH_GPUS = "GPUs", 8.0
    MEAN_GANG_GPUS = "GPUs", 4.0
    LARGEST_GANG_GPUS = "GPUs", 8.0
    LAST_GANG_GPUS = "GPUs", 4.0
    MEAN_GAP_SECONDS = "seconds", 600.0
    ACTIVE_USERS = "users", 4.0
    BUSIEST_USER_SHARE = "share"
    USER_MEAN_GPUS = "GPUs", 4.0
    USER_AGAIN = "share"
    USER_GAP_SECONDS = "seconds", 600.0
    USERS_NEXT_GPUS = "GPUs", 8.0


class PoolFeature(Feature):
    """A pool."""

    PRESENT = "0 or 1"
    BUSY_NODES = "nodes", 8.0
    IDLE_NODES = "nodes", 4.0
    BOOTING_NODES = "nodes", 4.0
    IDLE_SHARE = "share"
    USED_SHARE = "share"
    NODES_SHARE = "share"
    FRAGMENTED_GPUS = "GPUs", 16.0
    LARGEST_FREE = "share of a node"
    SHARED_FREE_GPUS = "GPUs", 4.0
    MAX_NODES = "nodes", 64.0
    IDLE_NODES_0S = "nodes", 2.0
    IDLE_NODES_60S = "nodes", 2.0
    IDLE_NODES_120S = "nodes", 2.0
    IDLE_NODES_300S = "nodes", 2.0
    IDLE_NODES_600S = "nodes", 2.0
    IDLE_NODES_900S = "nodes", 2.0
    IDLE_NODES_1800S = "nodes", 2.0
    IDLE_NODES_3600S = "nodes", 2.0
    IDLE_NODES_7200S = "nodes", 2.0
    IDLE_NODES_14400S = "nodes", 2.0
    NODES_WITH_1_FREE = "nodes", 4.0
    NODES_WITH_2_FREE = "nodes", 4.0
    NODES_WITH_4_FREE = "nodes", 4.0
    PLANNED_NEW_NODES = "nodes", 4.0
    PLANNED_IDLE_NODES = "nodes", 4.0
    BACKLOG_GPUS = "GPUs", 16.0
    GPUS_PER_NODE = "share of the largest node"
    BOOT_SECONDS = "seconds", 300.0
    IDLE_COST_AGAINST_WAIT_COST = "share"
    SETPOINT_TIMEOUT = "seconds", 600.0
    SETPOINT_RESERVE = "share of the demand"
    SETPOINT_HELD = "0 or 1"
    SINCE_SETPOINT = "seconds", 60.0


class ConsolidationFeature(Feature):
    """What the consolidation lever adds to a pool."""

    EMPTIABLE_NODES = "nodes", 4.0
    CONSOLIDATABLE = "0 or 1"
    SINCE_CONSOLIDATION = "seconds", 1800.0


class PowerCapFeature(Feature):
    """What the power lever adds to a pool."""

    POWER_CAP = "share of the choices"
    BUSY_GPU_WATTS = "watts", 300.0


class WidthFeature(Feature):
    """What the width lever adds to a pool."""

    SHRINKABLE_GPUS = "GPUs", 8.0
    GROWABLE_GPUS = "GPUs", 8.0


class SuspensionFeature(Feature):
    """What the suspension lever adds to a pool."""

    SUSPENDABLE_GPUS = "GPUs", 8.0
    SUSPENDED_GPUS = "GPUs", 8.0
    NEXT_RESUME = "seconds", 3600.0


class ReserveFeature(Feature):
    """What a reserve in nodes adds to a pool: the one in force."""

    RESERVE_NODES = "nodes", 4.0


class SignalFeature(Feature):
    """What signals add to a pool: energy and its carbon at the prices of the objective. Equal prices are one half."""

    SIGNAL_KNOWN = "0 or 1"
    USD_PER_KWH = "USD/kWh, signed", 0.15
    CARBON = "gCO2e/kWh", 300.0
    PRICE_IN_1H = "share, against now"
    PRICE_IN_3H = "share, against now"
    PRICE_IN_6H = "share, against now"
    PRICE_IN_12H = "share, against now"
    PRICE_IN_24H = "share, against now"
    LOWEST_PRICE_24H = "share, against now"
    LOWEST_PRICE_IN = "days"


class SlotFeature(Feature):
    """A slot of the queue window."""

    PRESENT = "0 or 1"
    GPUS = "GPUs", 8.0
    GANG = "0 or 1"
    WAITED = "seconds", 300.0


class HintFeature(Feature):
    """What job hints add to a slot."""

    IS_PREDICTED = "0 or 1"
    PREDICTED = "seconds", 3600.0
    SLACK = "seconds", 3600.0
    PRIORITY = "priority", 1.0
    NARROWER_GPUS = "GPUs", 4.0
    WIDER_GPUS = "GPUs", 4.0


class FlexibilityFeature(Feature):
    """What the suspension lever adds to a slot."""

    FLEXIBILITY = "share of the highest tier"


class PairFeature(Feature):
    """A slot and a pool together."""

    ALLOWED = "0 or 1"
    FITS_NOW = "0 or 1"
    DEFAULT = "0 or 1"


class HintPairFeature(Feature):
    """What job hints add to a slot and a pool together."""

    SPEED = "relative speed", 1.0


class TransferPairFeature(Feature):
    """What the transfer of data adds to a slot and a pool together."""

    TRANSFER = "seconds", 300.0


class SignalPairFeature(Feature):
    """What signals add to a slot and a pool together; one half: to start here and now is the cheapest."""

    BEST_START_PRICE = "share, against here and now"


class Part(NamedTuple):
    """Features that stand together.

    Attributes:
        features: in order.
        switch: field of `CodecLayout` that adds them, None: they are always there.
    """

    features: type[Feature]
    switch: str | None = None


CLUSTER_PARTS = (Part(ClusterFeature), Part(GridFeature, "grid_events"), Part(ArrivalFeature, "arrival_features"))
POOL_PARTS = (
    Part(PoolFeature),
    Part(ConsolidationFeature, "consolidation"),
    Part(PowerCapFeature, "power_caps"),
    Part(WidthFeature, "elastic_width"),
    Part(SuspensionFeature, "suspension"),
    Part(ReserveFeature, "reserve_nodes"),
    Part(SignalFeature, "signals"),
)
SLOT_PARTS = (Part(SlotFeature), Part(HintFeature, "job_hints"), Part(FlexibilityFeature, "suspension"))
PAIR_PARTS = (
    Part(PairFeature),
    Part(HintPairFeature, "job_hints"),
    Part(TransferPairFeature, "data_transfer"),
    Part(SignalPairFeature, "signals"),
)

ALL_PARTS = {"cluster": CLUSTER_PARTS, "pool": POOL_PARTS, "slot": SLOT_PARTS, "slot and pool": PAIR_PARTS}
"""All parts by what they describe."""


def scales(features: type[Feature]) -> NDArray[np.float64]:
    """[features] float64, the scale of each feature; NaN for those that are not squashed."""
    return np.array([np.nan if feature.scale is None else feature.scale for feature in features])


def part_names(parts: Sequence[Part], layout: CodecLayout) -> list[str]:
    """The names of the features that a layout has of some parts, in order."""
    here = [part.features for part in parts if part.switch is None or getattr(layout, part.switch)]
    return [feature.name.lower() for features in here for feature in features]


def describe_features() -> list[tuple[str, str, str, float | None, str | None]]:
    """(part, name, unit, scale, switch) of every feature, in order; the fingerprint and the documentation hold them."""
    return [
        (owner, feature.name.lower(), feature.unit, feature.scale, part.switch)
        for owner, parts in ALL_PARTS.items()
        for part in parts
        for feature in part.features
    ]


def feature_table() -> str:
    """The features as a table in Markdown, as `docs/observation.md` has it."""
    lines = ["| of | name | unit | scale | only with |", "|---|---|---|---|---|"]
    for owner, name, unit, scale, switch in describe_features():
        scale_text = "" if scale is None else f"{scale:g}"
        lines.append(f"| {owner} | `{name}` | {unit} | {scale_text} | {f'`{switch}`' if switch else ''} |")
    return "\n".join(lines) + "\n"
