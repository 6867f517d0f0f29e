"""A recording is read as it was written, also while it grows; what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from envs.recording import Head, Recording, RecordingError, RecordingWriter, Track, read_head

HEAD = Head("cluster", "a test", (Track("reactive", reference=True), Track("learned")), start_time="2017-10-02T00:00")


def states(*times: float) -> dict[str, object]:
    count = len(times)
    return {"time_seconds": times, "node": range(count), "state": [3] * count, "used_gpus": [0.5] * count}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", HEAD) as writer:
        writer.add("nodes", {"node": [0, 1], "pool": [0, 0], "name": ["a", "ü"]})
        writer.add("node_states", states(0.0, 1.5), track="learned")
        writer.add("node_states", states(1.5, 7.001), track="learned")
    recording = Recording(tmp_path / "r")
    assert recording.head.finished
    assert recording.head.tracks == HEAD.tracks
    assert recording.table("nodes").column("name").to_pylist() == ["a", "ü"]
    assert recording.table("node_states", "learned").column("time_seconds").to_pylist() == [0.0, 1.5, 1.5, 7.001]
    assert recording.table("node_states", "reactive").num_rows == 0


def test_a_recording_that_grows_is_followed(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r", HEAD)
    reader = Recording(tmp_path / "r")
    assert list(reader.news()) == []
    writer.add("node_states", states(0.0), track="learned")
    assert list(reader.news()) == []
    writer.flush()
    assert [(batch.track, batch.table, batch.rows.num_rows) for batch in reader.news()] == [
        ("learned", "node_states", 1)
    ]
    writer.add("node_states", states(2.0, 3.0), track="learned")
    writer.flush()
    assert [batch.rows.num_rows for batch in reader.news()] == [2]
    writer.close(end_seconds=3.0)
    assert list(reader.news()) == []
    assert reader.head.end_seconds == 3.0


@pytest.mark.parametrize("kept", [0, 5, 40, -20])
def test_a_cut_file_is_damaged_unless_it_is_still_written(tmp_path: Path, kept: int) -> None:
    writer = RecordingWriter(tmp_path / "r", HEAD)
    writer.add("node_states", states(*np.arange(1000.0)), track="learned")
    writer.flush()
    path = tmp_path / "r" / "learned" / "node_states.arrows"
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    assert list(Recording(tmp_path / "r").news()) == []
    path.write_bytes(whole)
    writer.close()
    path.write_bytes(whole[:kept])
    with pytest.raises(RecordingError, match="damaged"):
        list(Recording(tmp_path / "r").news())


@pytest.mark.parametrize(
    ("table", "columns", "track", "message"),
    [
        ("node_state", states(0.0), "learned", "did you mean 'node_states'"),
        ("node_states", states(0.0), "lerned", "no track 'lerned'"),
        ("node_states", states(1.0, 0.0), "learned", "times fall"),
        ("node_states", {**states(0.0), "gpus": [1]}, "learned", "no column 'gpus'"),
        ("node_states", {"time_seconds": [0.0]}, "learned", "needs the column 'node'"),
        ("node_states", {**states(0.0), "node": [1, 2]}, "learned", r"\[1, 2\] rows"),
        ("node_states", {**states(0.0), "node": ["x"]}, "learned", "column node: is no int32"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    tmp_path: Path, table: str, columns: dict[str, object], track: str, message: str
) -> None:
    with RecordingWriter(tmp_path / "r", HEAD) as writer, pytest.raises(RecordingError, match=message):
        writer.add(table, columns, track)


def test_time_falls_between_two_calls_neither(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", HEAD) as writer:
        writer.add("node_states", states(5.0), track="learned")
        with pytest.raises(RecordingError, match="time falls from 5 to 4 s"):
            writer.add("node_states", states(4.0), track="learned")


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(RecordingError, match="not empty"):
        RecordingWriter(tmp_path, HEAD)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"tracks": [], "kind": "town", "title": ""}', "kind of the recording is 'town'"),
        ('{"tracks": [], "kind": "city", "title": "", "schema": "autoscaler.recording/9"}', "this version reads"),
        ('{"tracks": [{"name": "../x"}], "kind": "city", "title": ""}', "no name of a track"),
    ],
)
def test_a_damaged_head_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recording.json").write_text(text)
    with pytest.raises(RecordingError, match=message):
        read_head(tmp_path)


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"recording\.json: cannot be read"):
        Recording(tmp_path)
