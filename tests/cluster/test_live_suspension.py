"""Grid events on the real control plane: jobs that said so stop and go on, whoever decides by then; others run on."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoscaler.cli import main
from autoscaler.live import names
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import QUICK_LEASE, Command, deployed, live_settings
from tests.cluster.live_support import gated_gang, pool_node
from tests.cluster.test_live_consolidation import PRODUCT, events, pods_on
from tests.live.signals.web import Answer, Request, series, serving

JOB = "/apis/batch/v1/namespaces/default/jobs/{}".format
TIER_3 = {names.ANNOTATION_FLEXIBILITY: "3", names.ANNOTATION_CHECKPOINTABLE: "true"}
DONE = ("suspended", "resumed")
IDLE_KW, BUSY_GPU_KW = 0.5784, 0.2708
BUDGET_KW = 2.5
"""Two nodes with 12 busy GPUs draw 4.4 kW, and without the 8 of one job 2.2 kW."""

REAL_TIME = ("clock.time_scale=1", "guardrails.curb_for_grid_events=true", "guardrails.cooldowns.unneeded_seconds=600")


def event(seconds: float, power_kw: float = BUDGET_KW) -> str:
    """A grid event that began a moment ago, as a setting."""
    start = datetime.fromtimestamp(time.time() - 1.0, UTC).isoformat()
    return f"guardrails.grid_events=[{{start: '{start}', duration_seconds: {seconds}, power_kw: {power_kw}}}]"


def two_jobs_that_run(cluster: ControlPlane) -> None:
    """Two nodes, a Job of 8 GPUs that may be suspended and fails by one failed pod, and one of 4 GPUs that may not."""
    for node in ("n1", "n2"):
        pool_node(cluster, node, "gpu", **PRODUCT)
    gated_gang(cluster, "flexible", 1, 8, annotations=TIER_3, labels={"app": "flexible"})
    gated_gang(cluster, "firm", 1, 4, labels={"app": "firm"})
    with deployed(cluster, live_settings(*REAL_TIME)):
        wait_running(cluster, "flexible", "firm")


def job(cluster: ControlPlane, name: str = "flexible") -> tuple[bool, bool]:
    """Whether a Job is suspended, and whether it carries our mark."""
    raw = cluster.request("GET", JOB(name))
    return raw["spec"]["suspend"], names.ANNOTATION_SUSPENDED_AT in raw["metadata"].get("annotations", {})


def running(cluster: ControlPlane) -> set[str]:
    """The Jobs that run, by what the API server says."""
    return {name for node in ("n1", "n2") for name in pods_on(cluster, node)}


def drawn_kw(cluster: ControlPlane) -> float:
    """What the nodes and pods that the API server has draw, by the power of the pool."""
    gpus = {"flexible": 8, "firm": 4}
    nodes = sum(cluster._exists(f"/api/v1/nodes/{node}") for node in ("n1", "n2"))
    bound = [pod for pod in cluster.pods() if pod["spec"].get("nodeName")]
    return nodes * IDLE_KW + sum(gpus[pod["metadata"]["labels"]["app"]] for pod in bound) * BUSY_GPU_KW


def wait_running(cluster: ControlPlane, *jobs: str) -> None:
    cluster.wait_until(lambda: running(cluster) == set(jobs) or None, f"exactly {jobs} run")


def start(cluster: ControlPlane, log: Path, *settings: str, act: bool = True) -> Command:
    more = () if act else ("leader_election.enabled=false",)
    arguments = ["--policy", "reactive", *(["--no-dry-run"] if act else [])]
    return Command(cluster.kubeconfig, log, *QUICK_LEASE, *REAL_TIME, *settings, *more, arguments=arguments)


def test_a_job_stops_for_an_event_and_goes_on_after_it(cluster: ControlPlane, tmp_path: Path) -> None:
    two_jobs_that_run(cluster)
    audit = tmp_path / "audit.jsonl"
    assert drawn_kw(cluster) > BUDGET_KW
    with deployed(cluster, live_settings(*REAL_TIME, event(25.0), f"audit_path={audit}")) as live:
        wait_running(cluster, "firm")
        assert job(cluster) == (True, True)
        assert drawn_kw(cluster) <= BUDGET_KW
        assert live.process.metrics.value(names.METRIC_POWER_BUDGET) == 1000.0 * BUDGET_KW
        wait_running(cluster, "flexible", "firm")
        metrics = live.process.metrics
        assert [metrics.value(names.METRIC_SUSPENSIONS, each, "grid-event") for each in DONE] == [1, 1]
    assert job(cluster) == (False, False)
    status = cluster.request("GET", JOB("flexible"))["status"]
    assert (status["active"], status.get("failed", 0)) == (1, 0), "Kubernetes counts no failure"
    for reason in (names.EVENT_SUSPENDED, names.EVENT_RESUMED_JOB):
        assert list(events(cluster, reason)) == ["Job"]
    assert main(["replay", str(audit)]) == 0


def test_a_job_stops_where_its_gpus_draw_more_than_is_believed(cluster: ControlPlane) -> None:
    """The model says 4.4 kW of 5; the GPUs of the job draw twice as much as it says, until its pods are gone."""
    two_jobs_that_run(cluster)
    node = next(node for node in ("n1", "n2") if "flexible" in pods_on(cluster, node))

    def power(request: Request) -> Answer:
        at = float(request.query["time"])
        watts = 600.0 if "flexible" in pods_on(cluster, node) else 34.8
        labels = [{"UUID": f"GPU-{index}", "Hostname": node} for index in range(8)]
        return series(*((each, [(at - 0.5, repr(watts)), (at, repr(watts))]) for each in labels))

    with serving() as web:
        web.answers["/api/v1/query"] = power
        meter = f"signals.power={{url: '{web.url}', kind: power, poll_seconds: 1.0}}"
        with deployed(cluster, live_settings(*REAL_TIME, event(3600.0, 5.0), meter)) as live:
            wait_running(cluster, "firm")
            assert job(cluster) == (True, True)
            again = live.process.metrics.value(names.METRIC_POWER_READS, "ok")
            cluster.wait_until(
                lambda: live.process.metrics.value(names.METRIC_POWER_READS, "ok") > again + 3 or None,
                "it is read again",
            )
            assert running(cluster) == {"firm"}


def test_what_a_killed_process_suspended_goes_on_with_the_next_one_even_without_the_switch(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    two_jobs_that_run(cluster)
    first = start(cluster, tmp_path / "first.log", event(3600.0))
    try:
        cluster.wait_until(lambda: job(cluster) == (True, True) or None, "it is suspended, with our mark")
    finally:
        first.kill()
    wait_running(cluster, "firm")
    second = start(cluster, tmp_path / "second.log", "guardrails.curb_for_grid_events=false")
    try:
        wait_running(cluster, "flexible", "firm")
    finally:
        second.kill()
    assert job(cluster) == (False, False)


def test_a_dry_run_says_what_it_would_suspend_and_changes_nothing(cluster: ControlPlane, tmp_path: Path) -> None:
    two_jobs_that_run(cluster)
    dry = start(cluster, tmp_path / "dry.log", event(3600.0), act=False)

    def said() -> list[Any] | None:
        return [line for line in dry.log() if line.get("suspensions") == ["default/flexible"]] or None

    try:
        cluster.wait_until(said, "the log says what would be suspended")
    finally:
        dry.kill()
    assert job(cluster) == (False, False)
    assert running(cluster) == {"flexible", "firm"}


def test_while_everything_is_paused_nothing_stops_and_nothing_goes_on(cluster: ControlPlane) -> None:
    """The kill switch changes nothing, so it resumes nothing either; releasing it does."""
    two_jobs_that_run(cluster)
    with deployed(cluster, live_settings(*REAL_TIME, event(20.0))) as live:
        wait_running(cluster, "firm")
        live.process.pause(True)
        event_end = time.monotonic() + 22.0
        cluster.wait_until(lambda: time.monotonic() > event_end or None, "the event is over")
        assert job(cluster) == (True, True)
        live.process.pause(False)
        wait_running(cluster, "flexible", "firm")
