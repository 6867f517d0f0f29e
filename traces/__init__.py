"""Traces of real and synthetic GPU clusters: one validated table of jobs, from any format, by URI."""

from traces.errors import TraceError, TraceFileError, TraceURIError, TraceValueError
from traces.trace import SCHEMA, Trace, TraceMetadata

__all__ = [
    "SCHEMA",
    "Trace",
    "TraceError",
    "TraceFileError",
    "TraceMetadata",
    "TraceURIError",
    "TraceValueError",
]
