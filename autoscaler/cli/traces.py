"""`autoscaler traces`: list the formats, inspect, import and generate traces."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoscaler.cli._common import JsonOption, QuietOption, note, write_json

if TYPE_CHECKING:
    from traces import Nodes, Trace
    from traces.options import Option
    from traces.summary import TraceSummary

LIST_SCHEMA = "autoscaler.traces.list/1"
INFO_SCHEMA = "autoscaler.traces.info/1"
NODES_SCHEMA = "autoscaler.traces.nodes/1"
BARS = " ▁▂▃▄▅▆▇█"

app = typer.Typer(
    help="List, inspect, import and generate traces of GPU jobs.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)


def _parquet_path(path: str) -> str:
    if not path.endswith(".parquet"):
        raise typer.BadParameter(f"{path}: traces are written as Parquet; end the name in .parquet")
    return path


OutputOption = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", callback=_parquet_path, help="Parquet file to write.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="A row of a text table that cannot be used is an error, as option strict=true.")
]
URIArgument = Annotated[str, typer.Argument(metavar="URI", help="FORMAT:PATH?option=value, see `traces list`.")]


@app.command("list")
def list_formats(json_to: JsonOption = None) -> None:
    """List the formats: what each holds, its licence, source and options, and an example."""
    import traces

    known = traces.formats()
    if json_to is not None:
        write_json({"schema": LIST_SCHEMA, "formats": [asdict(item) for item in known]}, json_to)
    if json_to == "-":
        return
    text, shared = traces.text_options(), traces.shared_options()
    for item in known:
        typer.echo(f"{item.name:12} {item.kind}: {item.description}")
        typer.echo(f"{'':12} licence: {item.licence}; example: {item.example}")
        if item.citation:
            typer.echo(f"{'':12} source: {item.citation}")
        for option in item.options:
            if option not in (*text, *shared):
                typer.echo(_option_line(option))
    typer.echo(f"text tables ({', '.join(item.name for item in known if text[0] in item.options)}) take")
    for option in text:
        typer.echo(_option_line(option))
    typer.echo("every format of jobs takes")
    for option in shared:
        typer.echo(_option_line(option))


def _option_line(option: Option) -> str:
    default = f" (default {option.default})" if option.default else ""
    return f"{'':12}   {option.name}={option.kind}: {option.description}{default}"


@app.command("info")
def info(uri: URIArgument, strict: StrictOption = False, json_to: JsonOption = None) -> None:
    """Show what a trace, or a list of nodes, holds."""
    import traces
    from traces.summary import summarize

    uri = _strict(uri) if strict else uri
    if traces.kind_of(uri) == "nodes":
        nodes = traces.load_nodes(uri)
        document: dict[str, Any] = {"schema": NODES_SCHEMA, "uri": uri, **_node_counts(nodes)}
        rows = _node_rows(nodes)
    else:
        summary = summarize(traces.load(uri))
        document = {"schema": INFO_SCHEMA, **asdict(summary)}
        rows = _job_rows(summary)
    if json_to is not None:
        write_json(document, json_to)
    if json_to != "-":
        _print_table(document["uri"], rows)


@app.command("import")
def import_trace(
    uri: URIArgument, output: OutputOption, strict: StrictOption = False, quiet: QuietOption = False
) -> None:
    """Convert a trace of any format to Parquet.

    Rows that cannot be used are left out and counted by reason; with --strict the first of them is an error.
    """
    import traces

    _write(traces.load(_strict(uri) if strict else uri), output, quiet)


def _strict(uri: str) -> str:
    from traces.uri import TraceURI

    parsed = TraceURI.parse(uri)
    return str(TraceURI(parsed.scheme, parsed.path, {**parsed.options, "strict": "true"}))


@app.command("generate")
def generate(
    preset: Annotated[str, typer.Argument(help="Name of a preset, such as quickstart.")],
    output: OutputOption,
    days: Annotated[float | None, typer.Option(help="Length, days; else the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same trace; else one is drawn.")] = None,
    jobs_per_day: Annotated[float | None, typer.Option(help="Expected jobs per day; else the preset's.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Generate a synthetic trace."""
    import traces
    from traces.uri import TraceURI

    given = {"days": days, "seed": seed, "jobs_per_day": jobs_per_day}
    options = {name: str(value) for name, value in given.items() if value is not None}
    _write(traces.load(str(TraceURI("synthetic", preset, options))), output, quiet)


def _write(trace: Trace, output: str, quiet: bool) -> None:
    trace.to_parquet(output)
    for reason, count in trace.metadata.dropped.items():
        note(f"dropped {count:,} rows: {reason}", quiet)
    if trace.metadata.bad_rows:
        note(trace.metadata.bad_rows_text, quiet)
    note(f"wrote {trace.num_jobs:,} jobs of {trace.uri} to {output}", quiet)


def _print_table(title: str, rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, title=Text(title), title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in rows:
        # As texts: a path or a group may hold what Rich would take for markup.
        table.add_row(Text(name), Text(value))
    Console().print(table)


def _job_rows(summary: TraceSummary) -> list[tuple[str, str]]:
    per_day = "" if summary.jobs_per_day is None else f" ({summary.jobs_per_day:,.0f} a day)"
    durations = summary.duration_seconds
    hours = "local time" if summary.start_time else "from second 0"
    rows = [
        ("source", f"{summary.source}; licence: {summary.licence}"),
        ("second 0", summary.start_time or "local time not known"),
        ("jobs", f"{summary.jobs:,}{per_day}"),
        ("span", _length(summary.span_seconds)),
        ("work", f"{summary.gpu_hours:,.1f} GPU-hours"),
        ("peak, nobody waiting", f"{summary.peak_gpus:,.6g} GPUs"),
        ("GPUs of a job", _gpu_mix(summary)),
        ("duration", ", ".join(f"{name} {_length(seconds)}" for name, seconds in durations.items())),
        (f"jobs by hour ({hours})", f"0h {sparkline(summary.jobs_by_hour)} 23h"),
    ]
    rows += [(name, f"{count:,}") for name, count in (("users", summary.users), ("groups", summary.groups)) if count]
    rows.append(("jobs that say", _jobs_with(summary)))
    rows += [("dropped", f"{count:,} rows: {reason}") for reason, count in summary.dropped.items()]
    rows += [("cannot be used", f"{count:,} rows: {reason}") for reason, count in summary.bad_rows.items()]
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
    head["bad_rows"] = dict(nodes.bad_rows)
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
    return rows + [("cannot be used", f"{count:,} rows: {reason}") for reason, count in nodes.bad_rows.items()]


def sparkline(values: tuple[int, ...]) -> str:
    """Return one bar for each value, from none to the height of the largest."""
    largest = max(values, default=0) or 1
    return "".join(BARS[-(-value * (len(BARS) - 1) // largest)] for value in values)


def _length(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.3g} s"
