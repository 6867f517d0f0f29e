"""The hazard rule, which pre-warms as many containers as requests of the function run at once.

See `envs.serverless.rules.count_expected`. Tuned: the factors of the hazard rule, and how often further requests must
have come, as a share of the times that a function was called at all, for containers to be pre-warmed for them.
"""

from agents.baselines.keep_alive.hazard import FACTORS
from agents.baselines.keep_alive.rule import KeepAlive
from envs.serverless.simulator import rule
from envs.serverless.state import HAZARD

LEAST_SHARES = (0.5, 0.25, 0.75)

RULE = KeepAlive(tuple(rule(HAZARD, factor, factor, many=share) for factor in FACTORS for share in LEAST_SHARES))
