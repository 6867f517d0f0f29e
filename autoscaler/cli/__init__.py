"""The command line: one module per subcommand, imported when that subcommand runs.

A module `autoscaler/cli/<name>.py` offers a function `command` or, for a group of commands, a Typer `app`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

# subcommand: (module, its line in `autoscaler --help`)
COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("autoscaler.cli.train", "Train a policy as an experiment config says, or resume a run."),
    "sweep": ("autoscaler.cli.sweep", "Search hyperparameters with Optuna, trial by trial."),
    "evaluate": (
        "autoscaler.cli.evaluate",
        "Compare a policy with baselines and a bound; write a report.",
    ),
    "simulate": ("autoscaler.cli.simulate", "Replay a trace with one policy and print what it cost."),
    "deploy": ("autoscaler.cli.deploy", "Run a policy on a Kubernetes cluster; by default a dry run."),
    "replay": ("autoscaler.cli.replay", "Decide an audit of deploy again, offline, and compare to the bit."),
    "envs": ("autoscaler.cli.envs", "List the environments, and check that one keeps Gymnasium's rules."),
    "traces": ("autoscaler.cli.traces", "List, inspect, import and generate traces of GPU jobs."),
    "doctor": ("autoscaler.cli.doctor", "Check this installation and say how to mend what is wrong."),
}

# optional module: the extra that installs it
EXTRAS = {"kubernetes": "live", "onnxruntime": "live", "prometheus_client": "live", "optuna": "sweep", "wandb": "wandb"}

USER_ERROR = 2
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
DEBUG_VARIABLE = "AUTOSCALER_DEBUG"


class LazyGroup(TyperGroup):
    """A group that knows its subcommands by name and imports the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of a subcommand; None when there is no such subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module_name, summary = COMMANDS[cmd_name]
        return _typer_command(cmd_name, importlib.import_module(module_name), summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Propose the nearest name when there is no such subcommand."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from configs.errors import did_you_mean

            ctx.fail(f"no such command {args[0]!r}{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the subcommands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; Ctrl-C ends it with one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None


# Plain help texts: Rich alone would take a third of the start-up time that --help is allowed.
app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from autoscaler import __version__

        typer.echo(f"autoscaler {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train, evaluate and run autoscaling policies for GPU clusters."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _typer_command(name: str, module: Any, summary: str) -> Any:
    group: typer.Typer | None = getattr(module, "app", None)
    if group is None:
        group = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
        group.command(name, help=_help_text(module.command) or summary)(module.command)
    command = typer.main.get_command(group)
    command.name = name
    return command


def _help_text(function: Callable[..., Any]) -> str:
    """The docstring without its `Args:` and `Raises:`; the options document themselves."""
    return re.split(r"\n\s*(?:Args|Raises|Returns):\n", function.__doc__ or "")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    A `UserError` or an `OSError` becomes one line on stderr and status 2. Anything else is a bug of ours: one line and
    status 70. With `AUTOSCALER_DEBUG=1` in the environment both show their traceback.

    Args:
        arguments: The words after `autoscaler`; None takes them from `sys.argv`.
    """
    try:
        status = typer.main.get_command(app).main(arguments, prog_name="autoscaler", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        message, status = _describe(error)
        typer.echo(message, err=True)
    return status if isinstance(status, int) else 0


def _silence_stdout() -> None:
    # The interpreter flushes stdout once more when it ends, and would complain about the closed pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _describe(error: Exception) -> tuple[str, int]:
    """The one line for an exception, and the exit status."""
    from configs.errors import UserError

    if isinstance(error, typer.TyperException):
        message = error.format_message()
        # A group that is called without a subcommand raises its whole help.
        return (message if "\n" in message else f"error: {_with_help_hint(error, message)}"), USER_ERROR
    if isinstance(error, typer.Abort):
        return "aborted", 1
    if isinstance(error, UserError):
        return f"error: {_one_line(str(error))}", USER_ERROR
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"error: {where}{_one_line(error.strerror or str(error))}", USER_ERROR
    if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
        return f"error: {error.name} is not installed; pip install 'green-gpu-autoscaler[{extra}]'", USER_ERROR
    cause = _one_line(f"{type(error).__name__}: {error}")
    return f"error: internal: {cause} (this is a bug; {DEBUG_VARIABLE}=1 shows where)", INTERNAL_ERROR


def _with_help_hint(error: typer.TyperException, message: str) -> str:
    context = getattr(error, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    return f"{message[:1].lower()}{message[1:].rstrip('.')}{hint}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
