"""How policies of a city's sites are judged: episodes of days that nobody trained or tuned on, a row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from autoscaler.evaluation.environments import Row
from configs.loader import to_dict
from envs.edge.arguments import city_config, city_of
from envs.edge.baselines import SITE_BASELINES
from envs.edge.bounds import relaxed_usd
from envs.edge.city import City
from envs.edge.evaluation import CityResult, play
from envs.edge.training import EdgeTraining
from envs.scores import Actor

TUNED = "-tuned"
TUNING_EPISODES = 6


def spread_starts(city: City, count: int) -> list[int]:
    """So many moments at which episodes begin, spread over the days of a scenario and over their hours, ms."""
    interval, days = int(city.tables.interval_ms[0]), len(city.starts_ms)
    found = []
    for day, part in enumerate(np.array_split(np.arange(count), days)):
        low, high = city.starts_ms[day].tolist()
        shares = (np.arange(len(part)) + (day + 0.5) / days) / max(len(part), 1)
        found += [int(low + share * (high - low)) // interval * interval for share in shares]
    return found


class EdgeCityEvaluation:
    """See `autoscaler.evaluation.environments.EnvironmentEvaluation`; episodes are spread over days and their hours.

    Args:
        env: id of the environment.
        train_kwargs: its arguments for tuning rules.
        test_kwargs: its arguments for what is judged.
        windows: judged episodes.
    """

    rules: ClassVar[tuple[str, ...]] = tuple(f"{name}{end}" for name in SITE_BASELINES for end in ("", TUNED))
    reference: ClassVar[str] = f"best-constant{TUNED}"

    def __init__(self, env: str, train_kwargs: Mapping[str, Any], test_kwargs: Mapping[str, Any], windows: int) -> None:
        self.city = city_of(test_kwargs.get("scenario"))
        self._env, self._train_kwargs = env, dict(train_kwargs)
        self._starts = spread_starts(self.city, windows)
        # It takes ten times as long as to play an episode, and is the same for every policy.
        self._bound = cache(partial(relaxed_usd, self.city))
        length = self.city.config.episode_seconds
        self.windows: Sequence[tuple[float, float]] = [(start / 1000, start / 1000 + length) for start in self._starts]

    @staticmethod
    def held_out(kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The days after those of a training, where positions cover some; else other calls and generated sites."""
        config = city_config(kwargs.get("scenario"))
        if config.days is not None:
            first, last = config.days[1], city_of(config).num_days
            if first < last:
                return {**kwargs, "scenario": to_dict(replace(config, days=(first, last)))}
        return {**kwargs, "scenario": to_dict(replace(config, seed=config.seed + 1))}

    def make_rule(self, name: str) -> tuple[Actor, dict[str, Any]]:
        """A rule, and the constants that tuning chose."""
        rule = SITE_BASELINES[name.removesuffix(TUNED)]
        if not name.endswith(TUNED):
            return rule.default(), {}
        constants, actor = rule.tuned(EdgeTraining(self._env, self._train_kwargs, TUNING_EPISODES))
        return actor, constants

    def play(self, policy: Any) -> list[Row]:
        """The row of each episode under a policy of one site."""
        return [self._row(result) for result in play(self.city, policy, self._starts)]

    def record(self, folder: str | Path, trained: Mapping[str, Any]) -> None:
        """The first episode under the rule that sends everybody to the nearest site, and under trained policies."""
        from autoscaler.recordings.city import record_city

        policies: dict[str, Actor] = {"nearest": SITE_BASELINES["nearest"].default(), **trained}
        title = f"EdgeCity-v0: {self.city.num_sites} sites, episode 1 of {len(self._starts)}"
        record_city(folder, self.city, policies, self._starts[0], title)

    def _row(self, result: CityResult) -> Row:
        totals = result.totals
        bound = self._bound(round(1000 * result.start_seconds))
        return {
            "objective_usd": totals.usd,
            "bound_usd": bound,
            "decidable_usd": totals.usd - bound,
            "energy_kwh_total": totals.energy_kwh,
            "carbon_kg_total": totals.carbon_g / 1000,
            "hours": result.hours,
            "requests": float(totals.requests),
            "cold_share": totals.cold_share,
            "late_share": totals.late_share,
            "cloud_share": totals.cloud_share,
            "handed_over": float(result.handed_over),
            "response_seconds_p50": result.interactive_p50_ms / 1000,
            "response_seconds_p95": result.interactive_p95_ms / 1000,
        }
