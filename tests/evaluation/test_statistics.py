"""Intervals cover what they promise, and say nothing where they cannot."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from autoscaler.evaluation.statistics import Bootstrap, Estimate, expanded_tail


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("values", "quantile"), [(2, 12.7062), (5, 2.77645), (10, 2.26216), (121, 1.97993)])
def test_the_tail_reaches_as_far_as_the_t_distribution(values: int, quantile: float) -> None:
    """Quantiles of t at 97.5 % from the tables, and the normal distribution of the standard library."""
    reach = quantile * (values / (values - 1)) ** 0.5
    assert expanded_tail(values) == pytest.approx(NormalDist().cdf(-reach), rel=1e-3)


def test_the_tail_of_many_values_is_the_plain_one() -> None:
    assert expanded_tail(5) < expanded_tail(20) < expanded_tail(1000)
    assert expanded_tail(100_000) == pytest.approx(0.025, abs=1e-4)


@pytest.mark.parametrize("windows", [5, 10])
def test_the_interval_covers_the_true_mean(windows: int) -> None:
    """Of 400 tables of normal values with mean 3, about 95 % of the intervals hold 3."""
    values = generator(1).normal(3.0, 2.0, (400, windows))
    bootstrap = Bootstrap(1, windows, generator(), draws=4000)
    estimates = [bootstrap.mean(row[None]) for row in values]
    covered = np.mean([low <= 3.0 <= high for _, low, high in estimates if low is not None and high is not None])
    assert 0.90 <= covered <= 0.98


def test_the_interval_covers_seeds_and_windows() -> None:
    """Both vary: values are the sum of an effect of the seed and one of the window."""
    random = generator(2)
    hits = 0
    bootstrap = Bootstrap(10, 8, generator(), draws=2000)
    for _ in range(300):
        table = random.normal(0, 1, (10, 1)) + random.normal(0, 1, (1, 8))
        estimate = bootstrap.mean(table)
        hits += estimate.includes_zero
    assert 0.90 <= hits / 300 <= 0.99


def test_differences_are_paired() -> None:
    """Windows differ by far more than the policies: the difference is clear although the means' intervals overlap."""
    random = generator(3)
    base = random.normal(100.0, 30.0, (1, 8))
    better = base - 2.0 + random.normal(0.0, 0.1, (1, 8))
    bootstrap = Bootstrap(1, 8, generator())
    difference = bootstrap.mean(better - base)
    assert difference.high is not None
    assert difference.high < -1.5
    low, high = bootstrap.mean(base).low, bootstrap.mean(better).high
    assert low is not None
    assert high is not None
    assert low < high


def test_a_ratio_is_relative() -> None:
    base = generator(4).uniform(50.0, 150.0, (3, 6))
    estimate = Bootstrap(3, 6, generator()).ratio(0.9 * base, base)
    assert estimate == pytest.approx((-0.1, -0.1, -0.1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (10, 4), (4, 1)])
def test_too_few_values_have_no_interval(shape: tuple[int, int]) -> None:
    values = generator(5).normal(size=shape)
    assert Bootstrap(*shape, generator()).mean(values) == Estimate(pytest.approx(values.mean()), None, None)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (3, 5)])
def test_five_values_have_one(shape: tuple[int, int]) -> None:
    estimate = Bootstrap(*shape, generator()).mean(generator(6).normal(size=shape))
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.low < estimate.mean < estimate.high


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert Bootstrap(1, 6, generator()).mean(np.full((1, 6), 7.0)) == pytest.approx((7.0, 7.0, 7.0))


def test_what_is_not_known_has_no_interval() -> None:
    values = np.full((1, 6), 7.0)
    values[0, 2] = np.nan
    estimate = Bootstrap(1, 6, generator()).mean(values)
    assert np.isnan(estimate.mean)
    assert (estimate.low, estimate.high) == (None, None)
    assert estimate.includes_zero


def test_a_seed_fixes_the_interval() -> None:
    values = generator(7).normal(size=(4, 6))
    first, second, other = (Bootstrap(4, 6, generator(seed)).mean(values) for seed in (0, 0, 1))
    assert first == second != other
