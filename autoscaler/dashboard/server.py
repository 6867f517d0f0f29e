"""The server of the page: static files, the list of what can be shown, and a websocket that streams one of them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from autoscaler.dashboard.access import Access, hosts_of, is_loopback
from autoscaler.dashboard.catalog import Catalog
from autoscaler.dashboard.errors import DashboardError
from autoscaler.dashboard.frames import encode_frame
from autoscaler.dashboard.sources import Feed, Source
from configs.errors import UserError

POLL_SECONDS = 0.5
LIST_SECONDS = 3.0
"""Between two looks at what can be shown."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens.

    Attributes:
        host: an address; all but those of this machine itself need a token.
        port: its port, 0: any free one.
        token: that every request must carry; None: none.
        names: further names of this machine that requests may be for.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse to be reached by everybody.

        Raises:
            DashboardError: other machines reach it and there is no token, or the token is short.
        """
        if self.token is not None and len(self.token) < 16:
            raise DashboardError("--token is shorter than 16 characters; take a random one: openssl rand -hex 16")
        if self.token is None and not is_loopback(self.host):
            raise DashboardError(
                f"--host {self.host} is reached by other machines; give --token, which every request must carry"
            )


class DashboardServer:
    """Serves until it is stopped.

    Args:
        page: folder of the built page.
        catalog: what is shown.
        address: where it listens.

    Raises:
        DashboardError: it cannot listen there.
    """

    def __init__(self, page: Path, catalog: Catalog, address: Address) -> None:
        self._address = address
        self._socket = _listen(address)
        self.port = int(self._socket.getsockname()[1])
        hosts = hosts_of(address.host, address.names)
        app = Access(make_app(page, catalog), hosts, address.token, self.port)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, ws="websockets-sansio", lifespan="off",
            timeout_graceful_shutdown=1, server_header=False,
            # To pack what stays on this machine takes longer than to send it.
            ws_per_message_deflate=not is_loopback(address.host),
        )  # fmt: skip
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """The address to open, with the token where there is one."""
        host = self._address.host if self._address.host not in ("0.0.0.0", "::") else socket.gethostname()  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        token = f"?token={self._address.token}" if self._address.token is not None else ""
        return f"http://{shown}:{self.port}/{token}"

    @property
    def is_started(self) -> bool:
        """Whether requests are answered."""
        return self._server.started

    def run(self) -> None:
        """Serve until `stop` or Ctrl-C."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Let `run` return; may be called by another thread."""
        self._server.should_exit = True


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        found.close()
        why = getattr(error, "strerror", None) or str(error)
        raise DashboardError(f"--host {address.host}, --port {address.port}: {why}; choose another --port") from error
    return found


def make_app(page: Path, catalog: Catalog) -> Starlette:
    """The application without the checks of who asks.

    Args:
        page: folder of the built page.
        catalog: what is shown.
    """

    def listing() -> list[dict[str, Any]]:
        fields = ("name", "title", "keep_seconds")
        return [{name: getattr(source, name) for name in fields} for source in catalog.sources()]

    def listed(_: Request) -> Response:
        return JSONResponse(listing())

    async def listed_anew(websocket: WebSocket) -> None:
        await websocket.accept()
        await _until_gone(websocket, partial(_list, websocket, listing))

    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        source = await run_in_threadpool(catalog.find, websocket.query_params.get("source", ""))
        if source is None:
            await _tell(websocket, "problem", text="there is no such source; reload the page")
            await websocket.close()
        else:
            await _until_gone(websocket, partial(_serve, websocket, source))

    return Starlette(
        routes=[
            Route("/api/sources", listed),
            WebSocketRoute("/api/sources", listed_anew),
            WebSocketRoute("/api/stream", stream),
            Mount("/", StaticFiles(directory=page, html=True)),
        ]
    )


async def _until_gone(websocket: WebSocket, tell: Callable[[asyncio.Task[None]], Awaitable[None]]) -> None:
    """Tell a viewer something until it goes, or all is told; `tell` gets what is done once it has gone."""
    gone = asyncio.create_task(_wait_until_gone(websocket))
    try:
        await tell(gone)
    except WebSocketDisconnect:
        pass
    finally:
        gone.cancel()


async def _list(websocket: WebSocket, listing: Callable[[], list[dict[str, Any]]], gone: asyncio.Task[None]) -> None:
    """Send what can be shown, now and whenever it changes."""
    sent = None
    while not gone.done():
        found = await run_in_threadpool(listing)
        if found != sent:
            sent = found
            await websocket.send_json(sent)
        await asyncio.wait([gone], timeout=LIST_SECONDS)  # a server that stops waits for nothing longer


async def _serve(websocket: WebSocket, source: Source, gone: asyncio.Task[None]) -> None:
    """Send what a source has, or why it cannot be read."""
    try:
        await _stream(websocket, await run_in_threadpool(source.open), gone.done)
    except UserError as error:
        await _tell(websocket, "problem", text=str(error))


async def _stream(websocket: WebSocket, feed: Feed, is_gone: Callable[[], bool]) -> None:
    sent = None
    while not is_gone():
        frames = await run_in_threadpool(lambda: [encode_frame(batch) for batch in feed.news()])
        if feed.head != sent:
            sent = feed.head
            await _tell(websocket, "head", head=asdict(sent))
        for frame in frames:
            await websocket.send_bytes(frame)
        await _tell(websocket, "end" if sent.finished else "caught-up")
        if sent.finished:
            break
        await asyncio.sleep(POLL_SECONDS)
    while not is_gone():  # the viewer closes; a server that did would look like one that broke
        await asyncio.sleep(POLL_SECONDS)


async def _tell(websocket: WebSocket, kind: str, **more: Any) -> None:
    await websocket.send_text(json.dumps({"kind": kind, **more}))


async def _wait_until_gone(websocket: WebSocket) -> None:
    try:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
    except (WebSocketDisconnect, RuntimeError):
        return
