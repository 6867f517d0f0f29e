"""Statistics over scenarios, against numbers worked out by hand and against slow loops."""

from __future__ import annotations

import numpy as np
import pytest

from autoscaler.bench.statistics import Strata, interquartile_mean, iqm, probability_of_improvement, profile

ONE = {"a": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([[5.0, 6.0], [7.0, 80.0]])}
"""Two seeds on two windows of two scenarios."""

OTHER = {"a": np.array([[2.0, 2.0]]), "b": np.array([[9.0, 1.0]])}
"""One seed of another policy."""


def test_the_interquartile_mean_drops_a_quarter_at_each_end() -> None:
    """1 2 | 3 4 5 6 | 7 80: the mean of the middle is 4.5, whatever the outlier is."""
    assert interquartile_mean(np.arange(1.0, 9.0)) == 4.5
    assert iqm(ONE, "x", Strata()).mean == 4.5


def test_whole_values_are_cut_where_a_quarter_is_none() -> None:
    """Of six values one is cut at each end: (2 + 3 + 4 + 5) / 4; of three none."""
    assert interquartile_mean(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 100.0])) == 3.5
    assert interquartile_mean(np.array([1.0, 2.0, 6.0])) == 3.0


def test_the_probability_of_improvement_counts_pairs_of_one_window() -> None:
    """Scenario a: window 1 has 1 and 3 against 2, window 2 has 2 and 4 against 2: wins 1, 0, 0.5, 0, mean 3/8.

    Scenario b: 5 and 7 against 9 win, 6 and 80 against 1 lose: 1/2. The mean of both is 7/16.
    """
    assert probability_of_improvement(ONE, OTHER, ("x", "y"), Strata()).mean == pytest.approx(7 / 16)
    assert probability_of_improvement(OTHER, ONE, ("y", "x"), Strata()).mean == pytest.approx(9 / 16)


def test_a_policy_is_as_likely_better_as_worse_than_itself() -> None:
    found = probability_of_improvement(OTHER, OTHER, ("y", "y"), Strata())
    assert found.mean == 0.5


def test_the_profile_is_the_share_of_runs_at_or_below_a_threshold() -> None:
    found = profile(ONE, "x", (0.5, 3.0, 7.5, 100.0), Strata())
    assert found.shares.tolist() == [0.0, 3 / 8, 7 / 8, 1.0]
    assert (found.low <= found.shares).all()
    assert (found.shares <= found.high).all()


def many(seed: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: shift + generator.normal(level, 1.0, (3, 5)) for name, level in (("a", 10.0), ("b", 20.0))}


def test_draws_are_those_of_a_slow_loop() -> None:
    scores, strata = many(0), Strata(draws=50)
    drawn = strata.runs(scores, "x")
    for draw in range(50):
        expected = []
        for name, values in scores.items():
            windows, seeds = strata.windows(name, 5)[draw], strata.seeds(name, "x", 3)[draw]
            expected += [values[seed, window] for seed in seeds for window in windows]
        assert drawn[draw].tolist() == expected


def test_scenarios_are_never_drawn_away() -> None:
    """Half of the runs of every draw are of each scenario."""
    drawn = Strata(draws=200).runs(many(0), "x")
    assert ((drawn > 15.0).sum(axis=1) == 15).all()


def test_policies_see_the_same_windows_and_their_own_seeds() -> None:
    strata = Strata()
    assert (strata.windows("a", 5) == Strata().windows("a", 5)).all()
    assert (strata.windows("a", 5) != strata.windows("b", 5)).any()
    assert (strata.seeds("a", "x", 3) != strata.seeds("a", "y", 3)).any()


def test_intervals_hold_the_mean_and_narrow_with_the_spread() -> None:
    wide = iqm(many(0), "x", Strata())
    narrow = iqm(
        {name: values.mean() + 0.1 * (values - values.mean()) for name, values in many(0).items()}, "x", Strata()
    )
    assert wide.low is not None
    assert wide.high is not None
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.low < wide.mean < wide.high
    assert narrow.high - narrow.low < wide.high - wide.low


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Of 200 samples of 2 x 15 runs the 95 % interval of P(x < y) for equal distributions holds 0.5 in most."""
    held = 0
    for seed in range(200):
        ours, theirs = many(2 * seed), many(2 * seed + 1)
        found = probability_of_improvement(ours, theirs, ("x", "y"), Strata(seed, draws=300))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.5 <= found.high
    assert 0.80 <= held / 200 <= 1.0


def test_few_windows_have_no_interval() -> None:
    found = iqm({"a": np.array([[1.0, 2.0, 3.0]])}, "x", Strata())
    assert (found.low, found.high) == (None, None)


# Numbers of the package rliable 1.2.0 for the same scores, whose functions were called by hand: `aggregate_iqm`,
# `probability_of_improvement` (of the negated scores, for lower is better here) and `run_score_deviation`. The package
# itself no longer imports beside its dependencies of today. Columns are tasks, which have one window each here.
RLIABLE_X = np.array(
    [
        [1.00, 1.20, 1.50, 1.02, 1.33, 1.07],
        [1.10, 1.25, 1.40, 1.04, 1.41, 1.01],
        [1.05, 1.30, 1.45, 1.02, 1.28, 1.12],
        [1.20, 1.20, 1.90, 1.11, 1.33, 1.09],
        [1.15, 1.10, 1.35, 1.08, 1.60, 1.03],
    ]
)
RLIABLE_Y = np.array(
    [
        [1.10, 1.20, 1.60, 1.02, 1.40, 1.02],
        [1.10, 1.35, 1.40, 1.09, 1.33, 1.10],
        [1.25, 1.40, 1.55, 1.20, 1.70, 1.12],
    ]
)


def tasks(scores: np.ndarray) -> dict[str, np.ndarray]:
    return {str(task): scores[:, task : task + 1] for task in range(scores.shape[1])}


def test_the_numbers_are_those_of_rliable() -> None:
    """Intervals of rliable are of 100,000 and 20,000 draws of runs within each task, ours of 2,000."""
    x, y = tasks(RLIABLE_X), tasks(RLIABLE_Y)
    mean = iqm(x, "x", Strata())
    assert mean.mean == pytest.approx(1.181875, abs=1e-12)
    assert (mean.low, mean.high) == pytest.approx((1.155, 1.206875), abs=0.003)
    assert iqm(y, "y", Strata()).mean == pytest.approx(1.245, abs=1e-12)
    better = probability_of_improvement(x, y, ("x", "y"), Strata())
    assert better.mean == pytest.approx(0.6777777777777777, abs=1e-12)
    assert (better.low, better.high) == pytest.approx((0.50555556, 0.83333333), abs=0.02)
    above = 1.0 - profile(x, "x", (1.05, 1.2, 1.4), Strata()).shares
    assert above == pytest.approx([0.7666666666666667, 0.4, 0.16666666666666666], abs=1e-12)
