"""The report in a real browser: it fetches nothing, and its figures can be seen in light and in dark."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from autoscaler.cli import main
from autoscaler.evaluation.report.style import css_variables

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content security policy of the server: the page may load nothing, not even from where it comes from."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)


@pytest.fixture(scope="module")
def browser() -> str:
    for name in BROWSERS:
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.skip(f"none of {', '.join(BROWSERS)} is installed")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("report") / "report.html"
    trace = "synthetic:quickstart?days=6&seed=0"
    assert main(["evaluate", "--trace", trace, "--report", str(path), "--json", "-", "--quiet"]) == 0
    return path.read_bytes()


class Server:
    """Serves one page to this machine and remembers what it was asked for."""

    def __init__(self, content: bytes) -> None:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(200 if self.path == "/report.html" else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Security-Policy", POLICY)
                self.end_headers()
                if self.path == "/report.html":
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.asked = asked
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/report.html"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(page: bytes) -> Iterator[Server]:
    running = Server(page)
    yield running
    running.close()


def screenshot(browser: str, url: str, folder: Path, width: int, dark: bool) -> tuple[NDArray[np.uint8], str]:
    """The page as pixels, and what the browser says on stderr."""
    image = folder / "page.png"
    done = subprocess.run(
        [
            browser,
            *FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--window-size={width},6000",
            f"--screenshot={image}",
            url,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    with Image.open(image) as picture:
        return np.asarray(picture.convert("RGB")), done.stderr


def pixels_of(image: NDArray[np.uint8], colour: str) -> int:
    wanted = [int(colour[index : index + 2], 16) for index in (1, 3, 5)]
    return int((image == wanted).all(axis=2).sum())


@pytest.mark.parametrize("dark", [False, True])
def test_figures_are_visible_and_nothing_is_fetched(browser: str, server: Server, tmp_path: Path, dark: bool) -> None:
    image, log = screenshot(browser, server.url, tmp_path, 1200, dark)
    assert server.asked == ["/report.html"]
    assert "Content Security Policy" not in log
    colours = css_variables(dark)
    for name in ("part-busy", "part-idle", "part-fragmentation", "series-0", "series-1", "series-2"):
        assert pixels_of(image, colours[name]) > 100, name
    brightness = image.mean()
    assert brightness < 90 if dark else brightness > 200


def test_a_narrow_screen_is_not_wider_than_itself(browser: str, server: Server, tmp_path: Path) -> None:
    """The right edge of a phone-wide page shows its background only: wide figures scroll in their own box."""
    image, _ = screenshot(browser, server.url, tmp_path, 500, dark=False)
    edge = image[:, -8:]
    assert (edge == edge[0, 0]).all()
