"""Errors of the suite."""

from __future__ import annotations

from configs.errors import UserError


class BenchError(UserError, ValueError):
    """A scenario, a grid or its results cannot be used."""


class MissingDataError(BenchError):
    """A file of a scenario is not there, or is another one."""
