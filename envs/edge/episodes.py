"""Which moments episodes begin at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from configs.errors import did_you_mean
from envs.edge.city import City
from envs.errors import EnvironmentConfigError


def draw_start_ms(city: City, generator: np.random.Generator) -> int:
    """A random moment, at a whole decision interval of a random day."""
    begin, latest = city.starts_ms[int(generator.integers(len(city.starts_ms)))].tolist()
    interval = int(city.tables.interval_ms[0])
    return int(begin + interval * int(generator.integers((latest - begin) // interval + 1)))


def start_ms(city: City, options: Mapping[str, Any] | None, generator: np.random.Generator) -> int:
    """The moment that options name, or a random one where there are none.

    Raises:
        EnvironmentConfigError: an option has no meaning, or no episode fits there.
    """
    return chosen_start_ms(city, options) if options else draw_start_ms(city, generator)


def chosen_start_ms(city: City, options: Mapping[str, Any]) -> int:
    """The moment that the option `start_seconds` names.

    Raises:
        EnvironmentConfigError: there is another option, or calls are not made for a whole episode from there.
    """
    for name in options:
        if name != "start_seconds":
            raise EnvironmentConfigError(f"unknown option {name!r}{did_you_mean(name, ['start_seconds'])}")
    start = options["start_seconds"]
    windows = (city.starts_ms / 1000).tolist()
    if isinstance(start, bool) or not isinstance(start, int | float | np.number) or not np.isfinite(float(start)):
        raise EnvironmentConfigError(f"the option start_seconds is {start!r}; it must be a number of seconds")
    if not any(low <= float(start) <= high for low, high in windows):
        texts = ", ".join(f"{low:g} to {high:g}" for low, high in windows[:3])
        raise EnvironmentConfigError(f"the option start_seconds is {start}; episodes fit where it is {texts}")
    return round(1000 * float(start))


def steps_of(city: City) -> int:
    """Steps of an episode, with those of its warm-up."""
    return warm_up_steps(city) + max(1, round(1000 * city.config.episode_seconds) // int(city.tables.interval_ms[0]))


def warm_up_steps(city: City) -> int:
    """The first steps of an episode, which cost nothing."""
    return round(1000 * city.config.warm_up_seconds) // int(city.tables.interval_ms[0])
