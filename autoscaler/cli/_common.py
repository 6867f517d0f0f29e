"""Options that several subcommands share, and how all of them write: results to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configs.files import check_output_file, json_text, write_text

if TYPE_CHECKING:
    from autoscaler.recordings.stretch import Stretch


def checked_output(path: str | None) -> str | None:
    """The callback of every option that names a file to write: what cannot be written is refused before any work.

    Raises:
        OutputFileError: the file could not be written.
    """
    if path is not None and path != "-":
        check_output_file(path)
    return path


def _parquet_path(path: str) -> str:
    if not path.endswith(".parquet"):
        raise typer.BadParameter(f"{path}: traces are written as Parquet; end the name in .parquet")
    return checked_output(path) or path


def _picture_path(path: str | None) -> str | None:
    if path is not None and not path.endswith((".png", ".svg")):
        raise typer.BadParameter(f"{path}: the picture is a .png or a .svg; end the name in one of them")
    return checked_output(path)


FigureOption = Annotated[
    str | None, typer.Option("--figure", metavar="PATH", callback=_picture_path, help="Write one .png or .svg.")
]
ParquetOption = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", callback=_parquet_path, help="Parquet file to write.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="PATH",
        callback=checked_output,
        help="Write the result as JSON to this file; - is stdout.",
    ),
]


def _new_folder(path: str | None) -> str | None:
    if path is not None:
        from envs.recording import check_folder

        check_folder(path)
    return path


RecordOption = Annotated[
    str | None,
    typer.Option(
        "--record",
        metavar="FOLDER",
        callback=_new_folder,
        help="Write a recording for `autoscaler dashboard` into a new folder.",
    ),
]


RecordFromOption = Annotated[
    float | None,
    typer.Option("--record-from", metavar="SECONDS", help="Where the recording begins, in the time of the trace."),
]
RecordUntilOption = Annotated[
    float | None, typer.Option("--record-until", metavar="SECONDS", help="Where the recording ends.")
]


def recorded_stretch(record: str | None, start: float | None, until: float | None) -> Stretch:
    """What of a run is recorded.

    Raises:
        BadParameter: nothing is.
        RecordingError: a moment is no finite number.
    """
    from autoscaler.recordings.stretch import Stretch

    for option, value in (("--record-from", start), ("--record-until", until)):
        if value is not None and record is None:
            raise typer.BadParameter(f"{option} is for recordings; give --record FOLDER too")
    return Stretch(start, until)


def _usage_file(path: str | None) -> str | None:
    if path is not None:
        from autoscaler.usage import check_usage_file

        check_usage_file(path)
    return path


UsageOption = Annotated[
    str | None,
    typer.Option(
        "--usage",
        metavar="FILE",
        callback=_usage_file,
        help="Attribute energy, carbon and money to jobs, users, groups and pools; a row for each job goes to this "
        "file (.csv or .parquet).",
    ),
]
OverridesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value of the config by its dotted key."),
]


def note(text: str, quiet: bool = False) -> None:
    """Tell the user something that is no result, on stderr."""
    if not quiet:
        typer.echo(text, err=True)


def write_json(document: Mapping[str, Any], destination: str) -> None:
    """Write a result for other tools, see `configs.files.json_text`.

    Args:
        document: The result.
        destination: A path, or `-` for stdout.

    Raises:
        OutputFileError: The file cannot be written.
    """
    text = json_text(document)
    if destination == "-":
        sys.stdout.write(text)
    else:
        write_text(destination, text)
