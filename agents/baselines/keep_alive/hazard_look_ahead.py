"""The hazard rule with look-ahead: what costs least on average, if requests come as the function's histogram says.

See `envs.serverless.rules.look_ahead_windows`; the agent `learned-hazard` begins as this rule. Tuned: what a cold start
costs, and how long a start takes, times a factor each.

Source: backward induction, Bellman, "Dynamic Programming", 1957.
"""

from agents.baselines.keep_alive.rule import KeepAlive
from envs.serverless.simulator import rule
from envs.serverless.state import LOOK_AHEAD

COLD_FACTORS = (1.0, 0.35, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0, 2.8)
START_FACTORS = (1.0, 4.0, 16.0)

RULE = KeepAlive(tuple(rule(LOOK_AHEAD, cold, start) for cold in COLD_FACTORS for start in START_FACTORS))
