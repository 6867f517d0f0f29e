"""A recording of functions adds up to what the simulator did: containers by state, nodes, and sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autoscaler.recordings.functions import record_functions
from envs.containers import state as st
from envs.recording import Recording, RecordingError
from envs.recording.moments import Moments
from envs.serverless.arguments import problem_from_arguments
from envs.serverless.problem import ServerlessProblem
from envs.serverless.simulator import ServerlessSimulator
from envs.serverless.training import ConstantAction

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def problem() -> ServerlessProblem:
    return problem_from_arguments("synthetic-functions:mixed?functions=8&hours=3&seed=1", None)


@pytest.fixture(scope="module")
def recording(problem: ServerlessProblem, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("functions") / "r"
    policies = {"hazard": ConstantAction(), "an hour": ConstantAction(7)}
    record_functions(folder, problem, policies, (0, 3 * HOUR_MS), "a pool")
    return Recording(folder)


def test_it_ends_as_the_simulator_does(problem: ServerlessProblem, recording: Recording) -> None:
    simulator, actor = ServerlessSimulator(problem, 1, threads=1), ConstantAction()
    simulator.begin(0, 0, 3 * HOUR_MS)
    while not simulator.done[0]:
        simulator.step(actor.act(simulator.observations, None))
    name = recording.head.tracks[0].name
    last = recording.table("samples", name).to_pylist()[-1]
    assert last["kwh"] == pytest.approx(float(simulator.results().energy_kwh.sum()))
    assert last["finished"] == simulator.results().total("finished")
    assert last["slo_missed"] == simulator.results().total("late")
    container = simulator.world.container[0]
    wanted = np.bincount(container[container[:, st.STATE] != st.ABSENT, st.KEY], minlength=8)
    rows = Moments(recording.table("containers", name), "container")
    end = float(simulator.time_seconds[0])
    alive = rows.values("state", end, 0) > 0
    assert np.bincount(rows.values("service", end, 0)[alive].astype(np.int64), minlength=8).tolist() == wanted.tolist()
    assert alive.any()


def test_policies_share_a_clock_and_the_first_is_the_reference(recording: Recording) -> None:
    assert [(track.title, track.reference) for track in recording.head.tracks] == [("hazard", True), ("an hour", False)]
    assert recording.head.end_seconds == 3 * 3600.0
    assert len(recording.head.services) == 8
    counts = []
    for track in recording.head.tracks:
        rows = Moments(recording.table("containers", track.name), "container")
        counts.append(sum(int((rows.values("state", time, 0) == 3).sum()) for time in np.linspace(600.0, 10_000.0, 20)))
    assert counts[1] > counts[0]  # who keeps them an hour has more that are warm


def test_busy_nodes_hold_containers(recording: Recording) -> None:
    name = recording.head.tracks[1].name
    nodes = Moments(recording.table("node_states", name), "node", recording.table("nodes").num_rows)
    rows = Moments(recording.table("containers", name), "container")
    for time in (3600.0, 7200.0):
        places = rows.values("site", time, -1)[rows.values("state", time, 0) > 0].astype(np.int64)
        assert set(np.flatnonzero(nodes.values("state", time, 0) == 3).tolist()) == set(places.tolist())
        assert (nodes.values("used_gpus", time, 0.0)[places] > 0.0).all()


def test_a_folder_that_is_not_empty_is_refused(problem: ServerlessProblem, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(RecordingError, match="is not empty"):
        record_functions(tmp_path, problem, {"hazard": ConstantAction()}, (0, HOUR_MS), "")
