"""A baseline: every zone is served by its own site, with one keep-alive and one idle time-out for all."""

from __future__ import annotations

from envs.edge.baselines.rule import ConstantSites, SiteBaseline
from envs.edge.tables import OWN


def make(keep_alive: int = 2, sleep: int = 2) -> ConstantSites:
    """The rule: choices of `keep_alive` and `sleep`."""
    return ConstantSites(OWN, OWN, OWN, keep_alive, 0, sleep)


BASELINE = SiteBaseline(make, {"keep_alive": (2, 1, 3), "sleep": (2, 1, 0)})
