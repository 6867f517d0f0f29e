"""Steps per second of EdgeCity: 125 sites and 2,000 moving users in a batch, and the cost of a site from 10 to 1,000.

EdgeSimPy cannot be installed here. The figure beside is one that was measured elsewhere with 6 servers and 6 users: 840
to 1,120 of its steps per second of processor time; a step of it is one of ours of the same size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from _common import Measurement, describe, measure, parse, parser, report

from envs.edge.arguments import city_of
from envs.edge.batch import CityBatch
from envs.edge.config import CallConfig, CityConfig
from envs.edge.tables import HUB, OWN

STEPS = 60
KEPT = (2, 0, 2)
"""Containers for 10 minutes, none is pre-warmed, nodes for 5."""
CALLS = (
    CallConfig("vision", per_user_hour=2.0, run_seconds=0.12, run_sigma=0.3),
    CallConfig("chat", per_user_hour=0.3, run_seconds=3.0),
    CallConfig("learn", round_minutes=15.0, run_seconds=25.0),
)


def scenario(sites: int, users: int) -> CityConfig:
    """A town of so many sites and users."""
    side = max(9, round(1.5 * np.sqrt(sites)))
    return CityConfig(
        roads=f"grid-roads:town?columns={side}&rows={side}",
        sites=sites,
        users=f"trips:*?users={users}&days=1",
        calls=CALLS,
        day_hours=(7.0, 10.0),
        episode_seconds=60.0 * STEPS,
        warm_up_seconds=0.0,
        sites_per_hub=12,
    )


def stepping(config: CityConfig, worlds: int, threads: int, name: str, repeats: int, route: int = OWN) -> Measurement:
    """Environment steps/s of a batch."""
    city = city_of(config)
    batch = CityBatch(city, worlds, threads)
    starts = np.full(worlds, int(city.starts_ms[0, 0]))
    batch.begin(np.arange(worlds), starts)
    actions = np.tile(np.array((route, route, route, *KEPT)), (worlds, city.num_sites, 1))

    def run() -> None:
        for _ in range(STEPS):
            batch.step(actions)

    run()
    requests = batch.totals().requests / STEPS
    batch.begin(np.arange(worlds), starts)
    return measure(
        f"{name}, {requests:.0f} requests a step, {threads} thread(s)", "env steps/s", STEPS * worlds, run, repeats
    )


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, repeats=3)
    arguments = parse(options)
    before = describe()
    small, repeats = arguments.quick, arguments.repeats
    worlds = 2 if small else 16
    city = scenario(125, 200 if small else 2000)
    rows = [
        stepping(city, worlds, 1, f"{worlds} cities, 125 sites, 2,000 users, own sites", repeats),
        stepping(city, worlds, 2, f"{worlds} cities, 125 sites, 2,000 users, own sites", repeats),
        stepping(city, worlds, 2, f"{worlds} cities, 125 sites, 2,000 users, hubs", repeats, HUB),
        stepping(replace(scenario(6, 6), sites=6), 1, 1, "1 city, 6 sites, 6 users", repeats),
    ]
    sizes = (10, 40) if small else (10, 100, 1000)
    # As many sites in each batch, so that what differs is the size of a city, not how much there is to do in a call.
    counts = [(400 if small else 4000) // size for size in sizes]
    grown = [
        stepping(scenario(size, 4 * size), count, 1, f"{count} cities, {size} sites", repeats)
        for size, count in zip(sizes, counts, strict=True)
    ]
    microseconds = {
        f"microseconds_a_site_and_step_at_{size}_sites": 1e6 / (max(row.cpu_rates) * size)
        for size, row in zip(sizes, grown, strict=True)
    }
    report(
        "EdgeCity", before, rows + grown, arguments.json, edgesimpy_steps_per_cpu_second="840 to 1,120", **microseconds
    )


if __name__ == "__main__":
    main()
