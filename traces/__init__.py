"""Traces of real and synthetic GPU clusters: one validated table of jobs, from any format, by URI.

>>> import traces
>>> trace = traces.load("synthetic:quickstart?days=2&seed=0")
"""

from traces.enrich import Enrichment, enrich
from traces.errors import TraceError, TraceFileError, TraceURIError, TraceValueError
from traces.faults import Faults
from traces.grid_events import GridEvents
from traces.invocations import Invocations
from traces.mobility.paths import Mobility
from traces.nodes import NODE_SCHEMA, Nodes
from traces.registry import (
    FormatInfo,
    check_uri,
    find_uri,
    formats,
    kind_of,
    load,
    load_faults,
    load_grid_events,
    load_invocations,
    load_mobility,
    load_nodes,
    load_roads,
    load_signal,
    load_sites,
    shared_options,
    text_options,
)
from traces.roads.graph import RoadGraph
from traces.schema import OPTIONAL, SCHEMA
from traces.signals.signal import Signal
from traces.sites import Sites
from traces.trace import NO_DEADLINE, Trace, TraceMetadata

__all__ = [
    "NODE_SCHEMA",
    "NO_DEADLINE",
    "OPTIONAL",
    "SCHEMA",
    "Enrichment",
    "Faults",
    "FormatInfo",
    "GridEvents",
    "Invocations",
    "Mobility",
    "Nodes",
    "RoadGraph",
    "Signal",
    "Sites",
    "Trace",
    "TraceError",
    "TraceFileError",
    "TraceMetadata",
    "TraceURIError",
    "TraceValueError",
    "check_uri",
    "enrich",
    "find_uri",
    "formats",
    "kind_of",
    "load",
    "load_faults",
    "load_grid_events",
    "load_invocations",
    "load_mobility",
    "load_nodes",
    "load_roads",
    "load_signal",
    "load_sites",
    "shared_options",
    "text_options",
]
