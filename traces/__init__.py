"""Traces of real and synthetic GPU clusters: one validated table of jobs, from any format, by URI.

>>> import traces
>>> trace = traces.load("synthetic:quickstart?days=2&seed=0")
"""

from traces.errors import TraceError, TraceFileError, TraceURIError, TraceValueError
from traces.nodes import NODE_SCHEMA, Nodes
from traces.registry import FormatInfo, formats, holds_nodes, load, load_nodes
from traces.trace import NO_DEADLINE, OPTIONAL, SCHEMA, Trace, TraceMetadata

__all__ = [
    "NODE_SCHEMA",
    "NO_DEADLINE",
    "OPTIONAL",
    "SCHEMA",
    "FormatInfo",
    "Nodes",
    "Trace",
    "TraceError",
    "TraceFileError",
    "TraceMetadata",
    "TraceURIError",
    "TraceValueError",
    "formats",
    "holds_nodes",
    "load",
    "load_nodes",
]
