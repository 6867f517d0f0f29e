"""Tables on stdout that subcommands share."""

from __future__ import annotations

from collections.abc import Sequence


def print_pairs(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """A table of names and values."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, title=Text(title), title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in rows:
        # As texts: a path may hold what Rich would take for markup.
        table.add_row(Text(name), Text(value))
    Console().print(table)


def print_columns(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with a header; all columns but the first are numbers.

    Where stdout is no terminal it is as wide as it needs to be, so that other tools see no broken lines.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table(title=Text(title), title_justify="left")
    for index, name in enumerate(header):
        table.add_column(Text(name), justify="right" if index else "left", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(Text(value) for value in row))
    console.print(table)
