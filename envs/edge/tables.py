"""What the kernels of a city read beyond the containers' problem, and what they keep of each world."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]

# Components of a site's action, and their choices.
ROUTE, ROUTE_LOOSE, ROUTE_BATCH, KEEP_ALIVE, PRE_WARM, SLEEP = range(6)
COMPONENTS = ("route", "route_loose", "route_batch", "keep_alive", "pre_warm", "sleep")
TIGHT, LOOSE, BATCH = range(3)
"""Classes of requests, by the deadline of their function, each with a route: the first three components, in order."""
CENTER, HUB, OWN, CLOUD, LEAST_LOADED = range(5)
ROUTES = ("central hub", "hub", "own site", "cloud", "least loaded of the nearest sites that are on")
"""The first three rise with the sites that are on, as agents that take choices as ordered decide between neighbours."""
FOREVER_MS = 1 << 60
KEEP_MS = (0, 60_000, 600_000, FOREVER_MS, -1)
"""How long an idle container is kept; -1: by the hazard of the function's next request."""
HAZARD = len(KEEP_MS) - 1
RESERVES = (0, 1, 2)
SLEEP_MS = (0, 60_000, 300_000, FOREVER_MS)
CHOICES = (len(ROUTES), len(ROUTES), len(ROUTES), len(KEEP_MS), len(RESERVES), len(SLEEP_MS))

NEIGHBOURS = 4
"""Sites among which the least loaded is looked for, the own one included."""

# What is kept of each site: averages of requests by minute, the last moment, and what runs or waits now.
(SENT_NOW, SENT_10, SENT_60, SERVED_10, LATE_10, LAST_REQUESTS, LAST_LATE, LAST_FINISHED, HAZARD_MS) = range(9)
DEMAND, LOOSE_NOW, LOOSE_10, QUIETER_10, QUIETER_LOOSE_10, AREA_10, AREA_LOOSE_10, ORDER = range(9, 17)
MEMORY_COLUMNS = 17
"""Of zones that share a hub: `AREA` sums all, `QUIETER` those up to the zone itself by requests. `ORDER` holds zones in
that order, as `CityTables.member`."""

# Costs of a step.
COST_TERMS = ("energy_usd", "waiting_usd", "late_usd")


class CityTables(NamedTuple):
    """S sites, which are zones too; P places: the sites, then the cloud where there is one; F functions.

    Attributes:
        routes: [S, 5] int64, place that each choice of `ROUTES` stands for; `LEAST_LOADED` is found at each decision.
        neighbours: [S, NEIGHBOURS] int64, the nearest sites, its own first; repeated where there are fewer.
        is_hub: [S] int64.
        request_class: [F] int64, `TIGHT`, `LOOSE` or `BATCH`.
        first_member: [hubs + 1] int64, where the zones of each hub begin in `member`.
        member: [S] int64, zones, those of a hub one after the other.
        capacity: [P] int64, containers of the largest function that its nodes hold together.
        users: [moments, S] int32, users in each zone.
        users_ms: [2] int64, first moment of `users` and the time between two.
        cold_usd: [F, 2] float64, what a cold start costs on average: waiting, lateness and energy; where its node is
            on, and where it has to boot.
        keep_mw: [F, 2] float64, what keeping an idle container takes, where its node is on anyway, and where it is the
            only one that keeps it on.
        prices: [2] float64, USD per ms waited, and per late request.
        interval_ms: [1] int64, time between decisions.
    """

    routes: Integers
    neighbours: Integers
    is_hub: Integers
    request_class: Integers
    first_member: Integers
    member: Integers
    capacity: Integers
    users: NDArray[np.int32]
    users_ms: Integers
    cold_usd: Numbers
    keep_mw: Numbers
    prices: Numbers
    interval_ms: Integers
