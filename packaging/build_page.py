"""A build hook of hatchling: the page of the dashboard is built into every wheel."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is there only while a wheel is built
    """Builds the page; an editable installation builds it on first use instead.

    Without the network a wheel is made that has no page: `autoscaler dashboard` says so, all else works.
    """

    PLUGIN_NAME = "page"

    def dependencies(self) -> list[str]:
        """Node.js as a Python package, where the machine has none that is new enough."""
        return [] if self._tools["npm_command"]() is not None else [self._tools["NODE_PACKAGE"]]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page before files are collected."""
        if version == "editable" or self._tools["is_built"]():
            return
        try:
            self._tools["build"](self.app.display_info)
        except self._tools["PageBuildError"] as error:
            self.app.display_warning(f"the wheel has no page for `autoscaler dashboard`: {error}")

    @property
    def _tools(self) -> dict[str, Any]:
        return runpy.run_path(str(Path(self.root) / "autoscaler" / "dashboard" / "build.py"))
