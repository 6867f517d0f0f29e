"""The registry: from a URI to the format that reads it."""

import importlib
from dataclasses import dataclass, fields, replace
from typing import Any

from configs.errors import did_you_mean
from traces.enrich import Enrichment, enrich
from traces.errors import TraceURIError, TraceValueError
from traces.format import Format, Kind
from traces.formats import FORMATS
from traces.nodes import Nodes
from traces.options import Option, SelectionOptions, describe, parse
from traces.signals.signal import Signal
from traces.trace import Trace
from traces.uri import TraceURI

LOADERS = {"jobs": "traces.load", "nodes": "traces.load_nodes", "signal": "traces.load_signal"}
"""Kind of format -> the function that reads it, for messages."""


@dataclass(frozen=True, slots=True)
class FormatInfo:
    """A format of traces, for humans.

    Attributes:
        name: scheme of the URI.
        kind: what it holds.
        description: one line.
        licence: licence of the data.
        citation: where the data were published.
        example: a URI.
        options: its own options first, then `shared_options` where it holds jobs.
    """

    name: str
    kind: Kind
    description: str
    licence: str
    citation: str
    example: str
    options: tuple[Option, ...]


def formats() -> list[FormatInfo]:
    """Every format by name."""
    return [_info(_format(name)) for name in sorted(FORMATS)]


def shared_options() -> tuple[Option, ...]:
    """The options that every format of jobs takes: those of `SelectionOptions`, then of `Enrichment`."""
    return (*describe(SelectionOptions), *describe(Enrichment))


def text_options() -> tuple[Option, ...]:
    """The options that every format of text tables takes."""
    from traces.tables import TextOptions

    return describe(TextOptions)


def kind_of(uri: str) -> Kind:
    """What the format of `uri` holds.

    Raises:
        TraceURIError: the format is unknown.
    """
    return _format(TraceURI.parse(uri).scheme).kind


def load(uri: str) -> Trace:
    """The jobs at `uri`, such as `itp:data/cluster02.csv.gz?end_seconds=864000`.

    Relative paths start at the working directory. Every format takes `SelectionOptions`: `start_seconds` and
    `end_seconds` (jobs submitted from the one until before the other), then `limit` (the first jobs of these); and the
    fields of `Enrichment`, such as `checkpointable=0.8&deferrable=0.5`, for what the data do not say.

    Raises:
        TraceURIError: the format or an option is unknown or malformed; the nearest name is proposed.
        TraceFileError: the file is missing or damaged.
        TraceValueError: a value is not valid, or no job is left.
    """
    parsed, form = _parse(uri, "jobs")
    own = _given(parsed, form.options)
    chosen, added = _given(parsed, SelectionOptions), _given(parsed, Enrichment)
    known = (*fields(form.options), *fields(SelectionOptions), *fields(Enrichment))
    _check_names(parsed, {item.name for item in known})
    selection, enrichment = parse(SelectionOptions, chosen, uri), parse(Enrichment, added, uri)
    trace: Trace = form.load(parsed.path, parse(form.options, own, uri))
    # A format may resolve its URI (a seed that was drawn); what selects and enriches jobs is added to it.
    base = TraceURI.parse(trace.uri or str(TraceURI(parsed.scheme, parsed.path, own)))
    resolved = str(TraceURI(base.scheme, base.path, {**base.options, **chosen, **added}))
    metadata = replace(trace.metadata, origin=trace.metadata.origin or resolved)
    return _enrich(_select(replace(trace, uri=resolved, metadata=metadata), selection), enrichment)


def load_nodes(uri: str) -> Nodes:
    """The nodes at `uri`, such as `openb-nodes:data/openb_node_list_gpu_node.csv`.

    Raises:
        TraceURIError: the format or an option is unknown or malformed; the nearest name is proposed.
        TraceFileError: the file is missing or damaged.
        TraceValueError: a value is not valid.
    """
    parsed, form = _parse(uri, "nodes")
    _check_names(parsed, {item.name for item in fields(form.options)})
    nodes: Nodes = form.load(parsed.path, parse(form.options, parsed.options, uri))
    return nodes


def load_signal(uri: str) -> Signal:
    """The signal at `uri`, such as `eia:data/eia2022_CISO.csv.gz` or `synthetic:solar?seed=1`.

    Where a format of jobs and one of signals would have the same name, that of signals ends in `-signal`; here the
    short name (`synthetic:`, `csv:`) means it too.

    Raises:
        TraceURIError: the format, the zone or an option is unknown or malformed; the nearest name is proposed.
        TraceFileError: the file is missing or damaged.
        TraceValueError: a value is not valid.
    """
    short = TraceURI.parse(uri)
    if f"{short.scheme}-signal" in FORMATS:
        uri = str(TraceURI(f"{short.scheme}-signal", short.path, short.options))
    parsed, form = _parse(uri, "signal")
    _check_names(parsed, {item.name for item in fields(form.options)})
    signal: Signal = form.load(parsed.path, parse(form.options, parsed.options, uri))
    return replace(signal, uri=uri)


def _parse(uri: str, kind: Kind) -> tuple[TraceURI, Format[Any]]:
    parsed = TraceURI.parse(uri)
    form = _format(parsed.scheme)
    if form.kind != kind:
        use = f"; use {LOADERS[form.kind]}" if form.kind in LOADERS else ""
        raise TraceURIError(f"{uri}: {parsed.scheme} is a format of {form.kind}, not of {kind}{use}")
    return parsed, form


def _format(name: str) -> Format[Any]:
    if name not in FORMATS:
        raise TraceURIError(f"there is no trace format {name!r}{did_you_mean(name, FORMATS)}")
    form = importlib.import_module(FORMATS[name]).FORMAT
    assert isinstance(form, Format)
    return form


def _info(form: Format[Any]) -> FormatInfo:
    options = (*describe(form.options), *(shared_options() if form.kind == "jobs" else ()))
    return FormatInfo(form.name, form.kind, form.description, form.licence, form.citation, form.example, options)


def _given(uri: TraceURI, schema: type[Any]) -> dict[str, str]:
    names = {item.name for item in fields(schema)}
    return {name: text for name, text in uri.options.items() if name in names}


def _check_names(uri: TraceURI, known: set[str]) -> None:
    for name in uri.options:
        if name not in known:
            raise TraceURIError(f"{uri}: {uri.scheme} has no option {name!r}{did_you_mean(name, known)}")


def _select(trace: Trace, selection: SelectionOptions) -> Trace:
    if selection.limit is not None and selection.limit < 1:
        raise TraceURIError(f"{trace.uri}: option limit takes at least 1 job, not {selection.limit}")
    chosen = trace.window(selection.start_seconds, selection.end_seconds)
    if not chosen.num_jobs:
        span = f"submit times run from {trace.first_submit_seconds:g} to {trace.last_submit_seconds:g} seconds"
        reason = f"no job in this window; {span}" if trace.num_jobs else _why_empty(trace)
        raise TraceURIError(f"{trace.uri}: {reason}")
    return chosen if selection.limit is None else chosen.head(selection.limit)


def _enrich(trace: Trace, enrichment: Enrichment) -> Trace:
    try:
        return enrich(trace, enrichment)
    except TraceValueError as error:
        raise TraceURIError(f"{trace.uri}: {error}") from error


def _why_empty(trace: Trace) -> str:
    dropped = ", ".join(f"{count} rows dropped because {reason}" for reason, count in trace.metadata.dropped.items())
    return f"no job in the file{': ' + dropped if dropped else ''}; check that it is the right file"
