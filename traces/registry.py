"""The registry: from a URI to the format that reads it."""

import importlib
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from configs.errors import did_you_mean
from traces.detection import detect
from traces.enrich import Enrichment, enrich
from traces.errors import TraceError, TraceURIError, TraceValueError
from traces.faults import Faults
from traces.format import Format, Kind
from traces.formats import FORMATS
from traces.grid_events import GridEvents
from traces.inputs import ARCHIVES, find_inputs
from traces.invocations import Invocations
from traces.merging import merge
from traces.mobility.paths import Mobility
from traces.nodes import Nodes
from traces.options import Option, SelectionOptions, describe, parse
from traces.prediction.run_times import Predicting, with_predictions
from traces.roads.graph import RoadGraph
from traces.signals.signal import Signal
from traces.sites import Sites
from traces.trace import Trace
from traces.transforms import Transforms, transform
from traces.uri import TraceURI
from traces.words import counted

ResultT = TypeVar("ResultT")

SHARED: tuple[type[Any], ...] = (Predicting, Transforms, SelectionOptions, Enrichment)
"""What every format of jobs takes besides its own options, in the order in which they apply."""

LOADERS = {
    "jobs": "traces.load",
    "nodes": "traces.load_nodes",
    "signal": "traces.load_signal",
    "faults": "traces.load_faults",
    "invocations": "traces.load_invocations",
    "mobility": "traces.load_mobility",
    "roads": "traces.load_roads",
    "sites": "traces.load_sites",
    "grid-events": "traces.load_grid_events",
}
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
        url: where the data are.
        options: its own options first, then `shared_options` where it holds jobs.
    """

    name: str
    kind: Kind
    description: str
    licence: str
    citation: str
    example: str
    url: str
    options: tuple[Option, ...]


def formats() -> list[FormatInfo]:
    """Every format by name."""
    return [_info(_format(name)) for name in sorted(FORMATS)]


def shared_options() -> tuple[Option, ...]:
    """The options that every format of jobs takes, in the order in which they apply."""
    return tuple(option for schema in SHARED for option in describe(schema))


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


def check_uri(uri: str, kind: Kind) -> None:
    """Refuse a URI whose format or options do not exist, or are of another kind; no file is read.

    Raises:
        TraceURIError: the format or an option is unknown; the nearest name is proposed.
    """
    parsed, form = _parse(uri, kind)
    shared = SHARED if kind == "jobs" else ()
    _check_names(parsed, {item.name for schema in (form.options, *shared) for item in fields(schema)})


def load(uri: str) -> Trace:
    """The jobs at `uri`, such as `itp:data/cluster02.csv.gz?end_seconds=864000`.

    Relative paths start at the working directory. Where a path holds several files of the format, their jobs are
    merged. Every format takes `predict=history` (run times predicted from jobs that ended before); the fields of
    `Transforms`, such as `window=7d..14d&load=1.5`; then `SelectionOptions`: `start_seconds` and `end_seconds` (jobs
    submitted from the one until before the other), and `limit` (the first of these jobs); and the fields of
    `Enrichment`, such as `checkpointable=0.8&deferrable=0.5`, for what the data do not say.

    Raises:
        TraceURIError: the format or an option is unknown or malformed; the nearest name is proposed.
        TraceFileError: the file is missing or damaged.
        TraceValueError: a value is not valid, or no job is left.
    """
    parsed, form = _parse(uri, "jobs")
    own = _given(parsed, form.options)
    shared = {name: text for schema in SHARED for name, text in _given(parsed, schema).items()}
    _check_names(parsed, {item.name for schema in (form.options, *SHARED) for item in fields(schema)})
    predicting = parse(Predicting, _given(parsed, Predicting), uri)
    changes = parse(Transforms, _given(parsed, Transforms), uri)
    selection = parse(SelectionOptions, _given(parsed, SelectionOptions), uri)
    enrichment = parse(Enrichment, _given(parsed, Enrichment), uri)
    trace = _load_files(form, parsed.path, parse(form.options, own, uri), changes.files)
    # A format may resolve its URI (a seed that was drawn); what selects and enriches jobs is added to it.
    base = TraceURI.parse(trace.uri or str(TraceURI(parsed.scheme, parsed.path, own)))
    resolved = str(TraceURI(base.scheme, base.path, {**base.options, **shared}))
    metadata = replace(trace.metadata, origin=trace.metadata.origin or resolved)
    # Before anything is left out: what ended before a window began is known in it.
    predicted = with_predictions(replace(trace, uri=resolved, metadata=metadata), predicting)
    changed = _transform(predicted, changes)
    return _enrich(_select(changed, selection), enrichment)


def find_uri(text: str) -> tuple[str, str]:
    """A URI as it is; for a path without a format, the URI of the format that is found, and why it is that one.

    Raises:
        TraceURIError: no format is found, or several are.
        TraceFileError: nothing is there.
    """
    try:
        return str(TraceURI.parse(text)), ""
    except TraceURIError:
        path, mark, _ = text.partition("?")
        if not path or not Path(path).exists() or ":" in path:
            raise
    options = TraceURI.parse(f"csv:{text}").options if mark else {}
    found = detect(path, dict(options), [_format(name) for name in sorted(FORMATS)])
    return str(found.uri), found.reason


def load_nodes(uri: str) -> Nodes:
    """The nodes at `uri`, such as `openb-nodes:data/openb_node_list_gpu_node.csv`.

    Raises:
        TraceError: as `load`.
    """
    return _load(uri, "nodes", Nodes)


def load_faults(uri: str) -> Faults:
    """The faults at `uri`, such as `infinitehbd:fault_trace.json?nodes=400`.

    Raises:
        TraceError: as `load`.
    """
    return _load(uri, "faults", Faults)


def load_roads(uri: str) -> RoadGraph:
    """The road network at `uri`, such as `json-roads:manhattan_network.json.gz` or `grid-roads:town`.

    Raises:
        TraceError: as `load`; also where the graph is not connected.
    """
    return _load(uri, "roads", RoadGraph)


def load_sites(uri: str) -> Sites:
    """The edge sites at `uri`, such as `csv-sites:site-optus-melbCBD.csv`.

    Raises:
        TraceError: as `load`.
    """
    return _load(uri, "sites", Sites)


def load_invocations(uri: str) -> Invocations:
    """The invocations of functions at `uri`, such as `synthetic-functions:mixed?seed=1`.

    Raises:
        TraceError: as `load`.
    """
    return _load(uri, "invocations", Invocations)


def load_mobility(uri: str) -> Mobility:
    """The positions of users at `uri`, such as `sumo-fcd:fcd.xml` or `trips:grid-roads:town?users=500`.

    Raises:
        TraceError: as `load`; also where time goes backwards.
    """
    return _load(uri, "mobility", Mobility)


def load_grid_events(uri: str) -> GridEvents:
    """The grid events at `uri`, such as `csv-grid-events:events.csv?power_kw=budget_kw`.

    Raises:
        TraceError: as `load`.
    """
    return _load(uri, "grid-events", GridEvents)


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
    return replace(_load(uri, "signal", Signal), uri=uri)


def _load(uri: str, kind: Kind, result: type[ResultT]) -> ResultT:
    """What a format without shared options reads."""
    parsed, form = _parse(uri, kind)
    _check_names(parsed, {item.name for item in fields(form.options)})
    loaded = form.load(parsed.path, parse(form.options, parsed.options, uri))
    assert isinstance(loaded, result)
    return loaded


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
    return FormatInfo(
        form.name, form.kind, form.description, form.licence, form.citation, form.example, form.url, options
    )


def _load_files(form: Format[Any], path: str, options: Any, pattern: str | None) -> Trace:
    """The trace at a path; the merged traces of its files where it holds several and the format is one of files."""
    if form.tables or not (Path(path).exists() and (Path(path).is_dir() or path.endswith(ARCHIVES))):
        if pattern is not None:
            raise TraceURIError(
                f"{form.name}:{path}: option files chooses among several files; this is none of several"
            )
        trace: Trace = form.load(path, options)
        return trace
    found = [each for each in find_inputs(path) if pattern is None or fnmatch(each.name, f"{pattern}*")]
    if len(found) > 1 and form.detect is not None:
        found = [each for each in found if form.detect(each.name, each.head().decode(errors="replace"))]
    if not found:
        raise TraceURIError(f"{form.name}:{path}: holds no file of this format{f' named {pattern}' if pattern else ''}")
    if len(found) == 1:
        only: Trace = form.load(str(found[0]), options)
        return only
    names = [each.name.partition(".")[0] for each in found]
    names = names if len(set(names)) == len(names) else [str(each) for each in found]
    try:
        return merge({name: form.load(str(each), options) for name, each in zip(names, found, strict=True)})
    except TraceURIError:
        raise
    except TraceValueError as error:
        raise TraceURIError(f"{form.name}:{path}: {error}") from error


def _transform(trace: Trace, changes: Transforms) -> Trace:
    try:
        changed = transform(trace, changes) if trace.num_jobs else trace
    except TraceError as error:
        raise TraceURIError(f"{trace.uri}: {error}") from error
    if trace.num_jobs and not changed.num_jobs:
        raise TraceURIError(f"{trace.uri}: no job in this window; {_span(trace)}")
    return changed


def _given(uri: TraceURI, schema: type[Any]) -> dict[str, str]:
    names = {item.name for item in fields(schema)}
    return {name: text for name, text in uri.options.items() if name in names}


def _check_names(uri: TraceURI, known: set[str]) -> None:
    for name in uri.options:
        if name not in known:
            raise TraceURIError(f"{uri}: {uri.scheme} has no option {name!r}{_hint(uri, name, known)}")


def _hint(uri: TraceURI, name: str, known: set[str]) -> str:
    """The end of the message about an unknown option: the format of signals that has it, else the nearest name."""
    twin = f"{uri.scheme}-signal"
    if twin in FORMATS and name in {item.name for item in fields(_format(twin).options)}:
        return f"; the format of signals that has it is {twin}"
    return did_you_mean(name, known)


def _select(trace: Trace, selection: SelectionOptions) -> Trace:
    if selection.limit is not None and selection.limit < 1:
        raise TraceURIError(f"{trace.uri}: option limit takes at least 1 job, not {selection.limit}")
    chosen = trace.window(selection.start_seconds, selection.end_seconds)
    if not chosen.num_jobs:
        reason = f"no job in this window; {_span(trace)}" if trace.num_jobs else _why_empty(trace)
        raise TraceURIError(f"{trace.uri}: {reason}")
    return chosen if selection.limit is None else chosen.head(selection.limit)


def _enrich(trace: Trace, enrichment: Enrichment) -> Trace:
    try:
        return enrich(trace, enrichment)
    except TraceValueError as error:
        raise TraceURIError(f"{trace.uri}: {error}") from error


def _span(trace: Trace) -> str:
    return f"submit times run from {trace.first_submit_seconds:g} to {trace.last_submit_seconds:g} seconds"


def _why_empty(trace: Trace) -> str:
    dropped = ", ".join(
        counted(count, "row", f" dropped because {reason}") for reason, count in trace.metadata.dropped.items()
    )
    return f"no job in the file{': ' + dropped if dropped else ''}; check that it is the right file"
