"""The command line: one module per subcommand, imported when that subcommand runs.

A module `autoscaler/cli/<name>.py` offers a function `command` or, for a group of commands, a Typer `app`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from autoscaler.cli._errors import run
from autoscaler.cli._lazy import LazyGroup

# subcommand: (module, its line in `autoscaler --help`)
COMMANDS: dict[str, tuple[str, str]] = {
    "train": ("autoscaler.cli.train", "Train a policy as an experiment config says, or resume a run."),
    "sweep": ("autoscaler.cli.sweep", "Search hyperparameters with Optuna, trial by trial."),
    "evaluate": (
        "autoscaler.cli.evaluate",
        "Compare a policy with baselines and a bound; write a report.",
    ),
    "bench": ("autoscaler.cli.bench", "Run policies on the suite of named scenarios, and compare them."),
    "results": ("autoscaler.cli.results", "Ask the results of `bench run` in SQL."),
    "headroom": ("autoscaler.cli.headroom", "Say what a scenario has to win, before anything is trained."),
    "simulate": ("autoscaler.cli.simulate", "Replay a trace with one policy and print what it cost."),
    "city": ("autoscaler.cli.city", "Play, compare and record policies on the edge sites of a city."),
    "dashboard": ("autoscaler.cli.dashboard", "Show what a policy does, recorded or live, in the browser."),
    "render": ("autoscaler.cli.render", "Draw a recording: an animated GIF, a film, or one picture."),
    "deploy": ("autoscaler.cli.deploy", "Run a policy on a Kubernetes cluster; by default a dry run."),
    "knative": (
        "autoscaler.cli.knative",
        "Write the keep-alive of Knative Services; by default a dry run.",
    ),
    "explain": ("autoscaler.cli.explain", "Say why a node is still here, or why a job waits."),
    "policies": ("autoscaler.cli.policies", "List the trained policies of the package, and show their cards."),
    "replay": ("autoscaler.cli.replay", "Decide an audit of deploy again, offline, and compare to the bit."),
    "envs": ("autoscaler.cli.envs", "List environments, and check that one keeps Gymnasium's rules."),
    "traces": ("autoscaler.cli.traces", "List, inspect, import and generate traces of GPU jobs."),
    "hardware": ("autoscaler.cli.hardware", "Show power, price and carbon of GPUs and machines."),
    "doctor": ("autoscaler.cli.doctor", "Check this installation and say how to fix what is wrong."),
}


class Commands(LazyGroup):
    """The subcommands of `autoscaler`."""

    table = COMMANDS


# Plain help texts: Rich alone would take a third of the start-up time that --help is allowed.
app = typer.Typer(cls=Commands, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    A `UserError` or an `OSError` becomes one line on stderr and status 2. Anything else is a bug of ours: one line and
    status 70. With `AUTOSCALER_DEBUG=1` in the environment both show their traceback.

    Args:
        arguments: The words after `autoscaler`; None takes them from `sys.argv`.
    """
    return run(app, arguments)
