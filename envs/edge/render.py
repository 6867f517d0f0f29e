"""What a city looks like: a line of text, or its map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from envs.containers.problem import UJ_PER_KWH
from envs.edge.batch import CityBatch
from envs.edge.city import City
from envs.edge.places import (
    STATE_COLUMNS,
    place_capacities,
    place_grams_per_kwh,
    place_meters,
    place_states,
    road_lines,
    serving_places,
)
from envs.recording import pictures

RENDER_MODES = ("ansi", "rgb_array")

WIDTH, HEIGHT = 640, 480


class CityRenderer:
    """Draws a city by the rules of the dashboard; what does not move is worked out once.

    Args:
        city: the loaded scenario.
    """

    def __init__(self, city: City) -> None:
        self._city = city
        self._roads, _ = road_lines(city)
        self._meters, self._capacity = place_meters(city), place_capacities(city)
        self._most_grams = float(city.problem.g_per_uj.max() * UJ_PER_KWH)

    def draw(self, batch: CityBatch, world: int = 0) -> NDArray[np.uint8]:
        """[480, 640, 3] uint8: roads, sites, users and who serves them, and the moment in words."""
        time_ms = int(batch.time_ms[world])
        states = dict(zip(STATE_COLUMNS, place_states(batch, world).T, strict=True))
        used = np.column_stack([states[name] for name in ("cpu_cores", "memory_gb", "gpus")])
        served_by, latency_ms = serving_places(batch, world)
        city = pictures.City(
            roads=self._roads,
            sites=self._meters,
            is_on=states["on"] > 0.0,
            grams_per_kwh=place_grams_per_kwh(self._city, time_ms),
            most_grams=self._most_grams,
            used=np.where(self._capacity > 0.0, used / np.maximum(self._capacity, 1e-9), np.nan),
            containers=np.column_stack([states[name] for name in pictures.CONTAINERS]).astype(np.int64),
            users=self._city.projection.to_meters(*self._city.users.at(time_ms / 1000.0)),
            served_by=served_by,
            latency_ms=latency_ms,
        )
        image = Image.new("RGB", (WIDTH, HEIGHT), pictures.PAPER)
        pictures.draw_city(image, city, (0, 0, WIDTH, HEIGHT - pictures.LABEL))
        text = batch.describe(world)
        ImageDraw.Draw(image).text((4, HEIGHT - pictures.LABEL + 2), text, pictures.INK, pictures.font(12))
        return np.asarray(image)
