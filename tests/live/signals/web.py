"""A local HTTP server that answers as a test says, and a fake Prometheus on it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Request(NamedTuple):
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Answer(NamedTuple):
    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    drip_seconds: float = 0.0  # between two bytes


class Web:
    """Answers by path; a path without an answer is 404.

    Attributes:
        answers: by path, what to answer; a function of the request, an `Answer`, or a body.
        requests: what was asked.
        released: ends whatever still drips.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: dict[str, Answer | Callable[[Request], Answer] | Any] = {}
        self.requests: list[Request] = []
        self.released = threading.Event()

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        found = self.answers.get(request.path, Answer({"error": "no such path"}, 404))
        found = found(request) if callable(found) else found
        return found if isinstance(found, Answer) else Answer(found)


@contextmanager
def serving() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer = web.answer(Request(parts.path, dict(parse_qsl(parts.query)), dict(self.headers)))
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not answer.drip_seconds:
                self.wfile.write(body)
                return
            for index in range(len(body)):
                if web.released.wait(answer.drip_seconds):
                    return
                try:
                    self.wfile.write(body[index : index + 1])
                except OSError:
                    return

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    web = Web(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10.0)


def series(*rows: tuple[dict[str, str], list[tuple[float, str]]]) -> dict[str, Any]:
    """Prometheus' answer to a range selector."""
    result = [{"metric": labels, "values": [list(value) for value in values]} for labels, values in rows]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def vector(*values: tuple[float, str]) -> dict[str, Any]:
    """Prometheus' answer to an instant query."""
    result = [{"metric": {}, "value": list(value)} for value in values]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}
