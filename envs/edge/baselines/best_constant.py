"""A baseline: the best action of a grid for every site, always; what a policy that looks at nothing can do."""

from __future__ import annotations

from envs.edge.baselines.rule import ConstantSites, SiteBaseline
from envs.edge.tables import CENTER, CLOUD, HAZARD, HUB, LEAST_LOADED, OWN


def make(
    route: int = HUB,
    route_loose: int = CLOUD,
    route_batch: int = OWN,
    keep_alive: int = 1,
    pre_warm: int = 0,
    sleep: int = 0,
) -> ConstantSites:
    """The rule: a choice of each component."""
    return ConstantSites(route, route_loose, route_batch, keep_alive, pre_warm, sleep)


BASELINE = SiteBaseline(
    make,
    {
        "route": (HUB, CENTER, OWN, LEAST_LOADED),
        "route_loose": (CLOUD, HUB, CENTER, OWN),
        "route_batch": (OWN, CLOUD, HUB, CENTER, LEAST_LOADED),
        "keep_alive": (1, 0, 2, HAZARD),
        "pre_warm": (0, 1),
        "sleep": (0, 1, 2),
    },
    # Where batches go hangs together with how long what they leave behind is kept; all at once would be 1,920.
    blocks=(("route", "route_loose"), ("route_batch", "keep_alive"), ("pre_warm", "sleep")),
)
