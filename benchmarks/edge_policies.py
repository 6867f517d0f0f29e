"""A policy of edge sites trained in generated cities, and judged in others on later days, beside tuned rules.

It is trained as `experiment/edge-cities` says, and judged on whole mornings: in Melbourne (sites and homes of the EUA
data set on generated streets), in Manhattan (OpenStreetMap's streets, generated sites), and in generated cities that it
has not seen either. Users and calls are generated. The two rules with all levers are tuned in the training cities;
`best-constant` also in Melbourne, and on earlier days of each city itself, which is what an operator can know who has
watched it. First comes what there is to win in each city.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from _common import describe, heading, parse, parser, tell
from numpy.typing import NDArray

from agents.config import AgentConfig
from agents.environment_task import EnvironmentTask
from agents.loading import load_policy
from agents.training import train
from autoscaler.cities import EDGE_CITY
from autoscaler.evaluation.edge_city import TUNED, EdgeCityEvaluation
from autoscaler.evaluation.statistics import Bootstrap, Estimate
from autoscaler.experiment import ExperimentConfig, load_experiment
from configs.serialize import dump_yaml
from envs.edge.arguments import city_config, city_of
from envs.edge.baselines import SITE_BASELINES
from envs.edge.batch import CityBatch
from envs.edge.city import City
from envs.edge.config import CityConfig
from envs.edge.episodes import steps_of, warm_up_steps
from envs.edge.lookahead import foresee
from envs.edge.tables import CENTER, CLOUD, HUB, OWN
from envs.edge.training import EdgeTraining

EXPERIMENT = "experiment/edge-cities"
EARLIER_DAYS, LATER_DAYS, DAYS = (0, 3), (3, 8), 8
OWN_TUNED, REFERENCE, MELBOURNE = "best-constant, tuned in this city", f"best-constant{TUNED}", "Melbourne"
TRIED = [(*routes, 1, 0, 0) for routes in product((CENTER, HUB), (CENTER, HUB, CLOUD), (OWN, CLOUD))]
"""Constants of which the best of each hour is looked for, and which a look-ahead tries."""
Row = dict[str, NDArray[np.float64]]
"""Column -> [seeds, episodes]."""


def judged(data: Path, base: CityConfig, quick: bool) -> dict[str, CityConfig]:
    """Later mornings of cities that no policy is trained in."""
    eua, users = data / "edge" / "eua", f"trips:*?days={DAYS}"
    config = replace(base, days=LATER_DAYS)
    vision, chat, learn = config.calls
    melbourne = replace(
        config,
        roads="grid-roads:melbourne-cbd",
        sites=f"csv-sites:{eua}/site-optus-melbCBD.csv",
        users=f"{users}&homes=eua-users:{eua}/users-melbcbd-generated.csv{'&users=60' if quick else ''}",
        sites_per_hub=12,
    )
    manhattan = replace(
        melbourne,
        roads=f"json-roads:{data}/edge/roads/manhattan_network.json.gz",
        sites=100,
        users=f"{users}&users={60 if quick else 800}&seed=11",
    )
    town = replace(
        config, roads="grid-roads:town?columns=15&rows=13", sites=30, users=f"{users}&users=250&seed=12", seed=12
    )
    calls = (replace(vision, per_user_hour=20.0), replace(chat, per_user_hour=4.0), learn)
    suburb = replace(town, sites=16, users=f"{users}&users=100&seed=13", sites_per_hub=8, calls=calls, seed=13)
    return {MELBOURNE: melbourne, "Manhattan": manhattan, "A town": town, "A suburb": suburb}


def trained(task: EdgeTraining, experiment: ExperimentConfig, seed: int, steps: int | None) -> Any:
    """The policy of one seed."""
    agent, config = experiment.agent, experiment.train
    assert isinstance(agent, AgentConfig)
    config = config if steps is None else replace(config, total_steps=steps)
    whole = EnvironmentTask(agent, config, EDGE_CITY, dict(experiment.env_kwargs), task, seed, "")
    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = train(whole, Path(folder))
        seconds = time.process_time() - before
        tell(
            f"seed {seed}: {result.start_score:.4f} -> {result.best_score:.4f} USD/h where it is trained, "
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
    """Print a table: means, and differences to two constants with 95 % intervals over seeds and episodes."""
    hours, bound = table[REFERENCE]["hours"], (table[REFERENCE]["bound_usd"] / table[REFERENCE]["hours"]).mean()
    print(f"\n{title}; bound {bound:.3f} USD/h\n")
    columns = ("policy", "USD/h", "against the training cities' constant", "against its own", "gap closed")
    print(f"| {' | '.join((*columns, 'kWh/h', 'gCO2e/h', 'p95 ms', 'cold', 'late', 'cloud'))} |")
    print(f"|{'---|' * (len(columns) + 6)}")
    for name, row in table.items():
        usd = row["objective_usd"]
        seeds, episodes = usd.shape
        judge = Bootstrap(seeds, episodes, np.random.default_rng(0))
        against = [
            ""
            if table[other] is row
            else percent(judge.ratio(usd, np.broadcast_to(table[other]["objective_usd"], usd.shape)))
            for other in (REFERENCE, OWN_TUNED)
        ]
        closed = 1.0 - row["decidable_usd"].mean() / table[REFERENCE]["decidable_usd"].mean()
        an_hour = {key: (row[key] / hours).mean() for key in ("objective_usd", "energy_kwh_total", "carbon_kg_total")}
        print(
            f"| {name} | {an_hour['objective_usd']:.3f} | {' | '.join(against)} | {closed:.1%} | "
            f"{an_hour['energy_kwh_total']:.2f} | {1000 * an_hour['carbon_kg_total']:.0f} | "
            f"{1000 * row['response_seconds_p95'].mean():.0f} | {row['cold_share'].mean():.1%} | "
            f"{row['late_share'].mean():.1%} | {row['cloud_share'].mean():.0%} |"
        )


def by_hour(city: City, start_ms: int) -> NDArray[np.float64]:
    """[actions, hours] USD of the hours of an episode under each constant of `TRIED`, side by side."""
    batch = CityBatch(city, len(TRIED))
    batch.begin(np.arange(len(TRIED)), np.full(len(TRIED), start_ms))
    actions = np.repeat(np.array(TRIED)[:, None], city.num_sites, axis=1)
    usd = []
    for _ in range(steps_of(city)):
        batch.step(actions)
        usd.append(batch.costs.sum(axis=1))
    counted = np.array(usd)[warm_up_steps(city) :]
    hours = round(city.config.episode_seconds / 3600)
    found: NDArray[np.float64] = counted.reshape(hours, -1, len(TRIED)).sum(axis=1).T
    return found


def to_win(city: City) -> tuple[float, float, float]:
    """USD an hour on one morning: of the best constant of `TRIED`, of the best of each hour, of a look-ahead."""
    start = int(city.starts_ms[0, 0])
    usd, hours = by_hour(city, start), city.config.episode_seconds / 3600
    best = TRIED[int(usd.sum(axis=1).argmin())]
    seen = foresee(city, [best, *TRIED], start, hold_steps=20, horizon_steps=40, together=True).usd
    return float(usd.sum(axis=1).min() / hours), float(usd.min(axis=0).sum() / hours), seen / hours


def tuned(name: str, task: EdgeTraining, where: str) -> Any:
    """A rule with the constants that cost least in the cities of a training."""
    before = time.process_time()
    constants, rule = task.tuned_rule(name)
    tell(f"{name}, {where}: {constants}, {time.process_time() - before:.0f} s of processor time")
    return rule


def main() -> None:
    """Train, evaluate and print."""
    options = parser(__doc__)
    options.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"), help="folder of the real data")
    options.add_argument("--seeds", type=int, default=10, help="trainings (default %(default)s)")
    options.add_argument("--steps", type=int, help="of one training (default: those of the experiment)")
    options.add_argument(
        "--in-melbourne", action="store_true", help="train on earlier days of Melbourne, not in the generated cities"
    )
    arguments = parse(options, seeds=1, steps=2000)
    if not (arguments.data / "edge").is_dir():
        sys.exit(f"no folder edge in {arguments.data}; name the folder that holds it")
    print(heading(describe()))
    experiment, quick = load_experiment(EXPERIMENT), arguments.quick
    kwargs = dict(experiment.env_kwargs)
    places = judged(arguments.data, city_config(kwargs["scenario"]), quick)
    if quick:
        kwargs["variations"] = kwargs["variations"][:1]
        places = {name: replace(place, days=(LATER_DAYS[0], LATER_DAYS[0] + 1)) for name, place in places.items()}
    task = EdgeTraining(EDGE_CITY, kwargs, 1 if quick else experiment.train.validation_windows)
    policies: dict[str, list[Any]] = {}
    for name in SITE_BASELINES:
        if name == "best-constant" or (name == "threshold-sleep" and not quick):
            policies[f"{name}{TUNED}"] = [tuned(name, task, "training cities")]
        else:
            policies[name] = [SITE_BASELINES[name].default()]
    here = {
        name: tuned("best-constant", EdgeTraining(EDGE_CITY, {"scenario": replace(place, days=EARLIER_DAYS)}, 3), name)
        for name, place in places.items()
        if not quick or name == MELBOURNE
    }
    policies[f"best-constant, tuned in {MELBOURNE}"] = [here[MELBOURNE]]
    won = {name: to_win(city_of(place)) for name, place in places.items() if not quick or name != MELBOURNE}
    print("\nWhat there is to win on a morning, USD/h\n\n| city | best constant | best of each hour | look-ahead |")
    print("|---|---|---|---|")
    for name, (constant, *others) in won.items():
        print(f"| {name} | {constant:.3f} | {' | '.join(f'{usd:.3f} ({usd / constant - 1:+.1%})' for usd in others)} |")
    agent = str(experiment.agent.name)
    if arguments.in_melbourne:
        agent = f"{agent}, trained in {MELBOURNE}"
        task = EdgeTraining(EDGE_CITY, {"scenario": replace(places[MELBOURNE], days=EARLIER_DAYS)}, 3)
    trainings = [trained(task, experiment, seed, arguments.steps) for seed in range(arguments.seeds)]
    document: dict[str, Any] = {"to_win_usd_per_hour": {name: list(usd) for name, usd in won.items()}}
    for title, place in places.items():
        evaluation = EdgeCityEvaluation(
            EDGE_CITY, kwargs, {"scenario": place}, 1 if quick else LATER_DAYS[1] - LATER_DAYS[0]
        )
        own = {OWN_TUNED: [here.get(title, here[MELBOURNE])], agent: trainings}
        table = {name: played(evaluation, each) for name, each in (policies | own).items()}
        show(f"{title}, later mornings", table)
        document[title] = {name: {key: each.tolist() for key, each in row.items()} for name, row in table.items()}
    if arguments.json is not None:
        dump_yaml(document, arguments.json)


if __name__ == "__main__":
    main()
