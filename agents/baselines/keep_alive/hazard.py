"""Keep while the chance of a request in the next moment is worth more than the keep; pre-warm where it is again.

The rule that the learned policy begins from, see `envs.serverless.rules.hazard_windows`. Tuned: what a cold start costs
times a factor, one for keeping and one for pre-warming.
"""

from agents.baselines.keep_alive.rule import KeepAlive
from envs.serverless.simulator import rule
from envs.serverless.state import HAZARD

FACTORS = (1.0, 0.25, 0.35, 0.5, 0.7, 0.85, 1.2, 1.4, 2.0, 2.8, 4.0)

WARM_SHARES = (0.0, 0.5, 1.0, 2.0)
"""Of the factor for keeping, for pre-warming."""

RULE = KeepAlive(
    (rule(HAZARD, 1.0, 1.0), *(rule(HAZARD, keep, share * keep) for keep in FACTORS for share in WARM_SHARES))
)
