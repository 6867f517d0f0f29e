"""The codec: the one definition of what a policy sees and does, for the simulator and for a live cluster alike.

    ClusterSnapshot --encode--> observation --policy--> action --decode--> Decision

`encode`, `decode` and `write_mask` are plain functions that CPython and numba both run with the same bits. This package
needs numpy only and imports no other package of this project.
"""

from envs.gpu_cluster.codec.action import HOLD, decode, default_action, write_mask
from envs.gpu_cluster.codec.consolidation import BusyNode, Emptying, NodePart, consolidation_plan, emptiable
from envs.gpu_cluster.codec.fingerprint import description, fingerprint
from envs.gpu_cluster.codec.holding import decision_time, write_setpoint
from envs.gpu_cluster.codec.layout import (
    ALWAYS_ON,
    CONSOLIDATION_CHOICES,
    FORECAST_HOURS,
    HEADROOM_FRACTIONS,
    HORIZON_HOURS,
    IDLE_AGE_EDGES_SECONDS,
    LEVERS,
    MAX_GPUS_PER_NODE,
    NO_SETPOINT,
    POOL_SIGNALS,
    POWER_CAP_FRACTIONS,
    SUBMIT_WINDOWS_SECONDS,
    SUSPENSION_CHOICES,
    WIDTH_CHOICES,
    CodecLayout,
    CodecTables,
    Pool,
    PoolSignal,
    Signal,
    Slot,
)
from envs.gpu_cluster.codec.levers import (
    RULE_CONSOLIDATION,
    RULE_POWER_CAP,
    RULE_SETPOINT,
    RULE_SIZE,
    RULE_SUSPENSION,
    RULE_WIDTH,
    Decision,
    empty_decision,
)
from envs.gpu_cluster.codec.observation import encode, observation_names, observation_size
from envs.gpu_cluster.codec.packing import backlog_pools
from envs.gpu_cluster.codec.placement_price import SLOPES, write_price
from envs.gpu_cluster.codec.pool_signals import EnergySignal, SignalOrConstant, next_change_seconds, signal_row
from envs.gpu_cluster.codec.setpoint_policy import (
    PRICES,
    SetpointPolicies,
    feature_choices,
    learned_setpoint,
    make_policies,
    number_of_inputs,
    number_of_weights,
    scratch_for,
    start_of,
)
from envs.gpu_cluster.codec.snapshot import ClusterSnapshot, PackingPlan, empty_plan, empty_snapshot

__all__ = [
    "ALWAYS_ON",
    "CONSOLIDATION_CHOICES",
    "FORECAST_HOURS",
    "HEADROOM_FRACTIONS",
    "HOLD",
    "HORIZON_HOURS",
    "IDLE_AGE_EDGES_SECONDS",
    "LEVERS",
    "MAX_GPUS_PER_NODE",
    "NO_SETPOINT",
    "POOL_SIGNALS",
    "POWER_CAP_FRACTIONS",
    "PRICES",
    "RULE_CONSOLIDATION",
    "RULE_POWER_CAP",
    "RULE_SETPOINT",
    "RULE_SIZE",
    "RULE_SUSPENSION",
    "RULE_WIDTH",
    "SLOPES",
    "SUBMIT_WINDOWS_SECONDS",
    "SUSPENSION_CHOICES",
    "WIDTH_CHOICES",
    "BusyNode",
    "ClusterSnapshot",
    "CodecLayout",
    "CodecTables",
    "Decision",
    "Emptying",
    "EnergySignal",
    "NodePart",
    "PackingPlan",
    "Pool",
    "PoolSignal",
    "SetpointPolicies",
    "Signal",
    "SignalOrConstant",
    "Slot",
    "backlog_pools",
    "consolidation_plan",
    "decision_time",
    "decode",
    "default_action",
    "description",
    "emptiable",
    "empty_decision",
    "empty_plan",
    "empty_snapshot",
    "encode",
    "feature_choices",
    "fingerprint",
    "learned_setpoint",
    "make_policies",
    "next_change_seconds",
    "number_of_inputs",
    "number_of_weights",
    "observation_names",
    "observation_size",
    "scratch_for",
    "signal_row",
    "start_of",
    "write_mask",
    "write_price",
    "write_setpoint",
]
