"""A baseline: the own site, where a container is kept while a request is likely enough to be worth it.

Each key learns from its own gaps, see `envs.edge.kernels.hazard_keep_ms`.
"""

from __future__ import annotations

from envs.edge.baselines.rule import ConstantSites, SiteBaseline
from envs.edge.tables import HAZARD, OWN


def make(sleep: int = 1) -> ConstantSites:
    """The rule: the choice of `sleep`."""
    return ConstantSites(OWN, OWN, OWN, HAZARD, 0, sleep)


BASELINE = SiteBaseline(make, {"sleep": (1, 2, 0)})
