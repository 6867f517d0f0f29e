"""Predictors of run times know what has ended, and of that what is most alike."""

import math

import pytest

from traces.prediction.predictors import LEAST_RUNS, PREDICTORS, HistoryQuantile, JobTraits, RollingMean

ALICE = JobTraits("alice", "vision", "", 1000)


def told(predictor, *runs):
    for job, seconds in runs:
        predictor.observe(job, seconds)
    return predictor


@pytest.mark.parametrize("name", PREDICTORS)
def test_nothing_is_said_before_enough_jobs_have_ended(name):
    predictor = told(PREDICTORS[name](), *[(ALICE, 60.0)] * (LEAST_RUNS - 1))
    assert predictor.predict(ALICE) == 0.0
    assert told(predictor, (ALICE, 60.0)).predict(ALICE) == pytest.approx(60.0)


@pytest.mark.parametrize("name", PREDICTORS)
def test_jobs_of_the_same_user_and_size_count_before_those_of_others(name):
    bob, large = ALICE._replace(user="bob"), ALICE._replace(gpu_milli=8000)
    runs = [(ALICE, 60.0)] * 5 + [(bob, 7200.0)] * 5 + [(large, 600.0)] * 5
    predictor = told(PREDICTORS[name](), *runs)
    assert predictor.predict(ALICE) == pytest.approx(60.0)
    assert predictor.predict(large) == pytest.approx(600.0)
    assert predictor.predict(bob) == pytest.approx(7200.0)


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_user_without_history_is_taken_as_others_of_the_group(name):
    predictor = told(PREDICTORS[name](), *[(ALICE, 60.0)] * 5, *[(JobTraits("bob", "nlp", "", 1000), 900.0)] * 5)
    assert predictor.predict(JobTraits("carol", "nlp", "", 1000)) == pytest.approx(900.0)
    assert predictor.predict(JobTraits("carol", "vision", "", 1000)) == pytest.approx(60.0)


def test_the_median_of_the_last_runs_counts():
    predictor = told(
        HistoryQuantile(remembered=3), *[(ALICE, seconds) for seconds in (1.0, 1.0, 1.0, 50.0, 70.0, 60.0)]
    )
    assert predictor.predict(ALICE) == 60.0
    assert told(HistoryQuantile(0.9), *[(ALICE, float(n)) for n in range(1, 11)]).predict(ALICE) == 9.0


def test_the_rolling_mean_is_geometric_and_weighs_the_newest_most():
    predictor = told(RollingMean(weight=0.5), *[(ALICE, seconds) for seconds in (10.0, 1000.0, 1000.0)])
    by_hand = math.exp(0.5 * math.log(1000.0) + 0.5 * (0.5 * math.log(1000.0) + 0.5 * math.log(10.0)))
    assert predictor.predict(ALICE) == pytest.approx(by_hand)
