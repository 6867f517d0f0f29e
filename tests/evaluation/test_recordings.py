"""A recording of a simulated run adds up to the run: nodes, GPUs, energy, waits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import autoscaler
import traces
from agents.baselines import ConstantSetpoint
from autoscaler.cli import main
from autoscaler.evaluation.rollouts import Scenario
from autoscaler.evaluation.windows import whole_trace
from autoscaler.recordings.event_file import EventFile
from autoscaler.recordings.event_log import BUSY, IDLE, OFF, WAITS, LogReader
from autoscaler.recordings.setpoints import describe_setpoint
from autoscaler.recordings.simulated import Recorded, record_policies
from autoscaler.recordings.stretch import Stretch
from autoscaler.recordings.waiting import WaitReasons
from envs.gpu_cluster.cluster import ClusterConfig, PoolConfig
from envs.gpu_cluster.config import EnvironmentConfig, PhysicsConfig, QueueConfig
from envs.gpu_cluster.simulator import EVENT_SCHEMA
from envs.gpu_cluster.simulator.log import KINDS
from envs.recording import Recording, RecordingError
from envs.recording.moments import Moments
from tests.envs.gpu_cluster.builders import small_problem

TRACE = "synthetic:quickstart?days=1&seed=0"
CLUSTER = ClusterConfig((PoolConfig("small", 6, gpus_per_node=4), PoolConfig("large", 9, min_nodes=1)))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, dict[str, float]]:
    folder = tmp_path_factory.mktemp("recording") / "r"
    done = autoscaler.simulate("reactive", TRACE, cluster=CLUSTER, record=folder)
    return Recording(folder), dict(done.measures)


def test_its_sums_are_those_of_the_run(recorded: tuple[Recording, dict[str, float]]) -> None:
    recording, measures = recorded
    (track,) = recording.head.tracks
    last = recording.table("samples", track.name).to_pylist()[-1]
    assert last["kwh"] == pytest.approx(measures["energy_kwh.total"])
    assert last["usd"] == pytest.approx(measures["objective_usd"])
    assert last["waited_gpu_hours"] == pytest.approx(measures["metrics.waited_gpu_hours"])
    assert last["mean_wait_seconds"] == pytest.approx(measures["metrics.wait_seconds.mean"])
    assert last["finished"] == measures["metrics.jobs_finished"]
    assert recording.head.end_seconds == pytest.approx(last["time_seconds"])


def test_nodes_hold_the_gpus_that_are_in_use_at_each_moment(recorded: tuple[Recording, dict[str, float]]) -> None:
    recording, measures = recorded
    name = recording.head.tracks[0].name
    nodes = recording.table("nodes")
    assert np.bincount(nodes.column("pool").to_numpy()).tolist() == [6, 9]
    states = Moments(recording.table("node_states", name), "node", nodes.column("node").to_numpy().max() + 1)
    assert set(states.columns["node"].tolist()) <= set(nodes.column("node").to_pylist())
    samples = recording.table("samples", name)
    times = samples.column("time_seconds").to_numpy()
    used = [states.values("used_gpus", time, 0.0).sum() for time in (times[:-1] + times[1:]) / 2.0]
    gpu_hours = float(np.dot(samples.column("used_gpus").to_numpy()[:-1], np.diff(times))) / 3600.0
    assert gpu_hours == pytest.approx(measures["metrics.gpu_hours_done"] + measures["metrics.overhead_gpu_hours"], 1e-4)
    # Nothing happens between most samples, so that means and what nodes hold agree there.
    agree = np.isclose(used, samples.column("used_gpus").to_numpy()[:-1], atol=0.01)
    assert agree.mean() > 0.7
    end = states.values("state", times[-1], OFF)
    assert set(end.tolist()) <= {OFF, IDLE}
    assert (end == IDLE).sum() >= 1


def test_decisions_say_what_they_saw(recorded: tuple[Recording, dict[str, float]]) -> None:
    recording, _ = recorded
    rows = recording.table("decisions", recording.head.tracks[0].name).to_pylist()
    assert all(row["before"] != row["target"] for row in rows[len(CLUSTER.pools) :])
    assert any(row["target"] > row["before"] and "jobs wait" in row["reason"] for row in rows)


def test_a_stretch_is_what_the_whole_recording_has_there(
    recorded: tuple[Recording, dict[str, float]], tmp_path: Path
) -> None:
    start, end = 30_000.0, 60_000.0
    autoscaler.simulate("reactive", TRACE, cluster=CLUSTER, record=tmp_path / "r", stretch=Stretch(start, end))
    part, whole = Recording(tmp_path / "r"), recorded[0]
    assert (part.head.start_seconds, part.head.end_seconds) == (start, end)
    name = part.head.tracks[0].name
    samples, others = part.table("samples", name), whole.table("samples", name)
    times = samples.column("time_seconds").to_numpy()
    assert (times[0], times[-1]) == (start, end)

    def between(column: str, moment: float) -> float:
        return float(np.interp(moment, others.column("time_seconds").to_numpy(), others.column(column).to_numpy()))

    for column in ("kwh", "usd", "waited_gpu_hours"):
        sums = samples.column(column).to_numpy()
        assert sums[0] == 0.0
        assert sums[-1] == pytest.approx(between(column, end) - between(column, start), rel=1e-3)
    jobs = whole.table("jobs", name).to_pylist()
    ended = {row["job"] for row in jobs if row["event"] == 2 and start < row["time_seconds"] <= end}
    assert samples.column("finished").to_pylist()[-1] == len(ended) > 0
    for table, subject in (("node_states", "node"), ("jobs", "job")):
        here, there = (Moments(each.table(table, name), subject, 5000) for each in (part, whole))
        for moment in np.linspace(start, end, 25):
            if table == "node_states":
                assert np.array_equal(here.values("state", moment, OFF), there.values("state", moment, OFF))
                assert np.array_equal(here.values("used_gpus", moment, 0), there.values("used_gpus", moment, 0))
            else:
                events = there.values("event", moment, 2)
                known = here.values("event", moment, 2)
                assert np.array_equal(known[events != 2], events[events != 2])  # jobs that have ended may be unknown
    last = part.table("decisions", name).to_pylist()[0]
    assert last["time_seconds"] <= start  # the target that holds then


def test_evaluate_records_a_stretch_of_its_first_window(tmp_path: Path) -> None:
    words = ["evaluate", "--trace", TRACE, "--baselines", "reactive,always-on", "--windows", "1", "--quiet"]
    folder = tmp_path / "both"
    assert main([*words, "--record", str(folder), "--record-until", "80000"]) == 0
    head = Recording(folder).head
    assert head.end_seconds == 80_000.0
    assert head.start_seconds == pytest.approx(0.6 * 86_400, rel=0.1)
    assert len(head.tracks) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--record-from", "1"], "--record-from is for recordings; give --record FOLDER too"),
        (
            ["--record", "NEW", "--record-from", "900", "--record-until", "800"],
            "--record-until is 800, but --record-from",
        ),
        (["--record", "NEW", "--record-from", "9e9"], "--record-from is 9e+09, but the run ends at"),
        (["--record", "NEW", "--record-until", "nan"], "--record-until is nan; give a number of seconds"),
    ],
)
def test_a_stretch_without_meaning_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tmp_path / "r") if word == "NEW" else word for word in words]
    assert main(["simulate", "--trace", TRACE, "--quiet", *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert not (tmp_path / "r").exists()


def test_a_job_that_waits_says_what_it_waits_for_until_it_starts(
    recorded: tuple[Recording, dict[str, float]],
) -> None:
    recording, name = recorded[0], recorded[0].head.tracks[0].name
    nodes, reasons = recording.table("nodes"), recording.table("reasons", name).to_pylist()
    size = np.where(nodes.column("pool").to_numpy() == 0, 4, 8)
    number = nodes.column("node").to_numpy()
    states = Moments(recording.table("node_states", name), "node", number.max() + 1)
    requests = {row["job"]: row["gpus"] for row in recording.table("jobs", name).to_pylist() if row["event"] == 0}
    pools = [row for row in reasons if row["subject"] == "pool"]
    assert {row["text"] for row in pools} == {"The policy lets idle nodes go after 10 min."}
    assert [row["id"] for row in pools] == [0, 1]
    reasons, told = [row for row in reasons if row["subject"] == "job"], 0
    for row in reasons:
        if "no node has" not in row["text"]:
            continue
        state, used = (states.values(column, row["time_seconds"], 0)[number] for column in ("state", "used_gpus"))
        takes = (state == IDLE) | (state == BUSY)
        assert (size - used)[takes].max(initial=0.0) < max(requests[row["id"]], 1.0)
        told += 1
    assert told > 20
    last = {row["id"]: row["text"] for row in reasons}
    assert set(last.values()) == {""}  # all of them started


CROWDED = (
    (0, "node_ready", None, 0, 0), (0, "job_start", 0, 0, 8000), (1000, "decision", None, None, 1),
    (2000, "node_order", None, 1, 0), (2000, "decision", None, None, 2), (3000, "node_ready", None, 1, 0),
    (3000, "decision", None, None, 2), (4000, "job_start", 1, 1, 8000), (4000, "decision", None, None, 2),
    (5000, "decision", None, None, 2),
)  # fmt: skip


@pytest.mark.parametrize(
    ("queue", "texts"),
    [
        (
            QueueConfig(),
            [
                (1.0, "no node has 8 free GPUs, and none boots"),
                (2.0, "no node has 8 free GPUs; nodes boot"),
                (3.0, "there are free GPUs for it: the policy holds it"),
                (4.0, ""),
            ],
        ),
        (
            QueueConfig(default_quota_gpus=10.0),
            [(1.0, "its owner uses 8 of the 10 GPUs of its quota"), (4.0, "")],
        ),
    ],
)
def test_why_a_job_waits_follows_the_nodes_and_the_quota(queue: QueueConfig, texts: list[tuple[float, str]]) -> None:
    jobs = [(0.0, 9.0, 8.0), (0.5, 9.0, 8.0), (4.0, 9.0, 1.0)]
    problem = small_problem(jobs, pools=[PoolConfig("gpu", 2)], physics=PhysicsConfig(queue=queue))
    reader = LogReader(np.array([[0.0, 0, 8.0], [0.5, 1, 8.0], [4.0, 2, 1.0]]), WaitReasons(problem))
    rows = reader.read(log_of(*CROWDED)).reasons
    assert [(time, text) for time, _, job, rule, text in rows if (job, rule) == (1, WAITS)] == texts
    if not queue.default_quota_gpus:
        assert [(time, text) for time, _, job, _, text in rows if job == 2] == [
            (4.0, "no node has a free GPU, and no more can be ordered")
        ]


@pytest.mark.parametrize(
    ("setpoint", "reserve", "text"),
    [
        ((0.0, 0.0), 0, "The policy lets idle nodes go at once."),
        ((300.0, 0.15), 0, "The policy lets idle nodes go after 5 min, and keeps 15 % more nodes than it needs."),
        ((7200.0, 0.0), 0, "The policy lets idle nodes go after 2 h."),
        ((7200.0, 0.0), 2, "The policy lets idle nodes go after 2 h, and keeps 2 idle nodes."),
        (
            (0.0, 0.15),
            3,
            "The policy lets idle nodes go at once, and keeps 15 % more nodes than it needs and at least 4 idle nodes.",
        ),
        ((0.0, 0.0), 1, "The policy lets idle nodes go at once, and keeps 1 idle node."),
        ((14400.0, -1.0), 3, "The policy keeps all nodes of the pool on."),
    ],
)
def test_a_setpoint_is_said_in_words(setpoint: tuple[float, float], reserve: int, text: str) -> None:
    assert describe_setpoint(EnvironmentConfig().codec.setpoint(*setpoint), reserve) == text


class Pausing:
    """A rule that stops at its 200th decision until it is told to go on."""

    def __init__(self, policy: Any) -> None:
        self.policy, self.decisions = policy, 0
        self.stopped, self.may_go = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def act(self, observations: Any, action_masks: Any) -> Any:
        self.decisions += 1
        if self.decisions == 200:
            self.stopped.set()
            assert self.may_go.wait(60.0)
        return self.policy.act(observations, action_masks)


def test_policies_are_recorded_side_by_side_and_can_be_watched_meanwhile(tmp_path: Path) -> None:
    trace, config = traces.load(TRACE), EnvironmentConfig()
    scenario = Scenario(trace, CLUSTER, config)
    slow = Pausing(ConstantSetpoint(config.codec, 600.0, 0.0))
    policies = [Recorded("slow", slow), Recorded("quick", ConstantSetpoint(config.codec, 60.0, 0.0), True)]  # type: ignore[arg-type]
    arguments = (tmp_path / "r", scenario, whole_trace(trace), policies, "both")
    writing = threading.Thread(target=record_policies, args=arguments)
    writing.start()
    assert slow.stopped.wait(300.0)
    recording = Recording(tmp_path / "r")
    assert not recording.head.finished
    early = {track.title: recording.table("samples", track.name).num_rows for track in recording.head.tracks}
    assert min(early.values()) > 0
    slow.may_go.set()
    writing.join(60.0)
    recording = Recording(tmp_path / "r")
    assert recording.head.finished
    for track in recording.head.tracks:
        times = recording.table("samples", track.name).column("time_seconds").to_numpy()
        assert len(times) > early[track.title]
        assert (np.diff(times) > 0.0).all()


def log_of(*rows: tuple[int, str, int | None, int | None, int]) -> pa.Table:
    columns = zip(*((time, event, 0, job, node, value) for time, event, job, node, value in rows), strict=True)
    arrays = [pa.array(list(column), item.type) for column, item in zip(columns, EVENT_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=EVENT_SCHEMA)


def test_an_event_log_is_shown_as_the_recording_of_the_same_run(
    recorded: tuple[Recording, dict[str, float]], tmp_path: Path
) -> None:
    recording = recorded[0]
    autoscaler.simulate("reactive", TRACE, cluster=CLUSTER, events=tmp_path / "events.parquet")
    feed = EventFile(tmp_path / "events.parquet")
    found = {batch.table: pa.Table.from_batches([batch.rows]) for batch in feed.news()}
    assert list(feed.news()) == []
    assert feed.head.pools == recording.head.pools
    name = recording.head.tracks[0].name
    assert found["nodes"].equals(recording.table("nodes"))
    states = recording.table("node_states", name)
    assert found["node_states"].slice(found["node_states"].num_rows - 800).equals(states.slice(states.num_rows - 800))
    jobs = [row for row in recording.table("jobs", name).to_pylist() if row["event"] != 0]  # it has no submissions
    assert found["jobs"].to_pylist() == jobs
    reasons = found["decisions"].column("reason").to_pylist()
    assert all(reason.endswith("nodes that are on are busy") for reason in reasons)


def test_a_file_that_is_no_event_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    path.write_text("text")
    with pytest.raises(RecordingError, match="is no Parquet file"):
        EventFile(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(RecordingError, match="is no event log of this version"):
        EventFile(path)


def test_a_node_that_is_emptied_gives_up_each_of_its_parts() -> None:
    log = log_of(
        (0, "node_ready", None, 0, 0), (0, "node_ready", None, 1, 0), (0, "node_ready", None, 2, 0),
        (0, "job_start", 5, 0, 2000), (0, "job_start", 5, 1, 2000), (0, "job_start", 6, 1, 1000),
        (0, "job_start", 7, 2, 1000),
        (1000, "job_move", 7, 0, 1000), (2000, "job_end", 6, 1, 1000), (3000, "job_preempt", 5, 0, 2000),
        (3000, "job_preempt", 5, 1, 2000),
    )  # fmt: skip
    rows = LogReader(np.array([[0.0, 5, 4.0]])).read(log)
    latest = {node: (state, used) for _, node, state, used in rows.node_states}
    assert latest == {0: (BUSY, 1.0), 1: (IDLE, 0.0), 2: (IDLE, 0.0)}
    assert [(job, event, node) for _, job, event, node, _ in rows.jobs][-5:] == [
        (7, 2, 2), (7, 1, 0), (6, 2, 1), (5, 3, 0), (5, 3, 1),
    ]  # fmt: skip


def test_a_suspended_job_leaves_its_nodes_and_waits_only_once_it_may_go_on() -> None:
    log = log_of(
        (0, "node_ready", None, 0, 0), (0, "node_ready", None, 1, 0),
        (0, "job_start", 5, 0, 2000), (0, "job_start", 5, 1, 1000),
        (1000, "job_suspend", 5, 0, 2000), (1000, "job_suspend", 5, 1, 1000), (2000, "decision", None, None, 1),
        (3000, "job_resume", 5, None, 0), (4000, "decision", None, None, 2), (5000, "job_start", 5, 0, 3000),
    )  # fmt: skip
    rows = LogReader(np.array([[0.0, 5, 3.0]])).read(log)
    assert {node: (state, used) for _, node, state, used in rows.node_states} == {0: (BUSY, 3.0), 1: (IDLE, 0.0)}
    assert [(time, event, node) for time, _, event, node, _ in rows.jobs][-3:] == [
        (1.0, 4, 0),
        (1.0, 4, 1),
        (5.0, 1, 0),
    ]
    assert [reason.partition("; ")[2] for *_, reason in rows.decisions] == [
        "no job waits", "1 job waits for 3 GPUs",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_of_a_log_is_read(kind: str) -> None:
    log = log_of((0, "node_ready", None, 0, 0), (0, "job_start", 5, 0, 1000), (1000, kind, 5, 0, 1000))
    rows = LogReader(np.array([[0.0, 5, 1.0]])).read(log)
    assert len(rows.jobs) >= 2


def test_evaluate_records_every_policy_on_one_clock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "both"
    words = ["evaluate", "--trace", TRACE, "--baselines", "reactive,always-on", "--windows", "2", "--quiet"]
    assert main([*words, "--record", str(folder)]) == 0
    recording = Recording(folder)
    assert [track.title for track in recording.head.tracks] == ["reactive", "always-on"]
    kwh = [recording.table("samples", track.name).column("kwh").to_pylist()[-1] for track in recording.head.tracks]
    assert kwh[0] < kwh[1]
    capsys.readouterr()
    assert main([*words, "--record", str(folder)]) == 2
    assert "is not empty" in capsys.readouterr().err
