"""A step of a city: carry out the sites' actions, run the containers, count costs, write what sites see. Compiled."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compiler import helper, kernel, rare
from envs.containers import state as st
from envs.containers.history import BINS, bin_start
from envs.containers.kernels import events
from envs.containers.kernels.accounting import book
from envs.containers.kernels.batch import world_of
from envs.containers.kernels.life import apply_reserve
from envs.containers.kernels.placement import plan_sleep
from envs.containers.state import Problem, World
from envs.edge import tables as tb
from envs.edge.tables import CityTables, Integers, Numbers

DAY_MS = 86_400_000
SHORT_MS, LONG_MS = 600_000.0, 3_600_000.0
KEEP_MS, RESERVES, SLEEP_MS = tb.KEEP_MS, tb.RESERVES, tb.SLEEP_MS
FEWEST_GAPS = 3
"""With fewer gaps between requests than that, the hazard rule keeps a container as long as `KEEP_MS[2]`."""
HAZARD_STEPS = 10
"""The hazard rule looks at the gaps again after so many steps: they change slowly, and it reads all bins."""


@helper
def demand_at(problem: Problem, world: World, place: int) -> int:
    """Requests that run or wait in a place."""
    found, places = 0, problem.place.shape[0]
    for key in range(place, world.key.shape[0], places):
        found += world.key[key, st.RUNNING] + world.key[key, st.QUEUED]
    return found


@helper
def nodes_in(problem: Problem, world: World, place: int, state: int) -> int:
    """Nodes of a place that are in a state."""
    found = 0
    for node in range(problem.place[place, st.FIRST_NODE], problem.place[place, st.END_NODE]):
        found += int(world.node[node, st.NODE_STATE] == state)
    return found


@helper
def least_loaded(problem: Problem, world: World, city: CityTables, zone: int) -> int:
    """Of the neighbours that are on, that with the least demand for what fits there; the own site where none is."""
    best, least = zone, math.inf
    for number in range(city.neighbours.shape[1]):
        site = city.neighbours[zone, number]
        if (
            nodes_in(problem, world, site, st.OFF)
            < problem.place[site, st.END_NODE] - problem.place[site, st.FIRST_NODE]
        ):
            load = demand_at(problem, world, site) / city.capacity[site]
            if load < least:
                best, least = site, load
    return best


@rare
def hazard_keep_ms(problem: Problem, world: World, city: CityTables, key: int) -> int:
    """How long an idle container is kept, so that cold starts and idle time cost least on the gaps seen so far.

    A container that is kept for T pays for min(gap, T) of every gap and saves a cold start in each gap up to T. The
    best T is where the hazard of the next request falls below the price of waiting for it, for the last time. Where
    the site has no container of another function, this one alone keeps the node on, and pays for that.
    """
    function, site = key // problem.place.shape[0], key % problem.place.shape[0]
    others = 0
    for other in range(site, world.key.shape[0], problem.place.shape[0]):
        others += world.key[other, st.CONTAINERS] if other != key else 0
    alone = int(others == 0)
    keep_usd_per_ms = city.keep_mw[function, alone] * problem.usd_per_uj[world.clock[st.PIECE], site]
    counts = world.history[key, 0]
    left = 0
    for index in range(BINS):
        left += counts[index]
    if left < FEWEST_GAPS:
        return KEEP_MS[2]
    best_ms, best, value = 0, 0.0, 0.0
    for index in range(BINS - 1):
        if left == 0:  # there is no longer gap, and so nothing more to win or to pay
            break
        width = bin_start(index + 1) - bin_start(index)
        ended = counts[index]
        # Gaps that end in this bin are paid for up to its middle.
        value += ended * city.cold_usd[function, alone] - keep_usd_per_ms * width * (left - 0.5 * ended)
        left -= ended
        if value > best:
            best_ms, best = bin_start(index + 1), value
    return best_ms


@helper
def write_route(problem: Problem, world: World, city: CityTables, zone: int, action: Integers) -> None:
    """Set where the requests of a zone go."""
    loaded = -1
    for function in range(world.route.shape[1]):
        choice = action[tb.ROUTE + city.request_class[function]]
        if choice != tb.LEAST_LOADED:
            world.route[zone, function] = city.routes[zone, choice]
            continue
        if loaded < 0:
            loaded = least_loaded(problem, world, city, zone)
        world.route[zone, function] = loaded


@helper
def write_controls(
    problem: Problem,
    world: World,
    city: CityTables,
    memory: Numbers,
    site: int,
    action: Integers,
    looks: bool,
) -> None:
    """Set how a site keeps containers and when its nodes sleep; what changed takes effect now."""
    places = problem.place.shape[0]
    if looks:
        memory[site, tb.HAZARD_MS] = 0.0
    for function in range(world.route.shape[1]):
        key = function * places + site
        control = world.control[key]
        keep_ms = KEEP_MS[2] if not looks else hazard_keep_ms(problem, world, city, key)
        if looks and city.request_class[function] != tb.BATCH:
            memory[site, tb.HAZARD_MS] = max(memory[site, tb.HAZARD_MS], float(keep_ms))
        if action[tb.KEEP_ALIVE] != tb.HAZARD:
            control[st.KEEP] = KEEP_MS[action[tb.KEEP_ALIVE]]
        elif looks:
            control[st.KEEP] = keep_ms
        control[st.PRE_WARM] = st.FOREVER
        wanted = RESERVES[action[tb.PRE_WARM]] if city.request_class[function] != tb.BATCH else 0
        before, control[st.RESERVE] = control[st.RESERVE], wanted
        if wanted != before or world.key[key, st.CONTAINERS] < wanted:
            apply_reserve(problem, world, key)
    sleep_ms = SLEEP_MS[action[tb.SLEEP]]
    for node in range(problem.place[site, st.FIRST_NODE], problem.place[site, st.END_NODE]):
        if world.node[node, st.SLEEP_MS] != sleep_ms:
            world.node[node, st.SLEEP_MS] = sleep_ms
            plan_sleep(problem, world, node)


@helper
def run(problem: Problem, world: World, city: CityTables, memory: Numbers) -> None:
    """Run to the next decision, and bring the averages of requests up to it."""
    first = world.clock[st.NEXT_REQUEST]
    interval = city.interval_ms[0]
    events.advance(problem, world, world.clock[st.NOW] + interval, False)
    book(problem, world)
    events.charge_waiting(problem, world)
    memory[:, tb.SENT_NOW] = 0.0
    memory[:, tb.LOOSE_NOW] = 0.0
    per_minute = 60_000.0 / interval
    for request in range(first, world.clock[st.NEXT_REQUEST]):
        row = memory[problem.request[request, st.ORIGIN]]
        row[tb.SENT_NOW] += per_minute
        if city.request_class[problem.request[request, st.FUNCTION]] == tb.LOOSE:
            row[tb.LOOSE_NOW] += per_minute
    short, long = min(1.0, interval / SHORT_MS), min(1.0, interval / LONG_MS)
    for site in range(memory.shape[0]):
        row, count = memory[site], world.counts[site]
        served = (count[st.REQUESTS] - row[tb.LAST_REQUESTS]) * per_minute
        answered = count[st.FINISHED] - row[tb.LAST_FINISHED]
        late = (count[st.LATE] - row[tb.LAST_LATE]) / answered if answered > 0.0 else 0.0
        row[tb.SENT_10] += short * (row[tb.SENT_NOW] - row[tb.SENT_10])
        row[tb.SENT_60] += long * (row[tb.SENT_NOW] - row[tb.SENT_60])
        row[tb.LOOSE_10] += short * (row[tb.LOOSE_NOW] - row[tb.LOOSE_10])
        row[tb.SERVED_10] += short * (served - row[tb.SERVED_10])
        row[tb.LATE_10] += short * (late - row[tb.LATE_10])
        row[tb.LAST_REQUESTS], row[tb.LAST_FINISHED] = count[st.REQUESTS], count[st.FINISHED]
        row[tb.LAST_LATE] = count[st.LATE]
    sum_areas(city, memory)


@helper
def sum_areas(city: CityTables, memory: Numbers) -> None:
    """Sum what zones of the same hub send: all of them, and at each zone those that send no more than it.

    By the second a rule for single zones can fill a hub from the quietest zone on, without knowing the others. Their
    order is kept from step to step, as it hardly changes: the time of an insertion sort then grows with the zones.
    """
    for area in range(city.first_member.shape[0] - 1):
        first, end = city.first_member[area], city.first_member[area + 1]
        sent, loose = 0.0, 0.0
        for number in range(first, end):
            zone = memory[number, tb.ORDER]
            at = number
            while at > first and memory[int(memory[at - 1, tb.ORDER]), tb.SENT_10] > memory[int(zone), tb.SENT_10]:
                memory[at, tb.ORDER] = memory[at - 1, tb.ORDER]
                at -= 1
            memory[at, tb.ORDER] = zone
        for number in range(first, end):
            row = memory[int(memory[number, tb.ORDER])]
            sent += row[tb.SENT_10]
            loose += row[tb.LOOSE_10]
            row[tb.QUIETER_10], row[tb.QUIETER_LOOSE_10] = sent, loose
        for number in range(first, end):
            row = memory[city.member[number]]
            row[tb.AREA_10], row[tb.AREA_LOOSE_10] = sent, loose


@helper
def charge(world: World, city: CityTables, last: Numbers, rewards: Numbers, costs: Numbers) -> None:
    """Write what a step cost: minus the USD of each site, that of the cloud shared by all; and USD by `COST_TERMS`.

    Args:
        world: what changed.
        city: its prices.
        last: [P, 3] USD by term up to the last step; brought up to this one.
        rewards: [S].
        costs: [3].
    """
    sites, places = rewards.shape[0], last.shape[0]
    costs[:] = 0.0
    rewards[:] = 0.0
    for place in range(places):
        usd = 0.0
        for term in range(3):
            if term == 0:
                now = world.spent[place, 0]
            elif term == 1:
                now = world.counts[place, st.WAITED_MS] * city.prices[0]
            else:
                now = world.counts[place, st.LATE] * city.prices[1]
            costs[term] += now - last[place, term]
            usd += now - last[place, term]
            last[place, term] = now
        if place < sites:
            rewards[place] -= usd
        else:
            for site in range(sites):
                rewards[site] -= usd / sites


@helper
def squashed(value: float, scale: float) -> float:
    """A count as a number in [0, 1)."""
    return value / (value + scale)


@helper
def observe(problem: Problem, world: World, city: CityTables, memory: Numbers, out: NDArray[np.float32]) -> None:
    """Write what every site sees, `envs.edge.codec.FEATURES`; [S, features] float32."""
    sites, places = out.shape[0], problem.place.shape[0]
    now = world.clock[st.NOW]
    angle = 2.0 * math.pi * (now % DAY_MS) / DAY_MS
    moment = min((now - city.users_ms[0]) // city.users_ms[1], city.users.shape[0] - 1)
    demand, room = 0, 0
    for site in range(sites):
        memory[site, tb.DEMAND] = demand_at(problem, world, site)
        demand += int(memory[site, tb.DEMAND])
        room += city.capacity[site] * city.is_hub[site]
    usd_per_kwh = problem.usd_per_uj[world.clock[st.PIECE]]
    for site in range(sites):
        row, seen = memory[site], out[site]
        running, queued, starting, containers = 0, 0, 0, 0
        for key in range(site, world.key.shape[0], places):
            running += world.key[key, st.RUNNING]
            queued += world.key[key, st.QUEUED]
            starting += world.key[key, st.STARTING]
            containers += world.key[key, st.CONTAINERS]
        first, end = problem.place[site, st.FIRST_NODE], problem.place[site, st.END_NODE]
        free, memory_mib = 0, 0
        for node in range(first, end):
            free += world.node[node, st.FREE_MEMORY]
            memory_mib += problem.node[node, st.NODE_MEMORY]
        hub = city.routes[site, tb.HUB]
        hub_nodes = problem.place[hub, st.END_NODE] - problem.place[hub, st.FIRST_NODE]
        seen[0] = 0.5 + 0.5 * math.sin(angle)
        seen[1] = 0.5 + 0.5 * math.cos(angle)
        seen[2] = squashed(row[tb.SENT_NOW], 2.0)
        seen[3] = squashed(row[tb.SENT_10], 2.0)
        seen[4] = squashed(row[tb.SENT_60], 2.0)
        seen[5] = squashed(float(city.users[moment, site]), 10.0)
        seen[6] = squashed(row[tb.SERVED_10], 4.0)
        seen[7] = row[tb.LATE_10]
        seen[8] = squashed(float(running), 2.0)
        seen[9] = squashed(float(queued), 1.0)
        seen[10] = squashed(float(starting), 1.0)
        seen[11] = squashed(float(max(containers - starting - running, 0)), 2.0)
        seen[12] = 1.0 - free / memory_mib
        seen[13] = nodes_in(problem, world, site, st.ON) / (end - first)
        seen[14] = nodes_in(problem, world, site, st.BOOTING) / (end - first)
        seen[15] = city.is_hub[site]
        seen[16] = nodes_in(problem, world, hub, st.ON) / hub_nodes
        seen[17] = squashed(memory[hub, tb.DEMAND] / city.capacity[hub], 0.5)
        seen[18] = squashed(demand / room, 0.5)
        seen[19] = squashed(usd_per_kwh[site] * 3.6e12, 0.2)
        near = 0.0
        for number in range(1, city.neighbours.shape[1]):
            near += memory[city.neighbours[site, number], tb.SENT_10]
        seen[20] = squashed(near / (city.neighbours.shape[1] - 1), 2.0)
        seen[21] = squashed(memory[hub, tb.SERVED_10], 20.0)
        seen[22] = memory[hub, tb.LATE_10]
        seen[23] = squashed(row[tb.HAZARD_MS] / 60_000.0, 10.0)
    observe_classes(problem, world, city, memory, out)


@helper
def observe_classes(
    problem: Problem, world: World, city: CityTables, memory: Numbers, out: NDArray[np.float32]
) -> None:
    """The rest of `observe`: requests by class and by the zones that share a hub, the cloud, and how far hubs are."""
    sites, places = out.shape[0], problem.place.shape[0]
    city_loose, cloud_load, cloud_on = 0.0, 0.0, 0.0
    for site in range(sites):
        city_loose += memory[site, tb.LOOSE_10]
    city_loose /= city.first_member.shape[0] - 1
    if places > sites:
        cloud_load = demand_at(problem, world, sites) / city.capacity[sites]
        cloud_nodes = problem.place[sites, st.END_NODE] - problem.place[sites, st.FIRST_NODE]
        cloud_on = nodes_in(problem, world, sites, st.ON) / cloud_nodes
    for site in range(sites):
        row, seen, way = memory[site], out[site], problem.latency_ms[site]
        seen[24] = squashed(row[tb.LOOSE_10], 0.5)
        seen[25] = squashed(row[tb.AREA_10], 20.0)
        seen[26] = squashed(row[tb.AREA_LOOSE_10], 5.0)
        seen[27] = squashed(row[tb.QUIETER_10], 20.0)
        seen[28] = squashed(row[tb.QUIETER_LOOSE_10], 5.0)
        seen[29] = squashed(city_loose, 5.0)
        seen[30] = squashed(cloud_load, 0.5)
        seen[31] = cloud_on
        seen[32] = squashed(2.0 * (way[city.routes[site, tb.HUB]] - way[site]), 5.0)
        seen[33] = squashed(2.0 * (way[city.routes[site, tb.CENTER]] - way[site]), 5.0)


@kernel
def begin_cities(
    problem: Problem,
    batch: World,
    city: CityTables,
    kept: tuple[Numbers, Numbers],
    episode: Integers,
    out: NDArray[np.float32],
) -> None:
    """Begin episodes in a city where everything is off and nothing was decided.

    Args:
        problem: of the containers.
        batch: worlds.
        city: of the city.
        kept: what is kept of each world: averages [W, S, MEMORY_COLUMNS] and USD up to the last step, [W, P, 3].
        episode: [K, 3] int64: world, moment of the begin, and first request; the last request ends all.
        out: [W, S, features] float32.
    """
    sites = out.shape[1]
    for number in range(episode.shape[0]):
        index, start_ms, first = episode[number]
        world = world_of(batch, index)
        memory = kept[0][index]
        kept[1][index], memory[:] = 0.0, 0.0
        for at in range(sites):
            memory[at, tb.ORDER], memory[at, tb.HAZARD_MS] = city.member[at], KEEP_MS[2]
        for key in range(world.key.shape[0]):
            world.control[key, st.KEEP], world.control[key, st.RESERVE] = KEEP_MS[2], 0
            world.control[key, st.PRE_WARM] = st.FOREVER
        for site in range(sites):
            world.route[site] = site
            for node in range(problem.place[site, st.FIRST_NODE], problem.place[site, st.END_NODE]):
                world.node[node, st.SLEEP_MS] = SLEEP_MS[2]
        events.begin(problem, world, start_ms, first, problem.request.shape[0])
        observe(problem, world, city, memory, out[index])


@kernel
def step_cities(
    problem: Problem,
    batch: World,
    city: CityTables,
    kept: tuple[Numbers, Numbers],
    actions: Integers,
    results: tuple[NDArray[np.float32], Numbers, Numbers],
    first: int,
    end: int,
) -> None:
    """Step some worlds.

    Args:
        problem: of the containers.
        batch: worlds.
        city: of the city.
        kept: see `begin_cities`.
        actions: [W, S, 6] int64.
        results: observations [W, S, features] float32, rewards [W, S] and costs [W, 3], USD.
        first: the first world.
        end: the one behind the last.
    """
    for index in range(first, end):
        world = world_of(batch, index)
        for site in range(actions.shape[1]):
            write_route(problem, world, city, site, actions[index, site])
            looks = (world.clock[st.NOW] // city.interval_ms[0] + site) % HAZARD_STEPS == 0
            write_controls(problem, world, city, kept[0][index], site, actions[index, site], looks)
        run(problem, world, city, kept[0][index])
        charge(world, city, kept[1][index], results[1][index], results[2][index])
        observe(problem, world, city, kept[0][index], results[0][index])
