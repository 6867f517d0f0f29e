"""What could be won in a city by who knew the calls to come: a look-ahead that tries actions before it takes one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from envs.edge.batch import CityBatch, CityTotals
from envs.edge.city import City
from envs.edge.episodes import steps_of, warm_up_steps
from envs.edge.tables import HUB, Integers


def neighbourhoods(city: City) -> Integers:
    """[S] int64, the hub of each site, which names its neighbourhood."""
    hubs: Integers = city.tables.routes[:, HUB].copy()
    return hubs


def foresee(
    city: City,
    choices: Sequence[Sequence[int]],
    start_ms: int,
    *,
    hold_steps: int = 30,
    horizon_steps: int = 60,
    together: bool = False,
    threads: int | None = None,
) -> CityTotals:
    """Play an episode with knowledge of what comes, and tell what it cost.

    Every `hold_steps` each action is tried everywhere, from the state that the city is in, on the calls that will
    come until `horizon_steps` later. Each neighbourhood, a hub with the zones that belong to it, then takes the
    action that cost it least. Neighbourhoods hardly touch each other, so that one trial of an action serves all of
    them; where actions differ in what goes to the cloud or the central hub they do, and all must choose together.
    What comes of it is no bound, as choices are the same for all sites of a neighbourhood and hold for a while; it is
    a cost that was reached, with knowledge that no policy has.

    Args:
        city: the loaded scenario.
        choices: actions of a site; the first one is that of the warm-up, and held to where others are no better.
        start_ms: when the episode begins.
        hold_steps: for which a choice is held.
        horizon_steps: for which it is tried.
        together: whether all neighbourhoods take the same action, that which costs the city least.
        threads: see `CityBatch`.
    """
    actions = np.array(choices, np.int64)
    real, tries = CityBatch(city, 1, threads), CityBatch(city, len(actions), threads)
    real.begin(np.zeros(1, np.int64), np.array([start_ms]))
    sites = city.num_sites
    group = np.zeros(sites, np.int64) if together else neighbourhoods(city)
    belongs = (group[:, None] == np.arange(sites)).astype(np.float64)
    everywhere = np.repeat(actions[:, None, :], sites, axis=1)
    left = steps_of(city) - warm_up_steps(city)
    for _ in range(warm_up_steps(city)):
        real.step(everywhere[:1])
    while left > 0:
        tries.copy(real)
        cost = np.zeros((len(actions), sites))
        for _ in range(min(horizon_steps, left)):
            tries.step(everywhere)
            cost -= tries.rewards @ belongs
        chosen = np.ascontiguousarray(actions[cost.argmin(axis=0)[group]][None])
        for _ in range(min(hold_steps, left)):
            real.step(chosen)
        left -= hold_steps
    return real.totals()
