"""Pre-warm before the head of a function's idle times, keep until their tail.

Source: Shahrad et al., "Serverless in the Wild", ATC 2020, section 4: 5th and 99th percentile, a margin of 10 %, and a
coefficient of variation of 2 from which the histogram counts. What differs is in `envs.serverless.rules`.
"""

from agents.baselines.keep_alive.rule import KeepAlive
from envs.serverless.simulator import rule
from envs.serverless.state import HISTOGRAM

HEADS, TAILS, LEASTS = (0.05, 0.01, 0.1), (0.99, 0.95, 0.9, 0.8, 0.7, 0.5), (2.0, 0.0, 5.0)

RULE = KeepAlive(tuple(rule(HISTOGRAM, head, tail, least) for head in HEADS for tail in TAILS for least in LEASTS))
