"""Knative's Pod Autoscaler: containers go as the mean concurrency of a minute falls, the last one 30 s later.

Source: Knative Serving, autoscaler configuration: stable-window 60s, scale-to-zero-grace-period 30s.
"""

from agents.baselines.keep_alive.rule import MINUTE_MS, KeepAlive
from envs.serverless.simulator import rule
from envs.serverless.state import AUTOSCALER

WINDOWS, GRACES = (1.0, 0.5, 2.0, 5.0, 10.0, 20.0), (0.5, 0.0, 5.0, 15.0, 30.0)

RULE = KeepAlive(
    tuple(rule(AUTOSCALER, window * MINUTE_MS, grace * MINUTE_MS) for window in WINDOWS for grace in GRACES)
)
