"""The same keep-alive for all functions; 10 minutes by default.

Source: the policy of providers that Shahrad et al. describe, "Serverless in the Wild", ATC 2020, section 1.
"""

from agents.baselines.keep_alive.rule import MINUTE_MS, KeepAlive
from envs.serverless.simulator import rule
from envs.serverless.state import FIXED

MINUTES = (10.0, 0.0, 0.17, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 240.0)

RULE = KeepAlive(tuple(rule(FIXED, minutes * MINUTE_MS) for minutes in MINUTES))
FIXED_1, FIXED_10, FIXED_20 = (KeepAlive((rule(FIXED, minutes * MINUTE_MS),)) for minutes in (1.0, 10.0, 20.0))
