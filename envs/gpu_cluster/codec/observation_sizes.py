"""How many numbers of what an observation has, and their names. CPython and numba both run the functions of sizes."""

from __future__ import annotations

from envs.gpu_cluster.codec.features import (
    CLUSTER_PARTS,
    PAIR_PARTS,
    POOL_PARTS,
    SLOT_PARTS,
    ArrivalFeature,
    ClusterFeature,
    ConsolidationFeature,
    FlexibilityFeature,
    GridFeature,
    HintFeature,
    HintPairFeature,
    PairFeature,
    PoolFeature,
    PowerCapFeature,
    ReserveFeature,
    SignalFeature,
    SignalPairFeature,
    SlotFeature,
    SuspensionFeature,
    TransferPairFeature,
    WidthFeature,
    part_names,
)
from envs.gpu_cluster.codec.layout import CodecLayout, CodecTables

# Constants, for numba.
CLUSTER_FEATURES = len(ClusterFeature)
GRID_FEATURES = len(GridFeature)
ARRIVAL_FEATURES = len(ArrivalFeature)
POOL_FEATURES = len(PoolFeature)
CONSOLIDATION_FEATURES = len(ConsolidationFeature)
POWER_CAP_FEATURES = len(PowerCapFeature)
WIDTH_FEATURES = len(WidthFeature)
SUSPENSION_FEATURES = len(SuspensionFeature)
RESERVE_FEATURES = len(ReserveFeature)
SIGNAL_FEATURES = len(SignalFeature)
SLOT_FEATURES = len(SlotFeature)
HINT_FEATURES = len(HintFeature)
FLEXIBILITY_FEATURES = len(FlexibilityFeature)
PAIR_FEATURES = len(PairFeature)
HINT_PAIR_FEATURES = len(HintPairFeature)
TRANSFER_PAIR_FEATURES = len(TransferPairFeature)
SIGNAL_PAIR_FEATURES = len(SignalPairFeature)


def cluster_features(tables: CodecTables) -> int:
    """Features of the cluster as a whole."""
    size = CLUSTER_FEATURES
    if tables.has_grid:
        size += GRID_FEATURES
    if tables.has_arrivals:
        size += ARRIVAL_FEATURES
    return size


def pool_features(tables: CodecTables) -> int:
    """Features of a pool."""
    size = POOL_FEATURES
    if tables.has_consolidation:
        size += CONSOLIDATION_FEATURES
    if tables.has_power_caps:
        size += POWER_CAP_FEATURES
    if tables.has_width:
        size += WIDTH_FEATURES
    if tables.has_suspension:
        size += SUSPENSION_FEATURES
    if tables.has_reserve_nodes:
        size += RESERVE_FEATURES
    if tables.has_signals:
        size += SIGNAL_FEATURES
    return size


def slot_features(tables: CodecTables) -> int:
    """Features of a slot, without its pools."""
    size = SLOT_FEATURES
    if tables.has_job_hints:
        size += HINT_FEATURES
    if tables.has_suspension:
        size += FLEXIBILITY_FEATURES
    return size


def slot_pool_features(tables: CodecTables) -> int:
    """Features of a slot and a pool together."""
    size = PAIR_FEATURES
    if tables.has_job_hints:
        size += HINT_PAIR_FEATURES
    if tables.has_transfer:
        size += TRANSFER_PAIR_FEATURES
    if tables.has_signals:
        size += SIGNAL_PAIR_FEATURES
    return size


def observation_names(layout: CodecLayout) -> tuple[str, ...]:
    """The name of every entry of the observation, in order."""
    names = part_names(CLUSTER_PARTS, layout)
    pool_names, slot_names = part_names(POOL_PARTS, layout), part_names(SLOT_PARTS, layout)
    pair_names = part_names(PAIR_PARTS, layout)
    for pool in range(layout.max_pools):
        names += [f"pool{pool}.{name}" for name in pool_names]
    for slot in range(layout.window_slots):
        names += [f"slot{slot}.{name}" for name in slot_names]
        for pool in range(layout.max_pools):
            names += [f"slot{slot}.pool{pool}.{name}" for name in pair_names]
    return tuple(names)


def observation_size(layout: CodecLayout) -> int:
    """Length of the observation of a layout."""
    tables = layout.tables()
    per_slot = slot_features(tables) + slot_pool_features(tables) * layout.max_pools
    return cluster_features(tables) + layout.max_pools * pool_features(tables) + layout.window_slots * per_slot
