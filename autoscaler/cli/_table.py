"""Tables on stdout that subcommands share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autoscaler.cli._common import write_json

if TYPE_CHECKING:
    from rich.console import Console

    from autoscaler.evaluation.tables import Table


def print_pairs(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """A table of names and values."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, title=Text(title), title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in rows:
        # As texts: a path may hold what Rich would take for markup.
        table.add_row(Text(name), Text(value))
    _console(120).print(table)


def print_columns(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, stderr: bool = False) -> None:
    """A table with a header; all columns but the first are numbers. On stdout, or on stderr."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")
    for index, name in enumerate(header):
        # A long name is broken where the column is narrow, not cut.
        table.add_column(Text(name, overflow="fold"), justify="right" if index else "left", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(Text(value) for value in row))
    _console(200, stderr).print(table)


def show(document: Mapping[str, Any], tables: Iterable[Table], json_to: str | None) -> None:
    """A result as JSON where that is wanted, and as tables, unless JSON takes stdout.

    Raises:
        OutputFileError: the JSON cannot be written.
    """
    if json_to is not None:
        write_json(document, json_to)
    if json_to != "-":
        for table in tables:
            print_columns(*table)


def _console(width: int, stderr: bool = False) -> Console:
    """A console, `width` columns wide where it is no terminal: lines in a file are not broken without need."""
    from rich.console import Console

    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(width=width, stderr=stderr)
