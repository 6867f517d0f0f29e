"""A baseline: every zone is served by the least loaded of its nearest sites that are on."""

from __future__ import annotations

from envs.edge.baselines.rule import ConstantSites, SiteBaseline
from envs.edge.tables import LEAST_LOADED


def make(keep_alive: int = 2, sleep: int = 2) -> ConstantSites:
    """The rule: choices of `keep_alive` and `sleep`."""
    return ConstantSites(LEAST_LOADED, LEAST_LOADED, LEAST_LOADED, keep_alive, 0, sleep)


BASELINE = SiteBaseline(make, {"keep_alive": (2, 1, 3), "sleep": (2, 1, 0)})
