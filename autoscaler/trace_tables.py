"""What traces hold, as documents and as tables for humans: what `autoscaler traces` shows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import traces
from autoscaler.progress import Reporter
from configs.files import write_text
from traces import Nodes
from traces.catalogue import CATALOGUE, Release
from traces.comparison import Comparison, compare
from traces.download import cache_folder, download
from traces.errors import TraceURIError
from traces.faults import rows as fault_rows
from traces.fitting import fit
from traces.options import Option
from traces.signals import align
from traces.signals.summary import summarize_signal
from traces.summary import OfferedLoad, TraceSummary, offered_load, summarize
from traces.uri import TraceURI
from traces.words import counted

LIST_SCHEMA = "autoscaler.traces.list/1"
INFO_SCHEMA = "autoscaler.traces.info/1"
NODES_SCHEMA = "autoscaler.traces.nodes/1"
SIGNAL_SCHEMA = "autoscaler.traces.signal/1"
FAULTS_SCHEMA = "autoscaler.traces.faults/1"
PLACES_SCHEMA = "autoscaler.traces.{kind}/1"
_PLACES = {
    "invocations": traces.load_invocations,
    "mobility": traces.load_mobility,
    "roads": traces.load_roads,
    "sites": traces.load_sites,
    "grid-events": traces.load_grid_events,
}
COMPARISON_SCHEMA = "autoscaler.traces.comparison/1"
_KINDS = {
    "real": "real, as recorded",
    "derived": "derived: recorded, then changed or with attributes that were drawn",
    "synthetic": "synthetic: generated",
}
BARS = " ▁▂▃▄▅▆▇█"


def formats_document() -> dict[str, Any]:
    """All formats, for other tools."""
    return {"schema": LIST_SCHEMA, "formats": [asdict(item) for item in traces.formats()]}


def formats_text() -> str:
    """All formats for humans: what each holds, its licence, source and options, and an example."""
    known, text, shared = traces.formats(), traces.text_options(), traces.shared_options()
    lines = []
    for item in known:
        lines += [f"{item.name:12} {item.kind}: {item.description}"]
        lines += [f"{'':12} licence: {item.licence}; example: {item.example}"]
        source = "; ".join(part for part in (item.citation, item.url) if part)
        lines += [f"{'':12} source: {source}"] if source else []
        lines += [_option_line(option) for option in item.options if option not in (*text, *shared)]
    lines += [f"text tables ({', '.join(item.name for item in known if text[0] in item.options)}) take"]
    lines += [_option_line(option) for option in text]
    lines += ["every format of jobs takes", *(_option_line(option) for option in shared)]
    return "\n".join(lines)


def _option_line(option: Option) -> str:
    default = f" (default {option.default})" if option.default else ""
    return f"{'':12}   {option.name}={option.kind}: {option.description}{default}"


def describe(
    uri: str, signal_uri: str | None = None, nodes_uri: str | None = None
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """What jobs, a list of nodes or a signal hold: the document for other tools, and rows for humans.

    Args:
        uri: what to describe.
        signal_uri: for jobs: a signal that they are laid over, by the default rule of `traces.signals.align`.
        nodes_uri: for jobs: nodes whose offered load is told.

    Raises:
        TraceError: it cannot be loaded, or the signal does not cover the jobs.
    """
    document, rows = _described(uri, signal_uri, nodes_uri)
    # A copy as Parquet is cited as what it is a copy of.
    scheme = TraceURI.parse(document.get("origin", uri)).scheme
    form = next((item for item in traces.formats() if item.name == scheme), None)
    if form is not None and form.citation:
        rows.insert(1, ("cite", "; ".join(part for part in (form.citation, form.url) if part)))
    return document, rows


def _described(uri: str, signal_uri: str | None, nodes_uri: str | None) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """`describe` without what the format says."""
    kind = traces.kind_of(uri)
    if kind != "jobs" and nodes_uri is not None:
        raise TraceURIError(f"{uri}: holds {kind}; only jobs are a load of nodes")
    if kind != "jobs" and signal_uri is not None:
        raise TraceURIError(f"{uri}: holds {kind}; only jobs are laid over a signal")
    if kind == "nodes":
        nodes = traces.load_nodes(uri)
        return {"schema": NODES_SCHEMA, "uri": uri, **_node_counts(nodes)}, _node_rows(nodes)
    if kind == "faults":
        faults = traces.load_faults(uri).summary()
        return {"schema": FAULTS_SCHEMA, "uri": uri, **asdict(faults)}, fault_rows(faults)
    if kind in _PLACES:
        loader: Any = _PLACES[kind]
        places = loader(uri).summary()
        return {"schema": PLACES_SCHEMA.format(kind=kind), "uri": uri, **asdict(places)}, places.rows()
    if kind == "signal":
        signal = summarize_signal(traces.load_signal(uri))
        return {"schema": SIGNAL_SCHEMA, **asdict(signal)}, signal.rows()
    trace = traces.load(uri)
    summary = summarize(trace)
    document, rows = {"schema": INFO_SCHEMA, **asdict(summary)}, _job_rows(summary)
    if nodes_uri is not None:
        loads = offered_load(trace, traces.load_nodes(nodes_uri))
        document["offered_load"] = [asdict(load) for load in loads]
        rows = [*rows, *((f"load of {load.gpu_model}", _load_text(load)) for load in loads)]
    if signal_uri is not None:
        span = (trace.first_submit_seconds, trace.last_submit_seconds)
        found = align(traces.load_signal(signal_uri), trace_start=trace.metadata.start_time, span_seconds=span)
        document["alignment"] = {"signal": signal_uri, **found.to_dict()}
        rows = [*rows, ("signal", f"{signal_uri}: {found.describe()}")]
    return document, rows


def _load_text(load: OfferedLoad) -> str:
    text = f"{load.load:.2f} ({load.gpu_hours:,.0f} GPU-hours on {load.gpus:,} GPUs)"
    return f"{text}: above 1 the queue never drains while jobs come" if load.load > 1 else text


def synthetic_uri(preset: str, **options: float | None) -> str:
    """The URI of a generated trace; an option that is None keeps the preset's value."""
    given = {name: str(value) for name, value in options.items() if value is not None}
    return str(TraceURI("synthetic", preset, given))


def strict_uri(uri: str) -> str:
    """The URI with the option that makes a row that cannot be used an error; in formats without it each is one."""
    parsed = TraceURI.parse(uri)
    form = next((item for item in traces.formats() if item.name == parsed.scheme), None)
    if form is not None and all(option.name != "strict" for option in form.options):
        return uri
    return str(TraceURI(parsed.scheme, parsed.path, {**parsed.options, "strict": "true"}))


def found_uri(uri: str, reporter: Reporter) -> str:
    """The URI; that of the format that is found where it names none, which is told.

    Raises:
        TraceError: no format is found, or several are.
    """
    found, reason = traces.find_uri(uri)
    if reason:
        reporter.note(f"read as {found}: {reason}")
    return found


def comparison(a: str, b: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """How alike two traces are: the document for other tools, and rows for humans.

    Raises:
        TraceError: one cannot be loaded, or has fewer than two jobs.
    """
    found = compare(traces.load(a), traces.load(b))
    return {"schema": COMPARISON_SCHEMA, **asdict(found)}, _comparison_rows(found)


def _comparison_rows(found: Comparison) -> list[tuple[str, str]]:
    rows = [(f"KS distance, {name}", f"{value:.3f}") for name, value in found.ks.items()]
    for scale, (first, second) in found.dispersion.items():
        rows.append((f"dispersion over {length_text(float(scale))}", f"{first:.4g} and {second:.4g}"))
    for lag, (first, second) in found.autocorrelation.items():
        rows.append((f"autocorrelation at {lag} h", f"{first:.2f} and {second:.2f}"))
    return rows


def fit_model(uri: str, output: str, reporter: Reporter) -> None:
    """Write the model of a trace as JSON, for `synthetic:FILE`.

    Raises:
        TraceError: it cannot be loaded, or has too few jobs.
        OutputFileError: the file cannot be written.
    """
    model = fit(traces.load(uri))
    write_text(output, model.to_json())
    reporter.note(f"wrote a model of {uri} to {output}; use it as synthetic:{output}?days={model.days:g}&seed=0")


def releases_text() -> str:
    """The public releases that can be fetched, for humans."""
    lines = []
    for release in CATALOGUE.values():
        lines += [f"{release.name:12} {release.description}, about {release.megabytes:g} MB"]
        lines += [f"{'':12} licence: {release.licence}; cite {release.citation}"]
    return "\n".join(lines)


def release_terms(release: Release) -> str:
    """What a user agrees to before a release is fetched."""
    addresses = "\n".join(f"  {file.url}" for file in release.files)
    return (
        f"{release.name}: {release.description}, about {release.megabytes:g} MB\n"
        f"licence: {release.licence}\ncite: {release.citation}\n{addresses}"
    )


def fetch(release: Release, folder: str | None, reporter: Reporter) -> str:
    """Fetch a release; returns the URI of its trace.

    Raises:
        TraceError: it cannot be fetched, or is not what it was.
    """
    place = cache_folder() / release.name if folder is None else Path(folder)
    told = {"percent": -1}

    def progress(name: str, size: int, total: int | None) -> None:
        percent = 10 * (10 * size // total) if total else size >> 24
        if percent != told["percent"]:
            told["percent"] = percent
            reporter.note(f"{name}: {size / 1e6:,.1f} MB" + (f" of {total / 1e6:,.1f} MB" if total else ""))

    for text in download(release, place, progress):
        reporter.note(text)
    return release.uri.format(folder=place)


def convert(uri: str, output: str, reporter: Reporter) -> None:
    """Write a trace of any format as Parquet, and tell what was left out.

    Raises:
        TraceError: it cannot be loaded.
        OutputFileError: the file cannot be written.
    """
    trace = traces.load(uri)
    trace.to_parquet(output)
    for reason, count in trace.metadata.dropped.items():
        reporter.note(f"dropped {counted(count, 'row')}: {reason}")
    if trace.metadata.bad_rows:
        reporter.note(trace.metadata.bad_rows_text)
    reporter.note(f"wrote {trace.num_jobs:,} jobs of {trace.uri} to {output}")


def _job_rows(summary: TraceSummary) -> list[tuple[str, str]]:
    per_day = "" if summary.jobs_per_day is None else f" ({summary.jobs_per_day:,.0f} a day)"
    durations = summary.duration_seconds
    hours = "local time" if summary.start_time else "from second 0"
    rows = [
        ("source", f"{summary.source}; licence: {summary.licence}"),
        ("data", _KINDS[summary.kind]),
        ("second 0", summary.start_time or "local time not known"),
        ("jobs", f"{summary.jobs:,}{per_day}"),
        ("span", length_text(summary.span_seconds)),
        ("work", f"{summary.gpu_hours:,.1f} GPU-hours"),
        ("peak, nobody waiting", f"{summary.peak_gpus:,.6g} GPUs"),
        ("GPUs of a job", _gpu_mix(summary)),
        ("duration", ", ".join(f"{name} {length_text(seconds)}" for name, seconds in durations.items())),
        (f"jobs by hour ({hours})", f"0h {sparkline(summary.jobs_by_hour)} 23h"),
    ]
    rows += [(name, f"{count:,}") for name, count in (("users", summary.users), ("groups", summary.groups)) if count]
    rows.append(("jobs that say", _jobs_with(summary)))
    rows += [("dropped", counted(count, "row", f": {reason}")) for reason, count in summary.dropped.items()]
    rows += [("cannot be used", counted(count, "row", f": {reason}")) for reason, count in summary.bad_rows.items()]
    return rows


def _jobs_with(summary: TraceSummary) -> str:
    width = max(map(len, summary.jobs_with))
    lines = []
    for name, count in summary.jobs_with.items():
        drawn = " sampled" if name in summary.synthetic_columns else ""
        lines.append(
            f"{name:{width}} : {count:,} ({count / summary.jobs:.0%}{drawn})" if count else f"{name:{width}} : -"
        )
    return "\n".join(lines)


def _gpu_mix(summary: TraceSummary) -> str:
    lines = []
    for item in summary.gpu_mix:
        jobs, work = item.jobs / summary.jobs, item.gpu_hours / summary.gpu_hours
        lines.append(f"{item.gpus:>4} : {jobs:6.1%} of jobs, {work:6.1%} of work")
    return "\n".join(lines)


def _node_counts(nodes: Nodes) -> dict[str, Any]:
    from collections import Counter

    pairs = zip(nodes.table["gpu_model"].to_pylist(), nodes.table["gpus"].to_pylist(), strict=True)
    kinds = [
        {"gpu_model": model, "gpus_per_node": gpus, "nodes": count}
        for (model, gpus), count in sorted(Counter(pairs).items())
    ]
    head = {"source": nodes.source, "licence": nodes.licence, "nodes": nodes.num_nodes, "gpus": nodes.total_gpus}
    head |= {"bad_rows": dict(nodes.bad_rows), "switches": list(nodes.switch_counts)}
    return {**head, "kinds": kinds}


def _node_rows(nodes: Nodes) -> list[tuple[str, str]]:
    counts = _node_counts(nodes)
    rows = [
        ("source", f"{nodes.source}; licence: {nodes.licence}"),
        ("nodes", f"{nodes.num_nodes:,}"),
        ("GPUs", f"{nodes.total_gpus:,}"),
    ]
    rows += [
        (kind["gpu_model"], f"{kind['nodes']:,} nodes of {kind['gpus_per_node']} GPUs") for kind in counts["kinds"]
    ]
    if nodes.switch_counts:
        layers = ", ".join(f"{count:,}" for count in nodes.switch_counts)
        rows.append(("switches", f"{layers} from the nodes to the core"))
    return rows + [("cannot be used", counted(count, "row", f": {reason}")) for reason, count in nodes.bad_rows.items()]


def sparkline(values: tuple[int, ...]) -> str:
    """Return one bar for each value, from none to the height of the largest."""
    largest = max(values, default=0) or 1
    return "".join(BARS[-(-value * (len(BARS) - 1) // largest)] for value in values)


def length_text(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s"
