"""What a look-ahead makes of a city, beside constants."""

import numpy as np
import pytest

from envs.edge.arguments import city_of
from envs.edge.batch import CityBatch
from envs.edge.episodes import steps_of, warm_up_steps
from envs.edge.lookahead import foresee, neighbourhoods
from envs.edge.tables import HUB, OWN
from tests.envs.edge.scenes import scenario

MORNING = 8 * 3_600_000
AWAKE, SLEEPY = (OWN, OWN, OWN, 3, 0, 3), (HUB, HUB, HUB, 2, 0, 1)


def constant_usd(action: tuple[int, ...], warm_up: tuple[int, ...] | None = None) -> float:
    batch = CityBatch(city_of(scenario()))
    batch.begin(np.zeros(1, np.int64), np.array([MORNING]))
    for step in range(steps_of(batch.city)):
        taken = warm_up if warm_up and step < warm_up_steps(batch.city) else action
        batch.step(np.tile(np.array(taken), (1, 6, 1)))
    return batch.totals().usd


def test_with_one_choice_a_look_ahead_is_that_constant() -> None:
    assert foresee(city_of(scenario()), [AWAKE], MORNING).usd == pytest.approx(constant_usd(AWAKE), rel=1e-9)


def test_a_look_ahead_leaves_a_constant_that_costs_more() -> None:
    found = foresee(city_of(scenario()), [AWAKE, SLEEPY], MORNING, hold_steps=15, horizon_steps=30)
    assert found.usd < 0.99 * constant_usd(AWAKE)


def test_a_look_ahead_of_the_whole_city_takes_one_action_at_a_time() -> None:
    city = city_of(scenario())
    found = foresee(city, [AWAKE, SLEEPY], MORNING, hold_steps=60, horizon_steps=60, together=True)
    assert found.usd == pytest.approx(min(constant_usd(AWAKE), constant_usd(SLEEPY, warm_up=AWAKE)), rel=1e-9)


def test_every_zone_belongs_to_the_neighbourhood_of_its_hub() -> None:
    city = city_of(scenario())
    group = neighbourhoods(city)
    assert set(group) == set(city.hubs)
    assert (group[city.hubs] == city.hubs).all()
