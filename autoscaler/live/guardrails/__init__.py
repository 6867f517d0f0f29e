"""What no policy can break. Pure functions: a view, a decision and a memory in, what is left of the decision out.

    allowed = evaluate(view, decision, state, config)

`placement`, `orders`, `removals` and `consolidations` hold the rules, `protection` and `movable` those about pods that
hold their node, `overflow` sends jobs on whose pool cannot take them, `stranded` finds gangs that were sent to such a
pool, `power_budget` is about grid events, `suspendable` says which jobs may be suspended and until when, `suspensions`
which are, `prospects` what pools can still take, `state` is what is remembered between two reconciles.
"""

from autoscaler.live.guardrails.evaluate import evaluate
from autoscaler.live.guardrails.placement import with_backlog
from autoscaler.live.guardrails.state import (
    GuardrailState,
    PoolBackoff,
    after_consolidation,
    after_order,
    after_order_failure,
    after_reboot,
    after_release,
    after_removal_failure,
    after_suspension,
)
from autoscaler.live.guardrails.verdicts import (
    Allowed,
    Consolidation,
    Release,
    Removal,
    RepairAction,
    RepairKind,
    Resumption,
    Rule,
    Stranded,
    Suspension,
    Verdict,
)

__all__ = [
    "Allowed",
    "Consolidation",
    "GuardrailState",
    "PoolBackoff",
    "Release",
    "Removal",
    "RepairAction",
    "RepairKind",
    "Resumption",
    "Rule",
    "Stranded",
    "Suspension",
    "Verdict",
    "after_consolidation",
    "after_order",
    "after_order_failure",
    "after_reboot",
    "after_release",
    "after_removal_failure",
    "after_suspension",
    "evaluate",
    "with_backlog",
]
