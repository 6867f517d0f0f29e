"""The codec's functions as compiled copies: the same source that the live loop runs as plain Python."""

from __future__ import annotations

from typing import Any

from envs.compiled.compiler import compiled_copy
from envs.gpu_cluster.codec import (
    action,
    arrivals,
    holding,
    levers,
    observation,
    observation_sizes,
    packing,
    placement_price,
    prices,
    setpoint_policy,
)


def compile_codec() -> dict[str, Any]:
    """Compiled copies of the codec's functions by name: the same source that the live loop runs as plain Python."""
    compiled: dict[str, Any] = {}
    for module, names in (
        (prices, ("run_hours", "price_of_run", "energy_price", "best_start_price")),
        (placement_price, ("write_price",)),
        (packing, ("smallest_fit", "start_plan", "fits_now", "take_nodes", "take_rest", "place")),
        (packing, ("missing_nodes", "most_nodes", "can_grow", "can_take", "are_similar", "planned_nodes")),
        (
            packing,
            ("growing_pool", "soonest_pool", "transfer_cost", "run_cost", "boot_cost", "cheapest_pool", "default_pool"),
        ),
        (packing, ("place_default", "place_slot", "plan_window", "is_exhausted", "place_backlog")),
        (holding, ("decision_time", "write_setpoint", "chosen_setpoint", "chosen_reserve")),
        (levers, ("may_consolidate", "may_cap", "may_resize", "may_suspend")),
        (levers, ("write_reserve_mask", "decode_reserves")),
        (levers, ("write_lever_mask", "decode_levers", "default_levers")),
        (action, ("may_hold", "write_mask", "placed_pool", "target_nodes", "decode", "default_action")),
        (observation_sizes, ("cluster_features", "pool_features", "slot_features", "slot_pool_features")),
        (observation, ("squash", "share")),
        (arrivals, ("faded", "habit", "note_user", "fade", "note_submission", "write_arrivals")),
        (observation, ("write_grid", "write_memory", "write_global", "signed_squash", "against", "write_signals")),
        (observation, ("write_pool", "write_in_force", "write_levers", "write_hints", "write_slot", "write_pairs")),
        (observation, ("write_starts", "encode")),
        (setpoint_policy, ("run_layers", "nearest_setpoint", "nearest_choice", "price_of", "read_intensity")),
        (setpoint_policy, ("write_inputs", "learned_outputs", "write_choices")),
    ):
        for name in names:
            compiled[name] = compiled_copy(getattr(module, name), dict(compiled))
    return compiled


codec = compile_codec()
