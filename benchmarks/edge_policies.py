"""A policy of edge sites trained on mornings in Melbourne, on later ones there and in Manhattan, beside tuned rules.

Sites and homes of Melbourne are those of the EUA data set; its streets are a generated grid. Manhattan's streets are
OpenStreetMap's, its sites are generated. Users and calls are generated. Rules are tuned on the training days, too.
First comes what there is to win: what a look-ahead that knows the calls to come makes of each lever.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from _common import describe, heading, parse, parser, tell
from numpy.typing import NDArray

from agents.config import TrainConfig
from agents.environment_task import EnvironmentTask
from agents.loading import load_policy
from agents.registry import make_agent
from agents.training import train
from autoscaler.cities import EDGE_CITY
from autoscaler.evaluation.edge_city import TUNED, EdgeCityEvaluation, spread_starts
from autoscaler.evaluation.statistics import Bootstrap, Estimate
from configs.serialize import dump_yaml
from envs.edge.arguments import city_of
from envs.edge.baselines import SITE_BASELINES
from envs.edge.config import CALLS, CityConfig
from envs.edge.lookahead import foresee
from envs.edge.tables import CENTER, CHOICES, CLOUD, COMPONENTS, HUB, LEAST_LOADED, OWN
from envs.edge.training import EdgeTraining

TRAINING_DAYS, LATER_DAYS, HOURS, EPISODE = (0, 3), (3, 5), (4.0, 12.0), 7200.0
TRAINING_EPISODE, VALIDATION_EPISODES = 3600.0, 8
"""Shorter than those that are judged: more hours are seen in as many steps."""
VISION, CHAT, LEARN = CALLS
RUSH = (replace(VISION, per_user_hour=30.0), replace(CHAT, per_user_hour=9.0), LEARN)
"""More calls than by default: before six a hub is enough for a dozen zones, at eight it is not."""
REFERENCE, TRAINED = EdgeCityEvaluation.reference, "linear-cma-es"
SIGMA = 0.3
"""A route changes where an output passes a half."""
Row = dict[str, NDArray[np.float64]]
"""Column -> [seeds, episodes]."""


def melbourne(data: Path, quick: bool) -> CityConfig:
    """Mornings of three days in Melbourne's centre: 125 sites, 816 users."""
    eua = data / "edge" / "eua"
    users = f"trips:*?days=5&homes=eua-users:{eua}/users-melbcbd-generated.csv"
    return CityConfig(
        roads="grid-roads:melbourne-cbd",
        sites=f"csv-sites:{eua}/site-optus-melbCBD.csv",
        users=f"{users}&users=60" if quick else users,
        sites_per_hub=12,
        calls=RUSH,
        day_hours=HOURS,
        days=TRAINING_DAYS,
        episode_seconds=EPISODE,
    )


def manhattan(data: Path, quick: bool) -> CityConfig:
    """The same hours of later days in Manhattan: 100 generated sites on its real streets."""
    roads = f"json-roads:{data}/edge/roads/manhattan_network.json.gz"
    users = f"trips:*?days=5&users={60 if quick else 800}&seed=1"
    return replace(melbourne(data, quick), roads=roads, sites=100, users=users, days=LATER_DAYS)


def trained(task: EdgeTraining, seed: int, steps: int) -> Any:
    """The policy of one seed."""
    config = TrainConfig(total_steps=steps, num_envs=8, validations=4, checkpoint_steps=10**9)
    whole = EnvironmentTask(make_agent(TRAINED, sigma=SIGMA), config, EDGE_CITY, {}, task, seed, "")
    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = train(whole, Path(folder))
        seconds = time.process_time() - before
        tell(
            f"seed {seed}: {result.start_score:.4f} -> {result.best_score:.4f} USD/h on training days, "
            f"{seconds:.0f} s of processor time"
        )
        return load_policy(folder)


def played(evaluation: EdgeCityEvaluation, policies: Sequence[Any]) -> Row:
    """What the policies of a row, one a seed, cost in each episode."""
    rows = [evaluation.play(policy) for policy in policies]
    return {key: np.array([[episode[key] for episode in episodes] for episodes in rows]) for key in rows[0][0]}


def percent(estimate: Estimate) -> str:
    """A share with its interval."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:+.1%}"
    return f"{estimate.mean:+.1%} [{estimate.low:+.1%}, {estimate.high:+.1%}]"


def show(title: str, table: dict[str, Row]) -> None:
    """Print a table: means, and differences to the reference with 95 % intervals over seeds and episodes."""
    reference = table[REFERENCE]
    hours, bound = reference["hours"], (reference["bound_usd"] / reference["hours"]).mean()
    print(f"\n{title}; bound {bound:.3f} USD/h\n")
    print(
        "| policy | USD/h | against the best constant | gap closed | kWh/h | gCO2e/h | p95 ms | cold | late | cloud |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, row in table.items():
        seeds, episodes = row["objective_usd"].shape
        judge = Bootstrap(seeds, episodes, np.random.default_rng(0))
        against = np.broadcast_to(reference["objective_usd"], row["objective_usd"].shape)
        closed = 1.0 - row["decidable_usd"].mean() / reference["decidable_usd"].mean()
        an_hour = {key: (row[key] / hours).mean() for key in ("objective_usd", "energy_kwh_total", "carbon_kg_total")}
        print(
            f"| {name} | {an_hour['objective_usd']:.3f} | "
            f"{'' if row is reference else percent(judge.ratio(row['objective_usd'], against))} | "
            f"{closed:.1%} | {an_hour['energy_kwh_total']:.2f} | {1000 * an_hour['carbon_kg_total']:.0f} | "
            f"{1000 * row['response_seconds_p95'].mean():.0f} | {row['cold_share'].mean():.1%} | "
            f"{row['late_share'].mean():.1%} | {row['cloud_share'].mean():.0%} |"
        )


def to_win(config: CityConfig, constant: Sequence[int], episodes: int) -> dict[str, float]:
    """USD an hour that a look-ahead makes of each lever alone, and of all together."""
    city = city_of(config)
    levers: dict[str, list[tuple[int, ...]]] = {"none": []}
    for number, (name, choices) in enumerate(zip(COMPONENTS, CHOICES, strict=True)):
        levers[name] = [(*constant[:number], choice, *constant[number + 1 :]) for choice in range(choices)]
    loose = (CLOUD, HUB, OWN, LEAST_LOADED)
    levers["route and route_loose"] = [(*pair, *constant[2:]) for pair in product((CENTER, HUB, OWN), loose)]
    found = {}
    for name, choices in levers.items():
        tried = partial(foresee, city, [constant, *choices], hold_steps=10, horizon_steps=30, together=True)
        spent = [tried(start).usd for start in spread_starts(city, episodes)]
        found[name] = float(np.mean(spent)) / (config.episode_seconds / 3600)
    return found


def main() -> None:
    """Train, evaluate and print."""
    options = parser(__doc__)
    options.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"), help="folder of the real data")
    options.add_argument("--seeds", type=int, default=10, help="trainings (default %(default)s)")
    options.add_argument("--steps", type=int, default=400_000, help="of one training (default %(default)s)")
    options.add_argument("--episodes", type=int, default=6, help="of each evaluation (default %(default)s)")
    arguments = parse(options, seeds=1, steps=200, episodes=2)
    if not (arguments.data / "edge").is_dir():
        sys.exit(f"no folder edge in {arguments.data}; name the folder that holds it")
    print(heading(describe()))
    config = melbourne(arguments.data, arguments.quick)
    train_kwargs = {"scenario": replace(config, episode_seconds=TRAINING_EPISODE)}
    task = EdgeTraining(EDGE_CITY, train_kwargs, 2 if arguments.quick else VALIDATION_EPISODES)
    policies: dict[str, list[Any]] = {}
    constant: list[int] = []
    for name in SITE_BASELINES:
        rule, constants = SITE_BASELINES[name], dict[str, Any]()
        if f"{name}{TUNED}" == REFERENCE or not arguments.quick:
            constants, _ = rule.tuned(task)
        if f"{name}{TUNED}" == REFERENCE:
            constant = [int(constants[component]) for component in COMPONENTS]
        tell(f"{name}: {constants}")
        policies[f"{name}{TUNED}"] = [rule.make(**constants)]
    places = {
        "Melbourne, training mornings": config,
        "Melbourne, later mornings": replace(config, days=LATER_DAYS),
        "Manhattan, later mornings": manhattan(arguments.data, arguments.quick),
    }
    whole = 3600.0 * (HOURS[1] - HOURS[0])
    places |= {f"{name}, whole": replace(place, episode_seconds=whole) for name, place in places.items()}
    won = to_win(places["Melbourne, later mornings"], constant, arguments.episodes)
    print("\nLook-ahead on Melbourne's later mornings, USD/h:")
    print("\n".join(f"| {name} | {usd:.3f} | {usd / won['none'] - 1:+.1%} |" for name, usd in won.items()))
    policies[TRAINED] = [trained(task, seed, arguments.steps) for seed in range(arguments.seeds)]
    document: dict[str, Any] = {"look_ahead_usd_per_hour": won}
    for title, place in places.items():
        first, last = place.days or TRAINING_DAYS
        fits = (
            last - first if place.episode_seconds == whole else arguments.episodes
        )  # a whole morning begins once a day
        evaluation = EdgeCityEvaluation(EDGE_CITY, train_kwargs, {"scenario": place}, min(arguments.episodes, fits))
        table = {name: played(evaluation, each) for name, each in policies.items()}
        show(title, table)
        document[title] = {name: {key: each.tolist() for key, each in row.items()} for name, row in table.items()}
    if arguments.json is not None:
        dump_yaml(document, arguments.json)


if __name__ == "__main__":
    main()
