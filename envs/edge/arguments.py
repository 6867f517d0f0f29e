"""What `gymnasium.make` passes on as a scenario, turned into a loaded city."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from configs.loader import build_config, load_config, to_dict, to_yaml
from configs.yaml_reader import parse_mapping
from envs.edge.city import City, load_city
from envs.edge.config import CityConfig
from envs.errors import EnvironmentConfigError

ScenarioArgument: TypeAlias = CityConfig | Mapping[str, Any] | str | os.PathLike[str] | None
KEPT_CITIES = 8


def city_config(scenario: ScenarioArgument = None) -> CityConfig:
    """A scenario from an object, plain values, a YAML file or a preset; None: the generated village.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
        EnvironmentConfigError: an argument is of no type that it may have.
    """
    if scenario is None:
        return CityConfig()
    if isinstance(scenario, CityConfig):
        return scenario
    if isinstance(scenario, Mapping):
        return build_config(dict(scenario), CityConfig, "scenario")
    if isinstance(scenario, str | os.PathLike):
        return load_config(os.fspath(scenario), CityConfig)
    raise EnvironmentConfigError(
        f"scenario is a {type(scenario).__name__}; it must be a CityConfig, a mapping, a YAML file or a preset"
    )


def varied(config: CityConfig, variations: Sequence[Mapping[str, Any]]) -> list[CityConfig]:
    """Scenarios that differ from one by some of its fields, such as `{"sites": 30, "seed": 2}`.

    Raises:
        ConfigError: a change names no field, or its value does not fit.
    """
    return [build_config({**to_dict(config), **changes}, CityConfig, "variations") for changes in variations]


def city_of(scenario: ScenarioArgument = None) -> City:
    """The city of a scenario, see `city_config`; the last ones are kept, as loading takes seconds.

    Raises:
        UserError: as `city_config` and `envs.edge.city.load_city`.
    """
    return _loaded(to_yaml(city_config(scenario)))


@lru_cache(maxsize=KEPT_CITIES)
def _loaded(text: str) -> City:
    return load_city(build_config(parse_mapping(text, "scenario").data, CityConfig, "scenario"))
