"""A group of subcommands that imports only the one that runs."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class LazyGroup(TyperGroup):
    """A group that knows its subcommands by name and imports the one that runs.

    Attributes:
        table: subcommand -> (module, its line in the help).
    """

    table: ClassVar[Mapping[str, tuple[str, str]]]

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of a subcommand; None when there is no such subcommand."""
        if cmd_name not in self.table:
            return None
        module_name, summary = self.table[cmd_name]
        return _typer_command(cmd_name, importlib.import_module(module_name), summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Propose the nearest name when there is no such subcommand."""
        if args[0] not in self.table and not args[0].startswith("-"):
            from configs.errors import did_you_mean

            ctx.fail(f"no such command {args[0]!r}{did_you_mean(args[0], self.table)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the subcommands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.table.items()])

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; Ctrl-C ends it with one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None


def _typer_command(name: str, module: Any, summary: str) -> Any:
    group: typer.Typer | None = getattr(module, "app", None)
    if group is None:
        group = plain_group()
        group.command(name, help=_help_text(module.command) or summary)(module.command)
    command = typer.main.get_command(group)
    command.name = name
    return command


def _help_text(function: Callable[..., Any]) -> str:
    """The docstring without its `Args:` and `Raises:`; the options document themselves."""
    return re.split(r"\n\s*(?:Args|Raises|Returns):\n", function.__doc__ or "")[0]


def plain_group(**more: Any) -> typer.Typer:
    """A Typer application with plain help texts; the arguments are those of `typer.Typer`."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, **more)
