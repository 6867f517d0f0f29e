"""`autoscaler city`: play policies on the edge sites of a city, compare and record them."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, OverridesOption, RecordOption, write_json


def command(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A YAML file or a preset, such as city/village.")],
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", metavar="NAME|RUN", help="A rule or a trained run; several are compared."),
    ] = None,
    episodes: Annotated[int, typer.Option(help="Episodes of each policy, the same for all.", min=1)] = 4,
    seed: Annotated[int, typer.Option(help="Of the moments at which episodes begin.", min=0)] = 0,
    tune: Annotated[bool, typer.Option("--tune", help="Tune the constants of rules on the scenario first.")] = False,
    overrides: OverridesOption = None,
    record: RecordOption = None,
    json_to: JsonOption = None,
) -> None:
    """Play policies on the edge sites of a city, and print energy, carbon, response times and cold starts.

    --record writes the first episode for `autoscaler dashboard`.
    """
    from autoscaler import cities
    from autoscaler.cli._table import print_columns

    city = cities.load_scenario(scenario, overrides or [])
    names = policy or ["nearest", "threshold-sleep"]
    policies = {name: cities.find_policy(name, city, tune=tune) for name in names}
    starts = cities.episode_starts(city, episodes, seed)
    results = cities.compare(city, policies, starts)
    if record is not None:
        from autoscaler.recordings.city import record_city

        record_city(record, city, policies, starts[0], f"{scenario}: {city.num_sites} sites")
    if json_to is not None:
        write_json(cities.document(city, results), json_to)
    if json_to != "-":
        print_columns(f"{scenario}, {episodes} episodes", cities.HEADER, cities.rows(results))
