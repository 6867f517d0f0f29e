"""Run the command line: every exception becomes one line and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

# optional module: the extra that installs it
EXTRAS = {
    **dict.fromkeys(("kubernetes", "onnxruntime", "prometheus_client"), "live"),
    "optuna": "sweep",
    "wandb": "wandb",
    "duckdb": "results",
    "ray": "ray",
}

USER_ERROR = 2
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
DEBUG_VARIABLE = "AUTOSCALER_DEBUG"


def run(app: typer.Typer, arguments: Sequence[str] | None) -> int:
    """Run an application and return its exit status; see `autoscaler.cli.main`."""
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
