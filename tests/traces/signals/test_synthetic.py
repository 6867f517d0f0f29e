"""Synthetic signals come from a seed and have the rhythm of a grid."""

from datetime import UTC, datetime

import numpy as np
import pytest

from traces.errors import TraceValueError
from traces.signals.synthetic import PRESETS, generate_signal

START = datetime(2022, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_same_seed_gives_the_same_values_and_a_longer_signal_begins_like_a_shorter(name: str) -> None:
    short = generate_signal(name, start=START, days=20, seed=3)
    long = generate_signal(name, start=START, days=30, seed=3)
    assert np.array_equal(short.values, long.values[: 20 * 24])
    assert len(long.values) == 30 * 24
    assert PRESETS[name].weather_sigma == 0.0 or not np.array_equal(
        short.values, generate_signal(name, start=START, days=20, seed=4).values
    )


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_mean_is_the_presets(name: str) -> None:
    values = generate_signal(name, start=START, days=730, seed=0).values
    assert values.mean() == pytest.approx(PRESETS[name].mean, rel=0.05)
    assert values.min() > 0.0


def test_a_solar_grid_is_cleanest_at_its_own_noon() -> None:
    solar = generate_signal("solar", start=START, days=365, seed=0)
    by_hour = solar.values.reshape(-1, 24).mean(axis=0)
    assert (int(by_hour.argmin()) - 8) % 24 in (12, 13)


def test_what_cannot_be_generated_is_refused() -> None:
    with pytest.raises(TraceValueError, match="did you mean 'solar'"):
        generate_signal("soler", start=START, days=1, seed=0)
    for days in (0.0, -1.0, float("nan"), 1e6):
        with pytest.raises(TraceValueError, match="days is"):
            generate_signal("flat", start=START, days=days, seed=0)
    with pytest.raises(TraceValueError, match="seed"):
        generate_signal("flat", start=START, days=1, seed=-1)
