"""A baseline: every site is on and holds a warm container of each interactive function, always."""

from __future__ import annotations

from envs.edge.baselines.rule import ConstantSites, SiteBaseline
from envs.edge.tables import KEEP_MS, OWN, SLEEP_MS

FOR_EVER = KEEP_MS.index(max(KEEP_MS))
NEVER = SLEEP_MS.index(max(SLEEP_MS))


def make(pre_warm: int = 1) -> ConstantSites:
    """The rule: containers that are held of each interactive function."""
    return ConstantSites(OWN, OWN, OWN, FOR_EVER, pre_warm, NEVER)


BASELINE = SiteBaseline(make, {"pre_warm": (1, 2)})
