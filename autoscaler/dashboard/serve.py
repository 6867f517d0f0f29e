"""Puts the dashboard together: what is shown, the page, and the server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaler.dashboard.catalog import Catalog, demo_folder
from autoscaler.dashboard.errors import DashboardError
from autoscaler.dashboard.live import LiveSource
from autoscaler.dashboard.page import find_page
from autoscaler.progress import Reporter, make_reporter

if TYPE_CHECKING:
    from autoscaler.dashboard.server import DashboardServer


def prepare(
    paths: Sequence[str],
    *,
    live: Sequence[str] = (),
    demo: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    names: Sequence[str] = (),
    progress: bool | Reporter = False,
) -> DashboardServer:
    """A server that is ready to run.

    Args:
        paths: recordings, run folders, folders of these, and audit files; what appears in folders is shown then.
        live: URLs of autoscalers that run with `http.stream` on.
        demo: also the recordings that are part of the package.
        host: address to listen on.
        port: its port; 0: any free one.
        token: that every request must carry; None: none.
        names: further names under which this machine is asked.
        progress: see `autoscaler.progress`; the page may have to be built.

    Raises:
        DashboardError: there is nothing to show, the page is missing, or it cannot listen there.
    """
    try:
        from autoscaler.dashboard.server import Address, DashboardServer
    except ImportError as error:
        raise DashboardError(
            f"the dashboard needs the package {error.name}, which its extra brings: "
            "pip install 'green-gpu-autoscaler[dashboard]'"
        ) from error
    address = Address(host, port, token, tuple(names))
    shown: list[str | Path] = [*paths, *([demo_folder()] if demo else [])]
    if not shown and not live:
        raise DashboardError("there is nothing to show; give a recording or a run folder, --live URL, or --demo")
    catalog = Catalog(shown, [LiveSource(url) for url in live])
    reporter = make_reporter(progress)
    for path in catalog.empty_paths():
        reporter.note(f"{path}: has no recording and no run yet; the page shows what appears there")
    return DashboardServer(find_page(reporter), catalog, address)
