"""The server streams recordings to those who may ask, and to nobody else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from autoscaler.cli import main
from autoscaler.dashboard import serve
from autoscaler.dashboard.catalog import Catalog, demo_folder
from autoscaler.dashboard.errors import DashboardError
from autoscaler.dashboard.server import Address, DashboardServer
from autoscaler.progress import Reporter
from tests.dashboard.conftest import write_cluster

TOKEN = "0123456789abcdef"
Start = Callable[..., DashboardServer]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<title>page</title>")
    return folder


def ask(
    server: DashboardServer, path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, str, dict[str, str]]:
    class Stays(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers, method=method)
    try:
        with urllib.request.build_opener(Stays).open(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


def read(server: DashboardServer, source: str, **more: Any) -> tuple[list[dict[str, Any]], dict[tuple[str, str], int]]:
    """The messages of a stream up to its end, and the rows of each table."""
    messages, rows = [], {}
    with connect(f"ws://127.0.0.1:{server.port}/api/stream?source={source}", **more) as socket:
        for message in socket:
            if isinstance(message, bytes):
                header = decode(message)
                key = header["track"], header["table"]
                rows[key] = rows.get(key, 0) + header["rows"]
                continue
            messages.append(json.loads(message))
            if messages[-1]["kind"] in ("end", "problem"):
                break
    return messages, rows


def decode(frame: bytes) -> dict[str, Any]:
    length = int.from_bytes(frame[:4], "little")
    assert (4 + length) % 8 == 0
    header = json.loads(frame[4 : 4 + length])
    kinds = {"f64": np.float64, "f32": np.float32, "i32": np.int32, "u8": np.uint8, "text": np.int32}
    for column in header["columns"]:
        values = np.frombuffer(frame, kinds[column["type"]], header["rows"], 4 + length + column["offset"])
        column["values"] = [column["strings"][at] for at in values] if "strings" in column else values.tolist()
    return header


def test_a_recording_is_streamed_whole_and_as_it_is(start: Start, page: Path, cluster_recording: Path) -> None:
    server = start(page, [cluster_recording])
    assert json.loads(ask(server, "/api/sources")[1]) == [{"name": "cluster", "title": "cluster", "keep_seconds": None}]
    messages, rows = read(server, "cluster")
    assert [message["kind"] for message in messages] == ["head", "end"]
    assert messages[0]["head"]["pools"][0]["gpus_per_node"] == 8
    assert rows["", "nodes"] == 4
    assert rows["learned", "samples"] == rows["reactive", "samples"] == 61
    with connect(f"ws://127.0.0.1:{server.port}/api/stream?source=cluster") as socket:
        assert json.loads(socket.recv())["kind"] == "head"
        shared = {header["table"]: header for header in (decode(socket.recv()) for _ in range(2))}
    columns = {column["name"]: column["values"] for column in shared["nodes"]["columns"]}
    assert columns == {"node": [0, 1, 2, 3], "pool": [0] * 4, "name": ["gpu-0", "gpu-1", "gpu-2", "gpu-3"]}


def test_what_is_there_is_found_whenever_it_is_asked_for(
    start: Start, page: Path, cluster_recording: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    run = runs / "cluster"
    run.mkdir(parents=True)
    server = start(page, [runs, cluster_recording])

    def names() -> list[str]:
        return [source["name"] for source in json.loads(ask(server, "/api/sources")[1])]

    assert names() == ["cluster"]
    (run / "config.yaml").touch()
    assert names() == ["cluster~2", "cluster"]  # a name that something has stays with it
    write_cluster(run / "recording")
    write_cluster(run / "noon")
    assert names() == ["cluster-noon", "cluster-recording", "cluster~2", "cluster"]
    assert read(server, "cluster-noon")[0][-1]["kind"] == "end"
    shutil.rmtree(run)
    assert names() == ["cluster"]
    assert "no such source" in read(server, "cluster-noon")[0][-1]["text"]


def test_a_viewer_hears_what_is_there_now_and_when_that_changes(
    start: Start, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autoscaler.dashboard.server.LIST_SECONDS", 0.05)
    server = start(page, [tmp_path])
    with connect(f"ws://127.0.0.1:{server.port}/api/sources") as socket:
        assert json.loads(socket.recv(10)) == []
        write_cluster(tmp_path / "noon")
        assert [source["name"] for source in json.loads(socket.recv(10))] == ["noon"]
        with pytest.raises(TimeoutError):
            socket.recv(0.5)  # nothing is said twice
        shutil.rmtree(tmp_path / "noon")
        assert json.loads(socket.recv(10)) == []


def test_a_folder_without_anything_is_said(tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Notes(Reporter):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def note(self, text: str) -> None:
            self.lines.append(text)

    notes = Notes()
    monkeypatch.setattr(serve, "find_page", lambda _: page)
    server = serve.prepare([str(tmp_path / "page")], progress=notes)
    server.stop()
    server.run()  # it closes what it listens on
    assert notes.lines == [f"{tmp_path / 'page'}: has no recording and no run yet; the page shows what appears there"]


def test_what_is_written_later_comes_later(start: Start, page: Path, tmp_path: Path) -> None:
    writer = write_cluster(tmp_path / "growing", finished=False)
    server = start(page, [tmp_path / "growing"])
    with connect(f"ws://127.0.0.1:{server.port}/api/stream?source=growing") as socket:
        while json.loads(message if isinstance(message := socket.recv(10), str) else "{}").get("kind") != "caught-up":
            pass
        writer.add("decisions", {"time_seconds": [5000.0], "pool": [0], "before": [3], "target": [4], "reason": ["x"]},
                   "learned")  # fmt: skip
        writer.close(end_seconds=5000.0)
        found = []
        while not isinstance(message := socket.recv(10), bytes):
            found.append(json.loads(message)["kind"])
        assert decode(message)["columns"][0]["values"] == [5000.0]
        assert json.loads(socket.recv(10))["kind"] == "end"
    assert "head" in found


def test_the_demo_has_a_city_and_a_cluster_that_are_whole() -> None:
    heads = {}
    for source in Catalog([demo_folder()]).sources():
        feed = source.open()
        batches = list(feed.news())
        assert {"samples", "signals"} <= {batch.table for batch in batches}
        assert ("reasons" in {batch.table for batch in batches}) == (feed.head.kind == "cluster")
        power = [batch.rows.column("watts").to_numpy() for batch in batches if batch.table == "samples"]
        assert min(watts[-1] for watts in power) > 0.0
        assert feed.head.finished
        heads[feed.head.kind] = sorted((track.reference, "trained" in track.title) for track in feed.head.tracks)
        assert "trained on" in feed.head.title
    assert sum(path.stat().st_size for path in demo_folder().rglob("*.arrows")) < 400_000  # each wheel has them
    policy, rule = (False, True), (True, False)  # a trained policy, and the rule that it is compared with
    assert heads == {"city": [policy, rule], "cluster": [policy, rule]}


def test_a_damaged_recording_says_what_is_wrong(start: Start, page: Path, cluster_recording: Path) -> None:
    path = cluster_recording / "learned" / "jobs.arrows"
    path.write_bytes(path.read_bytes()[:-40])
    messages, _ = read(start(page, [cluster_recording]), "cluster")
    assert "jobs.arrows: is damaged" in messages[-1]["text"]


def test_the_curve_of_a_run_is_followed(start: Start, page: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").touch()
    curve = run / "metrics.jsonl"
    curve.write_text('{"step": 10, "validation/usd": 5.0, "note": "x"}\n{"step": 20, "valid')
    server = start(page, [run])
    with connect(f"ws://127.0.0.1:{server.port}/api/stream?source=run") as socket:
        assert json.loads(socket.recv(10))["head"]["kind"] == "training"
        assert decode(socket.recv(10))["columns"][0]["values"] == [10.0]
        with curve.open("a") as file:
            file.write('ation/usd": 4.0}\n')
        while isinstance(message := socket.recv(10), str):
            assert json.loads(message)["kind"] == "caught-up"
        assert [column["values"] for column in decode(message)["columns"]] == [[20.0], ["validation/usd"], [4.0]]


def test_a_server_stops_quietly_while_pages_are_open(
    page: Path, cluster_recording: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = DashboardServer(page, Catalog([cluster_recording]), Address())
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.is_started:
        time.sleep(0.01)
    address = f"ws://127.0.0.1:{server.port}/api"
    with connect(f"{address}/sources") as listed, connect(f"{address}/stream?source=cluster") as streamed:
        assert listed.recv(10)
        assert streamed.recv(10)
        server.stop()
        thread.join(10)
    assert not thread.is_alive()
    assert capfd.readouterr().err == ""


def test_every_request_needs_the_token(start: Start, page: Path, cluster_recording: Path) -> None:
    server = start(page, [cluster_recording], Address(token=TOKEN))
    for path in ("/", "/api/sources", "/?token=wrong", "/nothing"):
        status, text, _ = ask(server, path)
        assert (status, "token" in text) == (401, True), path
    with pytest.raises(InvalidStatus, match="403"):
        read(server, "cluster")
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://127.0.0.1:{server.port}/api/sources"):
        pass
    status, _, headers = ask(server, f"/?token={TOKEN}&x=1")
    assert (status, headers["location"]) == (303, "/?x=1")
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=strict" in headers["set-cookie"]
    cookie = headers["set-cookie"].partition(";")[0]
    assert ask(server, "/", Cookie=cookie)[0] == 200
    assert ask(server, "/api/sources", Authorization=f"Bearer {TOKEN}")[0] == 200
    assert read(server, "cluster", additional_headers={"Cookie": cookie})[0][-1]["kind"] == "end"
    assert ask(server, f"//evil.example/?token={TOKEN}")[2]["location"] == "/evil.example/"


def test_other_pages_and_rebound_names_are_refused(start: Start, page: Path, cluster_recording: Path) -> None:
    server = start(page, [cluster_recording])
    port = server.port
    assert ask(server, Host="evil.example")[0] == 421
    assert ask(server, Host=f"localhost:{port}")[0] == 200
    assert ask(server, Origin="http://evil.example")[0] == 403
    assert ask(server, Origin=f"http://127.0.0.1:{port}")[0] == 200
    assert ask(server, method="POST")[0] == 405
    with pytest.raises(InvalidStatus, match="403"):
        read(server, "cluster", origin="http://evil.example")
    headers = ask(server)[2]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_files_outside_the_page_are_not_served(start: Start, page: Path, cluster_recording: Path) -> None:
    server = start(page, [cluster_recording])
    assert ask(server, "/../cluster/recording.json")[0] == 404
    assert ask(server, "/%2e%2e/cluster/recording.json")[0] == 404


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ({"host": "0.0.0.0"}, "give --token"),
        ({"token": "short"}, "shorter than 16"),
        ({"host": "0.0.0.0", "token": "0123"}, "shorter than 16"),
    ],
)
def test_an_address_that_all_can_reach_is_refused(address: dict[str, Any], message: str) -> None:
    with pytest.raises(DashboardError, match=message):
        Address(**address)


def test_a_port_that_is_taken_is_refused(start: Start, page: Path, cluster_recording: Path) -> None:
    server = start(page, [cluster_recording])
    with pytest.raises(DashboardError, match="choose another --port"):
        DashboardServer(page, Catalog([]), Address(port=server.port))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is nothing to show"),
        (
            ["nowhere"],
            "nowhere: is neither a recording, nor a run folder, an audit (.jsonl) or an event log (.parquet)",
        ),
        (["--host", "0.0.0.0", "--demo"], "give --token"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_dashboard_needs_nothing_of_the_extra_live() -> None:
    """`make quickstart` installs the extra `dashboard` alone, and an audit is read by the live loop's own code."""
    packages = ("cel_expr_python", "cronsim", "kubernetes", "onnxruntime", "prometheus_client")
    code = f"import sys; sys.modules.update(dict.fromkeys({packages})); import autoscaler.dashboard.serve"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
