"""A baseline: the best action of a grid for every site, always; what a policy that looks at nothing can do."""

from __future__ import annotations

from envs.edge.baselines.rule import ConstantSites, SiteBaseline
from envs.edge.tables import CENTER, CLOUD, HAZARD, HUB, LEAST_LOADED, OWN


def make(
    route: int = HUB,
    route_loose: int = CLOUD,
    route_batch: int = CLOUD,
    keep_alive: int = 2,
    pre_warm: int = 0,
    sleep: int = 1,
) -> ConstantSites:
    """The rule: a choice of each component."""
    return ConstantSites(route, route_loose, route_batch, keep_alive, pre_warm, sleep)


BASELINE = SiteBaseline(
    make,
    {
        "route": (HUB, OWN, CENTER, LEAST_LOADED),
        "route_loose": (CLOUD, HUB, OWN, CENTER, LEAST_LOADED),
        "route_batch": (CLOUD, HUB, OWN),
        "keep_alive": (2, HAZARD),
        "pre_warm": (0,),
        "sleep": (1,),
    },
)
