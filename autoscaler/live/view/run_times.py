"""Run times of jobs that are predicted from those that have ended on this cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from autoscaler.live.model import ClusterView, GangView
from autoscaler.live.objects import PodView
from autoscaler.live.prediction_config import PredictionSettings
from autoscaler.live.view.gangs import is_gang
from autoscaler.live.view.store import Contents
from autoscaler.live.view.suspended import past_of

if TYPE_CHECKING:
    from traces.prediction.predictors import JobTraits


class RunTimes:
    """Remembers how long jobs ran. A restart knows those whose pods still exist.

    Args:
        settings: how run times are predicted; the method is not `none`.
    """

    def __init__(self, settings: PredictionSettings) -> None:
        # Only here, so that a loop that predicts nothing does not load what reads traces.
        from traces.prediction import predictors

        self._settings, self._predictor = settings, predictors.PREDICTORS[settings.method]()
        self._traits = predictors.JobTraits
        self._told: set[str] = set()

    def note(self, contents: Contents) -> None:
        """Take in the jobs that have ended: those none of whose pods waits or runs any more."""
        pods = contents.pods.values()
        ended: dict[str, list[PodView]] = {}
        for pod in pods:
            if pod.finished and pod.gpu_milli > 0 and (key := _key(pod, contents)) not in self._told:
                ended.setdefault(key, []).append(pod)
        if not ended:
            return
        goes_on = {_key(pod, contents) for pod in pods if not pod.finished}
        jobs = [(key, members) for key, members in ended.items() if key not in goes_on]
        for key, members in sorted(jobs, key=lambda job: (_end(job[1]), job[0])):
            self._told.add(key)
            run_seconds = _end(members) - min((pod.started_seconds or pod.created_seconds) for pod in members)
            # Of a job that was suspended, only the pods that it had since are there.
            run_seconds += past_of(contents.jobs.get(key)).get("ran_seconds", 0.0)
            if run_seconds > 0.0:
                self._predictor.observe(self._job(members[0], sum(pod.gpu_milli for pod in members)), run_seconds)
        self._told &= {_key(pod, contents) for pod in pods}

    def expected(self, view: ClusterView) -> ClusterView:
        """The view with a predicted run time for each job that says none itself and waits, or has to end in time."""
        queue = tuple(self._expected(gang, gang.pending_gpu_milli) for gang in view.queue)
        return replace(view, queue=queue, running=tuple(self._of_running(gang) for gang in view.running))

    def _of_running(self, gang: GangView) -> GangView:
        """Nobody asks it of a job that may run for as long as it will."""
        if gang.deadline_seconds is None and gang.latest_start_seconds is None:
            return gang
        return self._expected(gang, sum(pod.gpu_milli for pod in gang.pods))

    def _expected(self, gang: GangView, gpu_milli: int) -> GangView:
        if gang.predicted_seconds > 0.0 or not gang.pods:
            return gang
        return replace(gang, predicted_seconds=self._predictor.predict(self._job(gang.pods[0], gpu_milli)))

    def _job(self, pod: PodView, gpu_milli: int) -> JobTraits:
        user = pod.labels.get(self._settings.user_label, "")
        return self._traits(user, pod.namespace, pod.labels.get(self._settings.workload_label, ""), gpu_milli)


def _key(pod: PodView, contents: Contents) -> str:
    """Key of the job that a pod is of: its Job, where the pods of that run together, else itself."""
    job = contents.jobs.get(pod.gang)
    return pod.gang if job is None or is_gang(job) else pod.uid


def _end(pods: list[PodView]) -> float:
    return max((pod.finished_seconds or pod.created_seconds) for pod in pods)
