"""Run times on a cluster are predicted as those of a trace are: from jobs that ended, by the same code."""

from dataclasses import replace

import numpy as np
import pytest

from autoscaler.live.model import ClusterView
from autoscaler.live.names import ANNOTATION_RAN_SECONDS
from autoscaler.live.objects import JobView, PodView
from autoscaler.live.prediction_config import PredictionSettings
from autoscaler.live.view.run_times import RunTimes
from autoscaler.live.view.store import Contents
from tests.live.views import gang, view
from traces import Trace
from traces.prediction import PREDICTORS, predict_run_times


def ended(name, start, end, gpus=1, **fields):
    """A pod whose containers have ended; its own job unless `gang` says another."""
    times = {"created_seconds": start, "started_seconds": start, "finished_seconds": end}
    fields = {"gang": f"job-{name}", "namespace": "team", "phase": "Succeeded", **times, **fields}
    return PodView(uid=name, name=name, gpu_milli=gpus * 1000, **fields)


def waiting(name="new", gpus=1, predicted=0.0, **labels):
    pod = PodView(uid=name, name=name, gpu_milli=gpus * 1000, namespace="team", labels=labels)
    return replace(gang(name), pods=(pod,), pending_gpu_milli=gpus * 1000, predicted_seconds=predicted)


def contents(*pods, jobs=()):
    return Contents(pods={pod.uid: pod for pod in pods}, jobs={job.uid: job for job in jobs})


def expected(run_times, *queue: object) -> list[float]:
    seen: ClusterView = run_times.expected(view(queue=list(queue)))
    return [each.predicted_seconds for each in seen.queue]


def test_the_median_of_ended_jobs_is_expected_of_one_that_says_nothing():
    run_times = RunTimes(PredictionSettings("history"))
    run_times.note(contents(*(ended(f"p{n}", 0.0, 60.0 * n) for n in (1, 2, 3))))
    assert expected(run_times, waiting(), waiting("told", predicted=5.0)) == [120.0, 5.0]


def test_nothing_is_expected_where_too_few_have_ended():
    run_times = RunTimes(PredictionSettings("history"))
    run_times.note(contents(ended("p", 0.0, 60.0)))
    assert expected(run_times, waiting()) == [0.0]


def test_a_job_that_runs_and_has_to_end_in_time_is_expected_to_run_as_long_as_others():
    run_times = RunTimes(PredictionSettings("history"))
    run_times.note(contents(*(ended(f"p{n}", 0.0, 60.0 * n) for n in (1, 2, 3))))
    free, bound = (replace(waiting(name), pending_gpu_milli=0) for name in ("free", "bound"))
    seen = run_times.expected(view(running=(free, replace(bound, deadline_seconds=1e6))))
    assert [each.predicted_seconds for each in seen.running] == [0.0, 120.0]


def test_what_a_job_ran_before_it_was_suspended_counts():
    run_times = RunTimes(PredictionSettings("history"))
    annotations = {ANNOTATION_RAN_SECONDS: "100.000"}
    jobs = [JobView(name=f"j{n}", uid=f"j{n}", indexed=True, annotations=annotations) for n in (1, 2, 3)]
    run_times.note(contents(*(ended(f"p{n}", 500.0, 500.0 + 60.0 * n, gang=f"j{n}") for n in (1, 2, 3)), jobs=jobs))
    assert expected(run_times, waiting()) == [220.0]


def test_a_job_counts_once_and_only_when_its_last_pod_has_ended():
    run_times = RunTimes(PredictionSettings("history"))
    others = [ended(f"o{n}", 0.0, 10.0, gpus=2) for n in (1, 2)]
    half = [ended("a", 0.0, 10.0, gang="job"), PodView(uid="b", name="b", gang="job", gpu_milli=1000, phase="Running")]
    for _ in range(3):
        run_times.note(contents(*others, *half))
    assert expected(run_times, waiting(gpus=2)) == [0.0]
    run_times.note(contents(*others, half[0], ended("b", 5.0, 30.0, gang="job")))
    assert expected(run_times, waiting(gpus=2)) == [10.0]  # two of 10 s and the gang's 30 s


def test_pods_that_run_one_by_one_are_jobs_of_their_own():
    job = JobView(uid="job", name="job", parallelism=2, indexed=False)
    pods = [ended("a", 0.0, 10.0, gang="job"), ended("b", 90.0, 100.0, gang="job"), ended("c", 0.0, 10.0, gang="job")]
    run_times = RunTimes(PredictionSettings("history"))
    run_times.note(contents(*pods, jobs=[job]))
    assert expected(run_times, waiting()) == [10.0]


def test_labels_tell_whose_job_it_is():
    run_times = RunTimes(PredictionSettings("history", user_label="user"))
    runs = [
        ended(f"{who}{n}", 0.0, seconds, labels={"user": who})
        for n in range(3)
        for who, seconds in (("a", 10.0), ("b", 900.0))
    ]
    run_times.note(contents(*runs))
    assert expected(run_times, waiting(user="a"), waiting(user="b")) == [10.0, 900.0]


@pytest.mark.parametrize("method", PREDICTORS)
def test_a_cluster_expects_what_the_trace_of_its_jobs_says(method):
    rng = np.random.default_rng(0)
    # In eighths of a second, so that sums are exact.
    submits = np.sort(rng.integers(0, 8000, 60)) / 8.0
    runs, gpus, users = rng.integers(8, 1600, 60) / 8.0, rng.integers(1, 3, 60), rng.integers(0, 3, 60)
    columns = {"submit_time_seconds": submits, "duration_seconds": runs, "gpu_milli": gpus * 1000}
    trace = Trace.from_columns({**columns, "user": [f"u{n}" for n in users], "group": ["team"] * 60})
    wanted = predict_run_times(trace, PREDICTORS[method]())
    run_times = RunTimes(PredictionSettings(method, user_label="user"))
    found = []
    for index, now in enumerate(submits):
        past = [
            ended(f"p{n}", submits[n], submits[n] + runs[n], int(gpus[n]), labels={"user": f"u{users[n]}"})
            for n in range(60)
            if submits[n] + runs[n] <= now
        ]
        run_times.note(contents(*past))
        found += expected(run_times, waiting(gpus=int(gpus[index]), user=f"u{users[index]}"))
    assert found == wanted.tolist()
    assert (wanted > 0.0).sum() > 40
