"""Where users are: positions over time, trips along roads, and the zones that they pass."""

from traces.mobility.paths import Mobility, MobilitySummary
from traces.mobility.zones import ZoneChanges, zone_changes

__all__ = ["Mobility", "MobilitySummary", "ZoneChanges", "zone_changes"]
