"""Who runs it can stop it, change its config, and say when nodes may go: seen from the API server."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoscaler.live.actuate.removal import Outcome, RemovalMachine, Report
from autoscaler.live.clock import ScaledClock
from autoscaler.live.kube.client import connect
from autoscaler.live.names import ANNOTATION_PAUSED, CONFIG_MAP, STATUS_CONFIG_MAP
from autoscaler.live.providers import make_providers
from autoscaler.live.switch import Pause, Switch
from configs.presets import find_config
from tests.cluster.control_plane import ControlPlane
from tests.cluster.live_process import GATED, QUICK_LEASE, Command, deployed, live_settings
from tests.cluster.live_support import exists, live_config, pool_node, removal_marks, removal_of, replica_set

MAPS = "/api/v1/namespaces/kube-system/configmaps"
QUIET_SECONDS = 3.0
"""How long nothing must happen until that is believed; a decision takes less than a tenth of it."""


def nodes(cluster: ControlPlane) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.request("GET", "/api/v1/nodes")["items"]
    return found


def status(cluster: ControlPlane) -> dict[str, Any]:
    if not cluster._exists(f"{MAPS}/{STATUS_CONFIG_MAP}"):
        return {}
    text = cluster.request("GET", f"{MAPS}/{STATUS_CONFIG_MAP}").get("data", {}).get("status")
    found: dict[str, Any] = {} if text is None else yaml.safe_load(text)
    return found


def write_map(cluster: ControlPlane, name: str, body: dict[str, Any]) -> None:
    """Create a ConfigMap, or change the one that is there."""
    if cluster._exists(f"{MAPS}/{name}"):
        cluster.request("PATCH", f"{MAPS}/{name}", body, content_type="application/merge-patch+json")
    else:
        merged = {**body, "metadata": {"name": name, **body.get("metadata", {})}}
        cluster.request("POST", MAPS, {"kind": "ConfigMap", **merged})


def annotate(cluster: ControlPlane, value: str | None) -> None:
    write_map(cluster, STATUS_CONFIG_MAP, {"metadata": {"annotations": {ANNOTATION_PAUSED: value}}})


def set_key(cluster: ControlPlane, value: str | None) -> None:
    write_map(cluster, CONFIG_MAP, {"data": {"paused": value}})


def told(cluster: ControlPlane, name: str, reason: str) -> list[str]:
    events = cluster.request("GET", "/api/v1/events")["items"]
    return [
        event["message"] for event in events if event["reason"] == reason and event["involvedObject"]["name"] == name
    ]


def submit(cluster: ControlPlane, name: str) -> None:
    cluster.create_gang_job(name, pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=GATED)


@pytest.mark.parametrize("turn", [annotate, set_key], ids=["annotation", "key"])
def test_what_is_paused_in_the_cluster_stays_paused_after_a_restart(cluster: ControlPlane, turn: Any) -> None:
    with deployed(cluster, live_settings()):
        cluster.wait_until(lambda: status(cluster).get("autoscalerStatus") == "Running" or None, "it runs")
        turn(cluster, "true")
        cluster.wait_until(lambda: told(cluster, "green-autoscaler", "Paused"), "the pause is told")
        submit(cluster, "job")
        (why,) = set(cluster.wait_until(lambda: told(cluster, "job", "NotTriggerScaleUp"), "the job hears why"))
        assert why.startswith("paused: paused by ")
        time.sleep(QUIET_SECONDS)
        assert nodes(cluster) == []
        cluster.wait_until(lambda: status(cluster)["autoscalerStatus"] == "Paused" or None, "the status says so")
    with deployed(cluster, live_settings()) as live:
        cluster.wait_until(lambda: len(live.observations) > 0 or None, "it looks")
        time.sleep(QUIET_SECONDS)
        assert nodes(cluster) == []
        assert "green_autoscaler_paused 1.0" in live.process.metrics.render()
        turn(cluster, None)
        cluster.wait_for_job("job")
        assert told(cluster, "green-autoscaler", "Resumed")


def test_signals_pause_and_resume_this_process(cluster: ControlPlane, tmp_path: Path) -> None:
    command = Command(cluster.kubeconfig, tmp_path / "log", *QUICK_LEASE, arguments=["--no-dry-run"])
    try:
        cluster.wait_until(lambda: command.metric("green_autoscaler_leader") == 1.0 or None, "it leads")
        command.send(signal.SIGUSR1)
        cluster.wait_until(lambda: command.metric("green_autoscaler_paused") == 1.0 or None, "it is paused")
        submit(cluster, "job")
        cluster.wait_until(lambda: told(cluster, "job", "NotTriggerScaleUp"), "the job hears why")
        time.sleep(QUIET_SECONDS)
        assert nodes(cluster) == []
        page = json.loads(command.get("/status")[1])
        assert page["paused"] == "paused by SIGUSR1; SIGUSR2 resumes"
        assert page["status"]["autoscalerStatus"] == "Paused"
        command.send(signal.SIGUSR2)
        cluster.wait_for_job("job")
        assert command.metric("green_autoscaler_paused") == 0.0
    finally:
        command.kill()


def test_a_node_under_removal_stays_while_everything_is_paused(cluster: ControlPlane) -> None:
    with deployed(cluster, live_settings("pools.0.max_nodes=1", "guardrails.removal.taint_wait_seconds=4.0")):
        submit(cluster, "job")
        cluster.wait_for_job("job")
        cluster.wait_until(lambda: removal_marks(nodes(cluster)[0])[0] or None, "its removal began")
        annotate(cluster, "true")
        time.sleep(4.0 + QUIET_SECONDS)
        assert len(nodes(cluster)) == 1
        annotate(cluster, None)
        cluster.wait_until(lambda: not nodes(cluster) or None, "it goes on")


def test_a_drain_stops_before_the_next_eviction(cluster: ControlPlane) -> None:
    client = connect(str(cluster.kubeconfig))
    switch, reports = Switch(("a", "b")), []

    def report(each: Report) -> None:
        reports.append((each.outcome, each.about.name))
        if each.outcome is Outcome.EVICTED:
            switch.say("a test", Pause(everything=True))

    try:
        pool_node(cluster, "n")
        web, api = (replica_set(cluster, name, "n") for name in ("web", "api"))
        config, clock = live_config(taint_wait_seconds=0.2), ScaledClock()
        machine = RemovalMachine(client, config, clock, make_providers(client, config, clock), report, switch.stops)
        machine.start([removal_of(cluster, "n", drain=True)])
        cluster.wait_until(lambda: (machine.advance(), switch.everything)[1], "the first pod is evicted")
        for _ in range(20):
            machine.advance()
            time.sleep(0.05)
        left = {pod["metadata"]["name"] for pod in cluster.pods() if "deletionTimestamp" not in pod["metadata"]}
        assert len(left & {web, api}) == 1
        assert removal_marks(cluster.node("n")) == (True, True)
        switch.say("a test", Pause())

        def done() -> bool | None:
            machine.advance()
            switch.say("a test", Pause())
            return not machine.under_way or None

        cluster.wait_until(done, "it goes on")
        assert not exists(client, "/api/v1/nodes/n")
        assert [outcome for outcome, _ in reports].count(Outcome.EVICTED) == 2
    finally:
        client.close()


def test_a_paused_pool_gets_nothing_and_its_jobs_go_to_another(cluster: ControlPlane) -> None:
    second = "pools=[{name: gpu, max_nodes: 2, paused: true}, {name: other, max_nodes: 2, boot_seconds: 60.0}]"
    with deployed(cluster, live_settings(second)):
        submit(cluster, "job")
        cluster.wait_for_job("job")
        labels = [node["metadata"]["labels"]["autoscaler.green/pool"] for node in nodes(cluster)]
        assert labels in ([], ["other"])
        only = {**GATED, "nodeSelector": {"autoscaler.green/pool": "gpu"}}
        cluster.create_gang_job("picky", pods=1, gpus_per_pod=8, run_seconds=1, pod_spec=only)
        heard = cluster.wait_until(lambda: told(cluster, "picky", "NotTriggerScaleUp"), "it hears why")
        assert any("pool gpu: paused by pools[].paused in the config" in message for message in heard)
        time.sleep(QUIET_SECONDS)
        pools = {node["metadata"]["labels"]["autoscaler.green/pool"] for node in nodes(cluster)}
        assert "gpu" not in pools


def test_a_closed_window_and_a_budget_of_zero_keep_a_node(cluster: ControlPlane) -> None:
    never = "{schedule: {cron: '0 0 29 2 *', duration_seconds: 60.0}}"
    for rule, setting in [
        ("disruption-window", f"guardrails.disruption.windows=[{never}]"),
        ("disruption-budget", "guardrails.disruption.budgets=[{nodes: 0}]"),
    ]:
        with deployed(cluster, live_settings("pools.0.max_nodes=1", setting)) as live:
            submit(cluster, f"job-{rule}")
            cluster.wait_for_job(f"job-{rule}")
            cluster.wait_until(
                lambda rule=rule, live=live: (
                    live.process.metrics.value("green_autoscaler_guardrail_bites_total", rule) or None
                ),
                "the rule bites",
            )
            time.sleep(QUIET_SECONDS)
            assert len(nodes(cluster)) == 1
    with deployed(cluster, live_settings("pools.0.max_nodes=1")):
        cluster.wait_until(lambda: not nodes(cluster) or None, "without the rule it goes")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "live.yaml"
    path.write_text(Path(str(find_config("live/kwok"))).read_text())
    return path


def test_a_config_is_read_again_while_it_runs(cluster: ControlPlane, tmp_path: Path, file: Path) -> None:
    text = file.read_text()
    file.write_text(text.replace("max_nodes: 16", "max_nodes: 1"))
    audit = tmp_path / "audit.jsonl"
    command = Command(
        cluster.kubeconfig,
        tmp_path / "log",
        *QUICK_LEASE,
        arguments=["--config", str(file), "--no-dry-run", "--audit", str(audit)],
    )
    try:
        cluster.wait_until(lambda: command.metric("green_autoscaler_leader") == 1.0 or None, "it leads")
        for index in range(2):
            cluster.create_gang_job(f"job-{index}", pods=1, gpus_per_pod=8, run_seconds=600, pod_spec=GATED)
        cluster.wait_until(
            lambda: [each for each in told(cluster, "job-1", "NotTriggerScaleUp") if "pool at max" in each],
            "it is full",
        )
        file.write_text(text.replace("max_nodes: 16", "max_node: 2"))
        refused = cluster.wait_until(lambda: told(cluster, "green-autoscaler", "ConfigRefused"), "it is refused")
        assert "did you mean 'max_nodes'?" in refused[0]
        assert command.metric('green_autoscaler_config_reloads_total{result="refused"}') == 1.0
        assert command.metric('green_autoscaler_node_group_max_count{pool="gpu"}') == 1.0, "the old one counts"
        file.write_text(text.replace("namespace: kube-system", "namespace: default"))
        cluster.wait_until(
            lambda: [
                each
                for each in told(cluster, "green-autoscaler", "ConfigRefused")
                if "cannot change while it runs: leader_election.namespace" in each
            ],
            "what cannot change is named",
        )
        file.write_text(text.replace("max_nodes: 16", "max_nodes: 2"))
        cluster.wait_until(lambda: len(nodes(cluster)) == 2 or None, "the second node comes")
        assert command.metric('green_autoscaler_config_reloads_total{result="applied"}') == 1.0
        assert command.metric("green_autoscaler_leader") == 1.0
        assert not command.ended
        logged = [line for line in command.log() if line["message"] == "the new config is refused, the old one stays"]
        assert len(logged) == 2
        command.send(signal.SIGTERM)
        assert command.wait() == 0
    finally:
        command.kill()
    headers = [line for line in audit.read_text().splitlines() if '"kind":"header"' in line]
    assert [json.loads(line)["config"]["pools"][0]["max_nodes"] for line in headers] == [1, 2]
    from autoscaler.cli import main

    assert main(["replay", str(audit)]) == 0
