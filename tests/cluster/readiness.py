"""Tests of whether a program serves; each raises OSError, or returns False, for no."""

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit


def serves(url: str, ca: Path) -> Callable[[], bool]:
    """Return a test of whether a URL answers with 200."""
    # Never through a proxy that the environment names: all of it is on loopback.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca))),
    )

    def test() -> bool:
        try:
            with opener.open(url, timeout=5) as reply:
                return bool(reply.status == http.client.OK)
        except urllib.error.HTTPError as error:
            error.close()
            return False

    return test


def listens(url: str) -> Callable[[], bool]:
    """Return a test of whether the port of a URL accepts connections."""
    parts = urlsplit(url)

    def test() -> bool:
        with socket.create_connection((parts.hostname, parts.port), timeout=1):
            return True

    return test
