"""Rules that play a city without training: a file each; every one acts on the rows of all sites at once."""

from __future__ import annotations

from configs.errors import UserError
from configs.registry import Registry
from envs.edge.baselines.rule import SiteBaseline


class UnknownSitePolicyError(UserError, ValueError):
    """There is no such rule for sites of a city."""


SITE_BASELINES: Registry[SiteBaseline] = Registry(
    "site policy",
    {
        "nearest": "envs.edge.baselines.nearest:BASELINE",
        "least-loaded": "envs.edge.baselines.least_loaded:BASELINE",
        "keep-warm-all": "envs.edge.baselines.keep_warm_all:BASELINE",
        "threshold-sleep": "envs.edge.baselines.threshold_sleep:BASELINE",
        "hazard-nearest": "envs.edge.baselines.hazard_nearest:BASELINE",
        "best-constant": "envs.edge.baselines.best_constant:BASELINE",
    },
    UnknownSitePolicyError,
)
"""Name -> rule."""
