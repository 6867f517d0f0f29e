"""An audit, from a file or from an autoscaler that runs, is shown as a recording: nodes, jobs, decisions and why."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autoscaler.dashboard.errors import DashboardError
from autoscaler.dashboard.live import AuditSource, LiveSource
from autoscaler.dashboard.sources import Feed
from autoscaler.live.config import HttpSettings, LeaderElection, LivePool
from autoscaler.live.policy.decide import make_decider
from autoscaler.live.process import Options, Process
from autoscaler.live.telemetry.audit import AuditWriter, Header
from autoscaler.live.telemetry.metrics import Metrics
from autoscaler.live.telemetry.server import Health, HealthServer
from autoscaler.live.telemetry.stream import RecordRing
from autoscaler.live.view.store import Resource
from envs.gpu_cluster.codec import fingerprint
from tests.live import raw
from tests.live.providers.test_registry import Cluster
from tests.live.test_loop import Rig


class Deployed:
    """A loop whose audit goes to a file, to a ring, or to both."""

    def __init__(self, path: Path | None, ring: RecordRing | None = None) -> None:
        self.rig = Rig(pools=(LivePool("gpu", 4, min_nodes=1),))
        config = self.rig.config
        header = Header(config.codec, fingerprint(config.codec), "reactive", False, config)
        self.audit = AuditWriter(path, header, ring=ring)
        self.rig.loop._audit = self.audit

    def reconcile(self, nodes: list[Any], pods: list[Any]) -> None:
        self.rig.store.replace(Resource.NODES, nodes)
        self.rig.store.replace(Resource.PODS, pods)
        self.rig.loop.reconcile()
        self.rig.clock.seconds += 60.0


def play(deployed: Deployed) -> None:
    """A job waits, then runs on a node, then both are gone."""
    deployed.reconcile([raw.node("n")], [raw.pod("busy", node_name="n"), raw.pod("a")])
    deployed.reconcile([raw.node("n"), raw.node("m")], [raw.pod("busy", node_name="n"), raw.pod("a", node_name="m")])
    deployed.reconcile([raw.node("n")], [raw.pod("busy", node_name="n")])


def tables(feed: Feed) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for batch in feed.news():
        found.setdefault(batch.table, []).extend(batch.rows.to_pylist())
    return found


def check_story(found: dict[str, list[dict[str, Any]]]) -> None:
    names = {row["node"]: row["name"] for row in found["nodes"]}
    jobs = {row["job"]: row["name"] for row in found["job_names"]}
    assert set(names.values()) == {"n", "m"}
    start = found["samples"][0]["time_seconds"]
    states = [(row["time_seconds"] - start, names[row["node"]], row["state"]) for row in found["node_states"]]
    assert states == [(0.0, "n", 3), (60.0, "m", 3), (120.0, "m", 6)]
    events = [
        (row["time_seconds"] - start, jobs[row["job"]].partition("/")[2], row["event"], names.get(row["node"]))
        for row in found["jobs"]
    ]
    assert events == [(0.0, "a", 0, None), (0.0, "busy", 1, "n"), (60.0, "a", 1, "m"), (120.0, "a", 2, "m")]
    assert [row["waiting"] for row in found["samples"]] == [1, 0, 0]
    assert found["samples"][1]["kwh"] > 0.0
    assert found["samples"][1]["watts"] > 0.0
    assert [row["waited_gpu_hours"] > 0.0 for row in found["samples"]] == [False, True, True]
    assert found["decisions"][0]["reason"].startswith("reactive aims at 2; 1 ordered")


def test_an_audit_file_is_shown_and_followed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    deployed = Deployed(path)
    play(deployed)
    feed = AuditSource("a", "a", path).open()
    check_story(tables(feed))
    assert feed.head.pools[0]["min_nodes"] == 1
    assert feed.head.tracks[0].title == "reactive"
    assert tables(feed) == {}
    deployed.reconcile([raw.node("n")], [])
    with path.open("ab") as file:
        file.write(b'{"kind": "hel')
    later = tables(feed)
    assert [row["state"] for row in later["node_states"]] == [2]
    assert [row["event"] for row in later["jobs"]] == [2]
    deployed.audit.close()


def test_reasons_are_of_the_node_and_end_when_they_hold_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    deployed = Deployed(path)
    deployed.reconcile([raw.node("n"), raw.node("m")], [raw.pod("late")])
    deployed.reconcile([raw.node("n"), raw.node("m")], [])
    deployed.audit.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    verdicts = [line for line in lines if line["kind"] == "verdicts"]
    kept = {"rule": "min-nodes", "kind": "node", "subject": "n", "requested": -1, "allowed": 0, "reason": "it is kept"}
    verdicts[0]["verdicts"], verdicts[1]["verdicts"] = [kept], []
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = tables(AuditSource("a", "a", path).open())
    number = next(row["node"] for row in found["nodes"] if row["name"] == "n")
    reasons = [(row["subject"], row["id"], row["rule"], row["text"]) for row in found["reasons"]]
    assert [row for row in reasons if row[0] == "node"] == [
        ("node", number, "min-nodes", "it is kept"),
        ("node", number, "min-nodes", ""),
    ]
    assert [row for row in reasons if row[0] == "pool"] == [
        ("pool", 0, "setpoint", "The policy lets idle nodes go after 10 min."),
    ]


def test_a_job_that_waits_says_what_the_policy_and_the_guardrails_did(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    deployed = Deployed(path)
    busy, nodes = raw.pod("busy", node_name="n"), [raw.node("n")]
    deployed.reconcile(nodes, [busy, raw.pod("a"), raw.pod("other", spec={"nodeSelector": {"zone": "moon"}})])
    deployed.reconcile(nodes, [busy, raw.pod("a")])
    deployed.reconcile(nodes, [busy])
    deployed.audit.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    [line for line in lines if line["kind"] == "decision"][1]["placement"] = [-1] * 8
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = tables(AuditSource("a", "a", path).open())
    names = {row["job"]: row["name"].partition("/")[2] for row in found["job_names"]}
    reasons = [(names[row["id"]], row["rule"], row["text"]) for row in found["reasons"] if row["subject"] == "job"]
    assert ("a", "waits", "sent to pool gpu") in reasons
    assert [text for name, rule, text in reasons if (name, rule) == ("a", "waits")][1:] == [
        "held back by the policy", "",
    ]  # fmt: skip
    assert any(rule != "waits" and text for name, rule, text in reasons if name == "a")
    assert [text for name, _, text in reasons if name == "other"] == ["fits in no pool", ""]


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("\n[]\n")
    with pytest.raises(DashboardError, match=r"audit\.jsonl:2: is no record of an audit"):
        tables(AuditSource("a", "a", path).open())


def test_an_autoscaler_that_runs_is_followed_through_its_end(served: tuple[RecordRing, HealthServer]) -> None:
    ring, server = served
    deployed = Deployed(None, ring)
    play(deployed)
    feed = LiveSource(f"http://127.0.0.1:{server.port}").open()
    check_story(tables(feed))
    assert tables(feed) == {}
    deployed.reconcile([raw.node("n")], [])
    assert [row["event"] for row in tables(feed)["jobs"]] == [2]
    server.close()
    assert tables(feed) == {}
    assert "cannot be read" in feed.head.title


def test_an_autoscaler_without_a_stream_says_how_to_switch_it_on() -> None:
    server = HealthServer("127.0.0.1", 0, Health(600.0), Metrics())
    with pytest.raises(DashboardError, match=r"http\.stream: true"):
        LiveSource(f"http://127.0.0.1:{server.port}").open()
    server.close()
    with pytest.raises(DashboardError, match="cannot be read"):
        LiveSource(f"http://127.0.0.1:{server.port}").open()
    with pytest.raises(DashboardError, match="is no URL"):
        LiveSource("localhost:8085")


def test_records_that_are_gone_are_said_to_be_missing() -> None:
    ring = RecordRing(most_bytes=40)
    ring.add(b'{"kind":"header"}\n', True)
    about = json.loads(ring.answer("").splitlines()[0])
    place = f"process={about['process']}&next={about['next']}"
    assert ring.answer(place).splitlines()[1:] == []
    ring.add(b'{"n":1}\n', False)
    assert ring.answer(place).splitlines()[1:] == ['{"n":1}']
    for number in range(2, 9):
        ring.add(b'{"n":%d}\n' % number, False)
    first, *rest = ring.answer(place).splitlines()
    assert json.loads(first)["whole"] is False
    assert rest[0] == '{"kind":"header"}'
    assert rest[-1] == '{"n":8}'
    assert len(rest) < 8
    assert json.loads(ring.answer("process=other&next=3").splitlines()[0])["whole"] is False


@contextmanager
def running(cluster: Cluster, port: int) -> Iterator[None]:
    """A whole process of `autoscaler deploy` on a cluster that is made up."""
    pools = (LivePool("gpu", max_nodes=4, min_nodes=1),)
    lead, http = LeaderElection(enabled=False), HttpSettings(port=port, stream=True)
    config = raw.config(*pools, leader_election=lead, http=http)
    process = Process(config, cluster, make_decider("reactive", config.codec), Options("reactive"))
    thread = threading.Thread(target=process.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        process.stop()
        cluster.ended.set()
        thread.join(30.0)
        cluster.ended.clear()


def rows_until(feed: Feed, table: str, count: int) -> list[dict[str, Any]]:
    """What comes to a table, once so many rows of it have."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 60.0
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} rows of {table}"
        found += tables(feed).get(table, [])
        time.sleep(0.05)
    return found


def test_a_whole_process_is_followed_through_its_restart() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    cluster = Cluster()
    cluster.put("/api/v1/nodes/n", raw.node("n"))
    cluster.put("/api/v1/namespaces/default/pods/a", raw.pod("a"))
    source = LiveSource(f"http://127.0.0.1:{port}")
    with running(cluster, port):
        feed = open_when_there(source)
        assert [row["name"] for row in rows_until(feed, "job_names", 1)] == ["default/a"]
        title = feed.head.title
    assert tables(feed) == {}
    assert "cannot be read" in feed.head.title
    cluster.put("/api/v1/namespaces/default/pods/b", raw.pod("b"))
    with running(cluster, port):
        # Those that were known keep their numbers.
        assert [(row["job"], row["name"]) for row in rows_until(feed, "job_names", 1)] == [(1, "default/b")]
        assert feed.head.title == title


def open_when_there(source: LiveSource) -> Feed:
    deadline = time.monotonic() + 60.0
    while True:
        try:
            return source.open()
        except DashboardError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
