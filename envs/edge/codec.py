"""What a site sees: the same features for every site of every city, so that one policy plays them all."""

from __future__ import annotations

from typing import NamedTuple

from envs.edge.tables import CHOICES


class Feature(NamedTuple):
    """One entry of a site's observation, in [0, 1].

    Attributes:
        name: of the feature.
        meaning: what it says, with its unit.
        scale: a count x is shown as x / (x + scale); 0: it is a share already.
    """

    name: str
    meaning: str
    scale: float = 0.0


FEATURES = (
    Feature("hour_sin", "(1 + sin of the hour's angle) / 2"),
    Feature("hour_cos", "(1 + cos of the hour's angle) / 2"),
    Feature("zone_requests", "requests a minute from its zone in the last step", 2.0),
    Feature("zone_requests_10min", "the same, averaged over 10 minutes", 2.0),
    Feature("zone_requests_1h", "the same, averaged over an hour", 2.0),
    Feature("zone_users", "users in its zone", 10.0),
    Feature("site_requests_10min", "requests a minute that it serves, averaged over 10 minutes", 4.0),
    Feature("late_10min", "share of its answers that were late, averaged over 10 minutes"),
    Feature("running", "requests that run", 2.0),
    Feature("queued", "requests that wait for a container", 1.0),
    Feature("starting", "containers that pull layers or start", 1.0),
    Feature("idle", "containers that are warm and idle", 2.0),
    Feature("memory_used", "share of its memory that containers hold"),
    Feature("is_on", "share of its nodes that are on"),
    Feature("is_booting", "share of its nodes that boot"),
    Feature("is_hub", "whether it is a hub"),
    Feature("hub_is_on", "share of its hub's nodes that are on"),
    Feature("hub_load", "requests that run or wait at its hub, per container that fits there", 0.5),
    Feature("city_load", "requests that run or wait at all sites, per container that fits at the hubs", 0.5),
    Feature("energy_price", "price of a kWh with its carbon here now, USD", 0.2),
    Feature("near_requests_10min", "requests a minute from each of its nearest zones, averaged over 10 minutes", 2.0),
    Feature("hub_requests_10min", "requests a minute that its hub serves, averaged over 10 minutes", 20.0),
    Feature("hub_late_10min", "share of its hub's answers that were late, averaged over 10 minutes"),
    Feature("hazard_keep", "minutes that the hazard rule keeps its interactive containers, the longest", 10.0),
    Feature("zone_loose_10min", "requests a minute with a loose deadline from its zone, averaged over 10 minutes", 0.5),
    Feature("area_requests_10min", "requests a minute from all zones of its hub, averaged over 10 minutes", 20.0),
    Feature("area_loose_10min", "those of them with a loose deadline", 5.0),
    Feature("quieter_requests_10min", "requests a minute from its zone and those of its hub that send fewer", 20.0),
    Feature("quieter_loose_10min", "those of them with a loose deadline", 5.0),
    Feature("city_loose_10min", "requests a minute with a loose deadline, of all zones by the number of hubs", 5.0),
    Feature("cloud_load", "requests that run or wait in the cloud, per container that fits there", 0.5),
    Feature("cloud_is_on", "share of the cloud's nodes on"),
    Feature("hub_ms", "time on the way to its hub and back, beyond that to its own site, ms", 5.0),
    Feature("center_ms", "the same of the central hub", 5.0),
)
"""In the order of the observation."""

NUM_FEATURES = len(FEATURES)
ACTION_SIZES = CHOICES


def feature_names() -> list[str]:
    """Names of a site's features, in order."""
    return [feature.name for feature in FEATURES]
