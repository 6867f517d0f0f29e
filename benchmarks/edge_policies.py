"""A policy of edge sites trained on mornings in Melbourne, on later ones there and in Manhattan, beside tuned rules.

Sites and homes of Melbourne are those of the EUA data set; its streets are a generated grid. Manhattan's streets are
OpenStreetMap's, its sites are generated. Users and calls are generated. Rules are tuned on the training days, too.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import describe, heading, parse, parser, tell
from scipy import stats

from agents.config import TrainConfig
from agents.environment_task import EnvironmentTask
from agents.loading import load_policy
from agents.registry import make_agent
from agents.training import train
from autoscaler.cities import EDGE_CITY
from configs.serialize import dump_yaml
from envs.edge.arguments import city_of
from envs.edge.baselines import SITE_BASELINES
from envs.edge.bounds import relaxed_usd
from envs.edge.city import City
from envs.edge.config import CityConfig
from envs.edge.evaluation import CityResult, play
from envs.edge.training import EdgeTraining

LATER_DAYS, HOURS, EPISODE = (3, 5), (6.0, 12.0), 7200.0
KEYS = ("usd", "energy_kwh", "carbon_g")


def melbourne(data: Path, quick: bool) -> CityConfig:
    """Mornings of a week in Melbourne's centre: 125 sites, 816 users."""
    eua = data / "edge" / "eua"
    users = f"trips:*?days=5&homes=eua-users:{eua}/users-melbcbd-generated.csv"
    return CityConfig(
        roads="grid-roads:melbourne-cbd",
        sites=f"csv-sites:{eua}/site-optus-melbCBD.csv",
        users=f"{users}&users=60" if quick else users,
        sites_per_hub=12,
        day_hours=HOURS,
        days=(0, 3),
        episode_seconds=EPISODE,
    )


def manhattan(data: Path, quick: bool) -> CityConfig:
    """The same hours in Manhattan: 100 generated sites on its real streets."""
    roads = f"json-roads:{data}/edge/roads/manhattan_network.json.gz"
    users = f"trips:*?days=5&users={60 if quick else 800}&seed=1"
    return replace(melbourne(data, quick), roads=roads, sites=100, users=users, days=LATER_DAYS)


def starts(city: City, count: int) -> list[int]:
    """So many moments, spread over the days of a scenario, ms."""
    found = [np.linspace(low, high, -(-count // len(city.starts_ms))) for low, high in city.starts_ms]
    return [int(moment) // 60_000 * 60_000 for moment in np.concatenate(found)[:count]]


def trained(task: EdgeTraining, seed: int, steps: int) -> Any:
    """The policy of one seed."""
    config = TrainConfig(total_steps=steps, num_envs=8, validations=4, checkpoint_steps=10**9)
    whole = EnvironmentTask(make_agent("linear-cma-es"), config, EDGE_CITY, {}, task, seed, "")
    with tempfile.TemporaryDirectory() as folder:
        result = train(whole, Path(folder))
        tell(f"seed {seed}: {result.start_score:.4f} -> {result.best_score:.4f} USD/h on training days")
        return load_policy(folder)


def row(results: list[CityResult]) -> dict[str, float]:
    """Means of an evaluation."""
    hours = np.array([result.hours for result in results])
    found = {key: float((np.array([getattr(r.totals, key) for r in results]) / hours).mean()) for key in KEYS}
    for key in ("cold_share", "late_share", "cloud_share"):
        found[key] = float(np.mean([getattr(result.totals, key) for result in results]))
    return {**found, "p95_ms": float(np.mean([result.interactive_p95_ms for result in results]))}


def show(title: str, table: dict[str, list[dict[str, float]]], bound: float) -> None:
    """Print a table: the mean of the seeds, and their 95 % interval of the cost."""
    print(f"\n{title}; bound {bound:.3f} USD/h")
    print("| policy | USD/h | kWh/h | gCO2e/h | p95 ms | cold | late | cloud |\n|---|---|---|---|---|---|---|---|")
    for name, rows in table.items():
        mean = {key: float(np.mean([each[key] for each in rows])) for key in rows[0]}
        usd = np.array([each["usd"] for each in rows])
        spread = ""
        if len(rows) > 1:
            half = stats.t.ppf(0.975, len(rows) - 1) * usd.std(ddof=1) / np.sqrt(len(rows))
            spread = f" ± {half:.3f}"
        print(
            f"| {name} | {mean['usd']:.3f}{spread} | {mean['energy_kwh']:.2f} | {mean['carbon_g']:.0f} "
            f"| {mean['p95_ms']:.0f} | {mean['cold_share']:.1%} | {mean['late_share']:.1%} "
            f"| {mean['cloud_share']:.0%} |"
        )


def main() -> None:
    """Train, evaluate and print."""
    options = parser(__doc__)
    options.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"), help="folder of the real data")
    options.add_argument("--seeds", type=int, default=10, help="trainings (default %(default)s)")
    options.add_argument("--steps", type=int, default=120_000, help="of one training (default %(default)s)")
    options.add_argument("--episodes", type=int, default=6, help="of each evaluation (default %(default)s)")
    arguments = parse(options, seeds=1, steps=200, episodes=2)
    if not (arguments.data / "edge").is_dir():
        sys.exit(f"no folder edge in {arguments.data}; name the folder that holds it")
    print(heading(describe()))
    config = melbourne(arguments.data, arguments.quick)
    places = {
        "Melbourne, training mornings": config,
        "Melbourne, later mornings": replace(config, days=LATER_DAYS),
        "Manhattan, later mornings": manhattan(arguments.data, arguments.quick),
    }
    task = EdgeTraining(EDGE_CITY, {"scenario": config}, 2)
    policies: dict[str, list[Any]] = {}
    for name in SITE_BASELINES:
        rule = SITE_BASELINES[name]
        constants, policy = (({}, rule.default())) if arguments.quick else rule.tuned(task)
        tell(f"{name}: {constants}")
        policies[f"{name}, tuned"] = [policy]
    policies["linear-cma-es"] = [trained(task, seed, arguments.steps) for seed in range(arguments.seeds)]
    document: dict[str, Any] = {}
    for title, place in places.items():
        city = city_of(place)
        moments = starts(city, arguments.episodes)
        table = {name: [row(play(city, actor, moments)) for actor in each] for name, each in policies.items()}
        bound = float(np.mean([relaxed_usd(city, moment) for moment in moments])) / (EPISODE / 3600)
        show(title, table, bound)
        document[title] = {"bound_usd_per_hour": bound, "policies": table}
    if arguments.json is not None:
        dump_yaml(document, arguments.json)


if __name__ == "__main__":
    main()
