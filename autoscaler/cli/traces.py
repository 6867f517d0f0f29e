"""`autoscaler traces`: list the formats, inspect, import and generate traces."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, ParquetOption, QuietOption, checked_output, write_json
from autoscaler.cli._lazy import plain_group
from autoscaler.progress import make_reporter

app = plain_group(help="List, inspect, import and generate traces of GPU jobs.", no_args_is_help=True)


StrictOption = Annotated[
    bool, typer.Option("--strict", help="A row of a text table that cannot be used is an error, as option strict=true.")
]
SignalOption = Annotated[
    str | None, typer.Option("--signal", metavar="URI", help="Say which part of this signal the jobs are laid over.")
]
URIArgument = Annotated[str, typer.Argument(metavar="URI", help="FORMAT:PATH?option=value, see `traces list`.")]


@app.command("list")
def list_formats(json_to: JsonOption = None) -> None:
    """List the formats: what each holds, its licence, source and options, and an example."""
    from autoscaler.trace_tables import formats_document, formats_text

    if json_to is not None:
        write_json(formats_document(), json_to)
    if json_to != "-":
        typer.echo(formats_text())


@app.command("info")
def info(
    uri: URIArgument,
    signal: SignalOption = None,
    nodes: Annotated[str | None, typer.Option(metavar="URI", help="Tell the offered load of these nodes.")] = None,
    strict: StrictOption = False,
    json_to: JsonOption = None,
) -> None:
    """Show what a trace of jobs, a list of nodes, a signal, a road network, sites or positions of users hold.

    For a path without a format, the format is found.
    """
    from autoscaler.trace_tables import describe, found_uri, strict_uri

    found = found_uri(uri, make_reporter(json_to != "-"))
    document, rows = describe(strict_uri(found) if strict else found, signal, nodes)
    if json_to is not None:
        write_json(document, json_to)
    if json_to != "-":
        from autoscaler.cli._table import print_pairs

        print_pairs(document["uri"], rows)


@app.command("import")
def import_trace(
    uri: URIArgument, output: ParquetOption, strict: StrictOption = False, quiet: QuietOption = False
) -> None:
    """Convert a trace of any format to Parquet; for a path without a format, the format is found.

    Rows that cannot be used are left out and counted by reason; with --strict the first of them is an error.
    """
    from autoscaler.trace_tables import convert, found_uri, strict_uri

    reporter = make_reporter(not quiet)
    found = found_uri(uri, reporter)
    convert(strict_uri(found) if strict else found, output, reporter)


@app.command("generate")
def generate(
    preset: Annotated[str, typer.Argument(help="Name of a preset, such as quickstart.")],
    output: ParquetOption,
    days: Annotated[float | None, typer.Option(help="Length, days; else the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same trace; else one is drawn.")] = None,
    jobs_per_day: Annotated[float | None, typer.Option(help="Expected jobs per day; else the preset's.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Generate a synthetic trace."""
    from autoscaler.trace_tables import convert, synthetic_uri

    convert(synthetic_uri(preset, days=days, seed=seed, jobs_per_day=jobs_per_day), output, make_reporter(not quiet))


@app.command("compare")
def compare_traces(
    a: Annotated[str, typer.Argument(metavar="A", help="URI of a trace.")],
    b: Annotated[str, typer.Argument(metavar="B", help="URI of another.")],
    json_to: JsonOption = None,
) -> None:
    """Compare two traces: KS distance per marginal, bursts by time scale, autocorrelation of arrivals."""
    from autoscaler.trace_tables import comparison

    document, rows = comparison(a, b)
    if json_to is not None:
        write_json(document, json_to)
    if json_to != "-":
        from autoscaler.cli._table import print_pairs

        print_pairs(f"{document['a']} and {document['b']}", rows)


@app.command("predict")
def predict(uri: URIArgument, json_to: JsonOption = None) -> None:
    """Show how well run times and arrivals can be predicted from what came before."""
    from autoscaler.prediction_tables import measured

    document, rows = measured(uri)
    if json_to is not None:
        write_json(document, json_to)
    if json_to != "-":
        from autoscaler.cli._table import print_pairs

        print_pairs(document["uri"], rows)


@app.command("fit")
def fit(
    uri: URIArgument,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", callback=checked_output, help="JSON file to write.")
    ],
    quiet: QuietOption = False,
) -> None:
    """Fit a generator to a trace: the file that is written is a preset, `synthetic:FILE`."""
    from autoscaler.trace_tables import fit_model

    fit_model(uri, output, make_reporter(not quiet))


@app.command("download")
def download(
    name: Annotated[str | None, typer.Argument(help="Name of a release; without one, they are listed.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to the licence without being asked.")] = False,
    folder: Annotated[str | None, typer.Option(help="Where to; else the platform's cache folder.")] = None,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="Fetch from URL/NAME/FILE, not from the publisher.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Fetch a public release of a trace and print its URI. A download that broke off goes on where it stopped."""
    from autoscaler.trace_tables import fetch, release_terms, releases_text
    from traces.catalogue import find_release
    from traces.errors import TraceURIError

    if name is None:
        typer.echo(releases_text())
        return
    release = find_release(name) if mirror is None else find_release(name).at(mirror)
    typer.echo(release_terms(release), err=True)
    if not yes and not _agrees():
        raise TraceURIError(f"{name}: nothing was fetched, for you did not agree to the terms; y or --yes does")
    typer.echo(fetch(release, folder, make_reporter(not quiet)))


def _agrees() -> bool:
    """Ask on stderr: stdout has the URI only, so that a script can read it."""
    typer.echo("Fetch it under these terms? [y/N] ", nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@app.command("plot")
def plot(
    uri: URIArgument,
    other: Annotated[str | None, typer.Argument(metavar="OTHER", help="Another trace to hold it against.")] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", callback=checked_output, help="HTML page to write.")
    ] = "trace.html",
    quiet: QuietOption = False,
) -> None:
    """Write one page: arrivals, run times, GPUs, load, users and bursts of a trace."""
    from autoscaler.trace_page import write_page

    write_page([uri] if other is None else [uri, other], output)
    make_reporter(not quiet).note(f"wrote {output}")
