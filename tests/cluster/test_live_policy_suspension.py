"""The policy's lever *suspension* on the real control plane: jobs stop while energy is dirty, and none is stuck."""

import json
import time
from pathlib import Path

import pytest

from autoscaler.cli import main
from autoscaler.live import names
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import QUICK_LEASE, Command, deployed, live_settings
from tests.cluster.test_live_consolidation import events
from tests.cluster.test_live_signals import MAPS
from tests.cluster.test_live_suspension import DONE, JOB, job, two_jobs_that_run, wait_running

POLICIES = "tests.cluster.suspending_policies"
LEVER = (
    "clock.time_scale=1",
    "resync_interval_seconds=2",
    "codec.suspension=true",
    "guardrails.suspension.min_run_seconds=0",
    "guardrails.suspension.move_seconds=0",
    "guardrails.cooldowns.unneeded_seconds=600",
)
SIGNALS = (
    "codec.signals=true",
    "signals.usd_per_tonne=500",
    "signals.regions=[{name: west, carbon: {source: configmap, settings: {key: west.carbon}, poll_seconds: 0.5}}]",
)
HOUR = 3600


def emits(cluster: ControlPlane, grams: float) -> None:
    """It is `grams` per kWh since this hour began, and was 100 in the two days before."""
    hour = time.time() // HOUR * HOUR
    series = [{"time": hour - ago * HOUR, "value": 100.0} for ago in range(48, 0, -1)]
    series.append({"time": hour, "value": grams})
    named = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.SIGNALS_CONFIG_MAP}}
    body = {**named, "data": {"west.carbon": json.dumps(series)}}
    path = f"{MAPS}/{names.SIGNALS_CONFIG_MAP}"
    exists = cluster._exists(path)
    cluster.request("PUT" if exists else "POST", path if exists else MAPS, body)


def annotations(cluster: ControlPlane, name: str = "flexible") -> dict[str, str]:
    found: dict[str, str] = cluster.request("GET", JOB(name))["metadata"].get("annotations", {})
    return found


def pods_of(cluster: ControlPlane, name: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in cluster.pods(f"job-name={name}")}


def start(cluster: ControlPlane, log: Path, policy: str, *settings: str) -> Command:
    arguments = ["--policy", policy, "--no-dry-run"]
    return Command(cluster.kubeconfig, log, *QUICK_LEASE, *LEVER, *settings, arguments=arguments)


def test_a_job_stops_while_energy_is_dirty_and_goes_on_when_it_is_clean(
    cluster: ControlPlane, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_jobs_that_run(cluster)
    audit, firm = tmp_path / "audit.jsonl", pods_of(cluster, "firm")
    emits(cluster, 500.0)
    settings = live_settings(*LEVER, *SIGNALS, f"audit_path={audit}")
    with deployed(cluster, settings, f"{POLICIES}:WHEN_DIRTY") as live:
        wait_running(cluster, "firm")
        assert job(cluster) == (True, True)
        mark = annotations(cluster)
        assert [mark[name] for name in (names.ANNOTATION_SUSPENDED_BY, names.ANNOTATION_SUSPENDED_IN)] == [
            "policy",
            "gpu",
        ]
        left = float(mark[names.ANNOTATION_RESUME_BY]) - float(mark[names.ANNOTATION_SUSPENDED_AT])
        assert left == pytest.approx(14400.0, abs=5.0)
        assert "The policy suspended it" in explained(cluster, capsys)
        emits(cluster, 50.0)
        wait_running(cluster, "flexible", "firm")
        metrics = live.process.metrics
        assert [metrics.value(names.METRIC_SUSPENSIONS, each, "policy") for each in DONE] == [1, 1]
    assert job(cluster) == (False, False)
    assert set(annotations(cluster)) >= {names.ANNOTATION_RAN_SECONDS, names.ANNOTATION_SUSPENDED_SECONDS}
    assert cluster.request("GET", JOB("flexible"))["status"].get("failed", 0) == 0, "Kubernetes counts no failure"
    for reason in (names.EVENT_SUSPENDED_BY_POLICY, names.EVENT_RESUMED_FOR_POLICY):
        assert list(events(cluster, reason)) == ["Job"]
    assert pods_of(cluster, "firm") == firm, "who did not opt in is never touched"
    assert annotations(cluster, "firm").keys() & annotations(cluster).keys() <= {"batch.kubernetes.io/job-tracking"}
    assert main(["replay", str(audit)]) == 0


def explained(cluster: ControlPlane, capsys: pytest.CaptureFixture[str]) -> str:
    """What `autoscaler explain` says of the flexible job."""
    capsys.readouterr()
    config = ["--config", "live/kwok", "--kubeconfig", str(cluster.kubeconfig), "--set", "codec.suspension=true"]
    assert main(["explain", "job/default/flexible", *config]) == 0
    return capsys.readouterr().out


def test_what_a_killed_process_suspended_goes_on_in_time_under_another_policy(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    two_jobs_that_run(cluster)
    first = start(cluster, tmp_path / "first.log", f"{POLICIES}:ALWAYS", "guardrails.suspension.max_seconds=20")
    try:
        cluster.wait_until(lambda: job(cluster) == (True, True) or None, "it is suspended, with our mark")
    finally:
        first.kill()
    latest = float(annotations(cluster)[names.ANNOTATION_RESUME_BY])
    second = start(cluster, tmp_path / "second.log", "reactive")
    try:
        wait_running(cluster, "flexible", "firm")
        assert time.time() >= latest, "its own time counts, and not that of the process"
    finally:
        second.kill()
    assert job(cluster) == (False, False)
