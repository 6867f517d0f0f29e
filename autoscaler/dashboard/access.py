"""Who may ask the server: the right host, no foreign origin, and the token where there is one."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CLOSE_POLICY = 1008
CONTENT_SECURITY = (
    b"default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def hosts_of(address: str, more: Sequence[str]) -> frozenset[str]:
    """The names under which a server may be asked that listens on an address; another one may be a rebound DNS name.

    Args:
        address: that it listens on.
        more: further names, such as that of a proxy.
    """
    if is_loopback(address):
        return frozenset({*LOOPBACK, address, *more})
    return frozenset({*LOOPBACK, address, socket.gethostname(), socket.getfqdn(), *more})


class Access:
    """Lets requests through that may come; everything else is refused before the application sees it.

    Args:
        app: the application.
        hosts: names that the header Host may have, without the port.
        token: that every request must carry (in the cookie that the page's address sets, as `Authorization: Bearer`, or
            as `?token=`); None: none is needed.
        port: that the server listens on; it tells cookies of servers on one machine apart.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], token: str | None, port: int) -> None:
        self._app, self._hosts, self._token = app, hosts, token
        self._cookie = f"autoscaler-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request or websocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await self._refuse(scope, receive, send, *refusal)
        elif scope["type"] == "http" and (clean := self._without_token(scope)) is not None:
            response = RedirectResponse(clean, 303)
            response.set_cookie(self._cookie, self._token or "", httponly=True, samesite="strict")
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if _name(host) not in self._hosts and not (_is_address(_name(host)) and not is_loopback(_name(host))):
            return 421, f"this server is not {host!r}; open the address that it printed, or name it with --host-name"
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, "requests of other pages are refused"
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            return 405, "this server is only read"
        if self._token is not None and not any(
            secrets.compare_digest(given.encode(), self._token.encode()) for given in self._given(scope, headers)
        ):
            return 401, "the token is missing or wrong; open the address that `autoscaler dashboard` printed"
        return None

    def _given(self, scope: Scope, headers: Headers) -> list[str]:
        given = [value for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name == "token"]
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given.append(value.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            cookie = None
        return [*given, cookie.value] if cookie is not None else given

    def _without_token(self, scope: Scope) -> str | None:
        """The address without its token, so that it stays in no history; None: it has none."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"))
        rest = [(name, value) for name, value in pairs if name != "token"]
        if len(rest) == len(pairs) or self._token is None:
            return None
        # One slash: a path of two would be the name of another host.
        return "/" + str(scope["path"]).lstrip("/") + (f"?{urlencode(rest)}" if rest else "")

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": CLOSE_POLICY, "reason": why[:120]})
        else:
            await PlainTextResponse(f"{why}\n", status)(scope, receive, _with_headers(send))


def _name(host: str) -> str:
    """The host without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send) -> Send:
    async def sending(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", [])
            assert isinstance(headers, list)
            message["headers"] = [*headers, *SECURITY_HEADERS]
        await send(message)

    return sending  # type: ignore[return-value]  # the message type of Starlette is a mutable mapping
