"""A keep-alive for each function, as long as a cold start of it is worth: the break-even of renting and buying.

Source: Karlin et al., "Competitive Snoopy Caching", Algorithmica 1988: keeping for as long as fetching again would cost
costs at most twice what the best keep-alive would.
"""

import numpy as np
from numpy.typing import NDArray

from agents.baselines.keep_alive.rule import KeepAlive
from envs.serverless import state as sv
from envs.serverless.problem import ServerlessProblem
from envs.serverless.simulator import rule


def break_even(problem: ServerlessProblem) -> NDArray[np.int64]:
    """[F] int64, ms that a container of each function can be kept for what a cold start costs."""
    about = problem.serverless.about
    return np.rint(np.minimum(about[:, sv.COLD_USD] / about[:, sv.KEEP_USD_PER_MS], 8.64e7)).astype(np.int64)


RULE = KeepAlive((rule(sv.PER_FUNCTION),), break_even)
