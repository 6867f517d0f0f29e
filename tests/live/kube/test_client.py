"""The client against a server that answers as an API server does, or worse."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from autoscaler.live.clock import ManualClock
from autoscaler.live.config import ApiSettings
from autoscaler.live.kube.client import (
    ClusterAccessError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubeClient,
    KubeError,
    NotFoundError,
    TooManyRequestsError,
    UnreachableError,
    connect,
)
from autoscaler.live.view.parse import Parser
from autoscaler.live.view.store import Resource, Store
from autoscaler.live.view.watch import Listing, Watcher, Watchers
from tests.live import raw


class Server(ThreadingHTTPServer):
    """Answers each request with what `reply` says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply: Any = lambda handler: handler.answer(200, {})
        self.requests: list[str] = []
        self.stop = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        self.server.requests.append(f"{self.command} {self.path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.reply(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def answer(self, status: int, body: Any, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, *events: Any) -> None:
        """Begin a chunked answer."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            for part in (line[:7], line[7:]):
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.flush()

    def end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.stop.set()
    made.shutdown()
    made.server_close()
    thread.join(5.0)


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[KubeClient]:
    made = connect(str(kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_port}")), timeout_seconds=0.5)
    yield made
    made.close()


def kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    document = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "c", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidError),
        (401, ForbiddenError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (418, KubeError),
        (422, InvalidError),
        (429, TooManyRequestsError),
        (500, UnreachableError),
        (503, UnreachableError),
        (302, KubeError),
    ],
)
def test_each_status_is_a_typed_error(server: Server, client: KubeClient, status: int, error: type[KubeError]) -> None:
    body = {"kind": "Status", "reason": "Because", "message": "of\nthis"}
    server.reply = lambda handler: handler.answer(status, body, **{"Retry-After": "3"})
    with pytest.raises(KubeError) as caught:
        client.create("/x", {})
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.reason) == (status, "Because")
    assert caught.value.message == f"{status} of this"
    assert caught.value.retry_after_seconds == 3.0
    assert server.requests == ["POST /x?fieldManager=green-autoscaler"], "a write is never repeated by itself"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"\xff\xfe", b"{" * 100])
def test_an_answer_that_is_no_object_is_an_error(server: Server, client: KubeClient, body: bytes) -> None:
    server.reply = lambda handler: handler.answer(200, body)
    with pytest.raises(UnreachableError, match="no JSON"):
        client.get("/x")


def test_a_server_that_never_answers_times_out(server: Server, client: KubeClient) -> None:
    server.reply = lambda handler: server.stop.wait(10.0)
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        client.get("/x")
    assert time.monotonic() - started < 3.0


def test_a_server_that_is_gone_is_unreachable(client: KubeClient, server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(UnreachableError):
        client.get("/x")


def test_a_write_of_one_who_may_not_write_is_not_sent(server: Server, client: KubeClient) -> None:
    def refuse() -> None:
        raise RuntimeError("fenced")

    fenced = client.fenced(refuse, 1.0)
    assert fenced.get("/x") == {}
    with pytest.raises(RuntimeError, match="fenced"):
        fenced.patch("/x", {})
    assert server.requests == ["GET /x"]


def test_a_list_is_read_page_by_page(server: Server, client: KubeClient) -> None:
    def reply(handler: Handler) -> None:
        last = "continue=next" in handler.path
        metadata = {"resourceVersion": "7"} if last else {"continue": "next"}
        handler.answer(200, {"metadata": metadata, "items": [{"n": int(last)}]})

    server.reply = reply
    listing = Listing(client, "/x")
    items = iter(listing)
    assert (next(items), len(server.requests)) == ({"n": 0}, 1), "the second page is read when it is needed"
    assert (list(items), listing.version) == ([{"n": 1}], "7")


def test_watch_yields_events_over_chunk_borders_and_raises_error_events(server: Server, client: KubeClient) -> None:
    expired = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}

    def reply(handler: Handler) -> None:
        handler.stream({"type": "ADDED", "object": {}}, {"type": "BOOKMARK", "object": {}}, expired)
        handler.end_stream()

    server.reply = reply
    events = client.watch("/x", {}, 1.0)
    assert [next(events)["type"], next(events)["type"]] == ["ADDED", "BOOKMARK"]
    with pytest.raises(GoneError):
        next(events)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "a: b", '{"clusters": null}', '{"current-context": "x", "contexts": []}', "\x00"]
)
def test_a_kubeconfig_that_is_none_is_one_clear_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ClusterAccessError, match="not a usable kubeconfig") as caught:
        connect(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_kubeconfig_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ClusterAccessError, match="no such kubeconfig file"):
        connect(str(tmp_path / "none"))


class Feed:
    """A collection of nodes that is listed and watched; what a watch yields is scripted."""

    def __init__(self, server: Server) -> None:
        self.nodes = [raw.node("a")]
        self.watches: list[Any] = []
        self.stop = server.stop
        server.reply = self.reply

    def reply(self, handler: Handler) -> None:
        if "watch=true" not in handler.path:
            handler.answer(200, {"metadata": {"resourceVersion": "5"}, "items": self.nodes})
            return
        (self.watches.pop(0) if self.watches else self.quiet)(handler)

    def quiet(self, handler: Handler) -> None:
        handler.stream()
        self.stop.wait(10.0)


def watch(client: KubeClient, **settings: float) -> tuple[Watcher, Store, list[str]]:
    clock = ManualClock(raw.START)
    store = Store(Parser(raw.config(), clock), clock)
    reasons: list[str] = []
    times = ApiSettings(**{"watch_timeout_seconds": 5.0, **settings})
    watcher = Watcher(client, Resource.NODES, "/api/v1/nodes", store, times, lambda _, reason: reasons.append(reason))
    watcher.start()
    return watcher, store, reasons


def eventually(condition: Any, seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def names(store: Store) -> set[str]:
    return {node.name for node in store.contents().nodes.values()}


def test_events_reach_the_store_and_410_lists_again(server: Server, client: KubeClient) -> None:
    feed = Feed(server)

    def gone(handler: Handler) -> None:
        handler.answer(410, {"code": 410, "message": "too old"})

    def first(handler: Handler) -> None:
        handler.stream({"type": "ADDED", "object": raw.node("b")})
        handler.end_stream()

    feed.watches = [first, gone]
    watcher, store, reasons = watch(client)
    eventually(lambda: "gone" in reasons)
    assert reasons[:2] == ["start", "gone"]
    eventually(lambda: names(store) == {"a"})
    assert not watcher.stale()
    watcher.stop()


def test_it_goes_on_from_the_version_of_the_last_bookmark(server: Server, client: KubeClient) -> None:
    feed = Feed(server)

    def bookmark(handler: Handler) -> None:
        handler.stream({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "99"}}})
        handler.end_stream()

    feed.watches = [bookmark]
    watcher, _, _ = watch(client)
    eventually(lambda: any("resourceVersion=99" in request for request in server.requests))
    watcher.stop()


def test_a_half_open_connection_is_stale_and_then_replaced(server: Server, client: KubeClient) -> None:
    feed = Feed(server)
    watcher, store, reasons = watch(client, stale_seconds=0.5, disconnected_seconds=0.1)
    eventually(lambda: names(store) == {"a"})
    feed.nodes = [raw.node("b")]
    eventually(lambda: "error" in reasons)
    eventually(lambda: names(store) == {"b"})
    watcher.stop()


def test_a_server_that_is_gone_makes_data_stale(server: Server, client: KubeClient) -> None:
    def broken(handler: Handler) -> None:
        handler.answer(500, {"message": "down"})

    feed = Feed(server)
    watcher, store, _ = watch(client, stale_seconds=0.6, disconnected_seconds=0.2)
    watchers = Watchers([watcher])
    assert watchers.wait_listed(threading.Event(), 5.0)
    assert watchers.stale() == ()
    server.reply = broken
    feed.stop.set()
    eventually(lambda: watchers.stale() == ("nodes",))
    assert names(store) == {"a"}, "what was known stays; it is never replaced by nothing"
    watcher.stop()


def test_everything_is_listed_again_from_time_to_time(server: Server, client: KubeClient) -> None:
    feed = Feed(server)

    def short(handler: Handler) -> None:
        handler.stream()
        time.sleep(0.15)
        handler.end_stream()

    feed.watches = [short] * 20
    watcher, _, reasons = watch(client, relist_seconds=0.1)
    eventually(lambda: reasons.count("resync") >= 2)
    watcher.stop()
