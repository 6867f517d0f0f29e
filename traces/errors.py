"""Errors of the `traces` package. Each message says what is wrong, where, and how to fix it, on one line."""

from configs.errors import UserError


class TraceError(UserError, ValueError):
    """A trace cannot be used; the base of every error of this package."""


class TraceValueError(TraceError):
    """A cell, a column or a table breaks an invariant of `traces.Trace` or `traces.Nodes`."""


class TraceURIError(TraceError):
    """A trace URI names an unknown format or option, or a value that the option does not take."""


class TraceFileError(TraceError, OSError):
    """A file of a trace cannot be read: it is missing, damaged or of another format."""
