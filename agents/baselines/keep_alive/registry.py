"""Keep-alive rules by name."""

from agents.baselines.keep_alive.rule import KeepAlive
from agents.errors import UnknownPolicyError
from configs.registry import Registry

KEEP_ALIVES: Registry[KeepAlive] = Registry(
    "keep-alive rule",
    {
        "always-warm": "agents.baselines.keep_alive.always_warm:RULE",
        "fixed-1": "agents.baselines.keep_alive.fixed:FIXED_1",
        "fixed-10": "agents.baselines.keep_alive.fixed:FIXED_10",
        "fixed-20": "agents.baselines.keep_alive.fixed:FIXED_20",
        "fixed": "agents.baselines.keep_alive.fixed:RULE",
        "per-function": "agents.baselines.keep_alive.per_function:RULE",
        "hybrid-histogram": "agents.baselines.keep_alive.hybrid_histogram:RULE",
        "knative": "agents.baselines.keep_alive.knative:RULE",
        "hazard": "agents.baselines.keep_alive.hazard:RULE",
        "hazard-concurrent": "agents.baselines.keep_alive.hazard_concurrent:RULE",
        "hazard-look-ahead": "agents.baselines.keep_alive.hazard_look_ahead:RULE",
    },
    UnknownPolicyError,
)
"""Each is played as it is by default, and tuned on the training functions where it has more than one row."""
