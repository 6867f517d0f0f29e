"""The page itself: files that were built into the wheel, or are built now from the sources of a checkout."""

from __future__ import annotations

from pathlib import Path

from autoscaler.dashboard.build import STATIC, WEB, PageBuildError, build, is_built
from autoscaler.dashboard.errors import DashboardError
from autoscaler.progress import Reporter


def find_page(reporter: Reporter) -> Path:
    """The folder of the built page; in a checkout it is built first, where it is missing or older than its sources.

    Raises:
        DashboardError: it is missing and cannot be built here.
    """
    if is_built():
        return STATIC
    if not (WEB / "package.json").is_file():
        raise DashboardError(
            "this installation was made without the page, because Node.js was missing when its wheel was built; "
            "install a wheel that has it, or build one where Node.js or the network is there"
        )
    try:
        build(reporter.note)
    except PageBuildError as error:
        if (STATIC / "index.html").is_file():
            reporter.note(f"{error}; an older page is shown")
            return STATIC
        raise DashboardError(str(error)) from error
    return STATIC
