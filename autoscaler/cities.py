"""Play policies in a city and compare them: what `autoscaler city` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from agents.loading import load_policy
from configs.errors import UserError, did_you_mean
from configs.loader import load_config
from envs.edge.arguments import city_of
from envs.edge.baselines import SITE_BASELINES
from envs.edge.bounds import relaxed_usd
from envs.edge.city import City
from envs.edge.codec import ACTION_SIZES, NUM_FEATURES
from envs.edge.config import CityConfig
from envs.edge.episodes import draw_start_ms
from envs.edge.evaluation import CityResult, play
from envs.edge.training import EdgeTraining
from envs.scores import Actor

SCHEMA = "autoscaler.city/1"
EDGE_CITY = "autoscaler/EdgeCity-v0"


class CityPolicyError(UserError, ValueError):
    """A policy that plays no sites of a city."""


def load_scenario(scenario: str, overrides: Sequence[str] = ()) -> City:
    """The city of a file or a preset, with changes such as `episode_seconds=3600`.

    Raises:
        UserError: as `envs.edge.arguments.city_of`.
    """
    return city_of(load_config(scenario, CityConfig, overrides))


def find_policy(name: str, city: City, *, tune: bool = False) -> Actor:
    """A rule by name, or the trained policy of a run folder.

    Args:
        name: a name of `SITE_BASELINES`, or a path.
        city: on whose episodes a rule is tuned.
        tune: whether its constants are.

    Raises:
        CityPolicyError: there is no such rule or run, or the policy plays something else.
        ArtifactError: the policy cannot be loaded.
    """
    if name in SITE_BASELINES or not Path(name).exists():
        if name not in SITE_BASELINES:
            near = did_you_mean(name, list(SITE_BASELINES))
            raise CityPolicyError(f"there is neither a rule for sites nor a run {name!r}{near}")
        rule = SITE_BASELINES[name]
        return rule.tuned(EdgeTraining(EDGE_CITY, {"scenario": city.config}, 6))[1] if tune else rule.default()
    policy: Any = load_policy(name)
    environment: Any = getattr(policy, "environment", None) or {"observation_space": {}, "action_space": {}}
    shapes = environment["observation_space"].get("shape"), environment["action_space"].get("nvec")
    if shapes != ([NUM_FEATURES], list(ACTION_SIZES)):
        raise CityPolicyError(f"{name}: its policy does not play sites of {EDGE_CITY}; train it with env: {EDGE_CITY}")
    actor: Actor = policy
    return actor


def episode_starts(city: City, episodes: int, seed: int) -> list[int]:
    """Random moments at which episodes begin, ms."""
    generator = np.random.default_rng(seed)
    return [draw_start_ms(city, generator) for _ in range(episodes)]


def compare(city: City, policies: Mapping[str, Actor], starts_ms: Sequence[int]) -> dict[str, list[CityResult]]:
    """Results of each policy on the same episodes."""
    return {name: play(city, actor, starts_ms) for name, actor in policies.items()}


def document(city: City, results: Mapping[str, Sequence[CityResult]]) -> dict[str, Any]:
    """Results for other tools."""
    first = next(iter(results.values()))
    bounds = [relaxed_usd(city, round(1000 * result.start_seconds)) / result.hours for result in first]
    return {
        "schema": SCHEMA,
        "sites": city.num_sites,
        "users": city.users.num_users,
        "bound_usd_per_hour": float(np.mean(bounds)),
        "policies": {name: [asdict(result) for result in each] for name, each in results.items()},
    }


HEADER = ("policy", "USD/h", "kWh/h", "gCO2e/h", "p95 ms", "cold", "late", "cloud", "round s")


def rows(results: Mapping[str, Sequence[CityResult]]) -> list[list[str]]:
    """Results for humans, the mean of the episodes in each row."""
    found = []
    for name, each in results.items():
        hours = np.array([result.hours for result in each])
        sums = [np.array([getattr(result.totals, key) for result in each]) for key in ("usd", "energy_kwh", "carbon_g")]
        shares = [
            np.mean([getattr(r.totals, key) for r in each]) for key in ("cold_share", "late_share", "cloud_share")
        ]
        p95 = np.mean([result.interactive_p95_ms for result in each])
        rounds = [result.round_seconds for result in each if result.rounds]
        found.append(
            [
                name,
                *(f"{(total / hours).mean():.4g}" for total in sums),
                f"{p95:.0f}",
                *(f"{share:.1%}" for share in shares),
                f"{np.mean(rounds):.1f}" if rounds else "-",
            ]
        )
    return found
