"""Callbacks of options that name something: a wrong name is refused before anything heavy is imported."""

from __future__ import annotations

from typing import Annotated

import typer


def _check_run(source: str) -> None:
    from agents.artifact import find_artifact

    find_artifact(source)


def _policy(name: str) -> str:
    from agents.names import check_policy

    check_policy(name)
    return name


def _runs(sources: list[str] | None) -> list[str] | None:
    for source in sources or ():
        _check_run(source)
    return sources


def _run(source: str | None) -> str | None:
    if source is not None:
        _check_run(source)
    return source


def _experiment(name: str | None) -> str | None:
    if name is not None:
        from configs.presets import find_config

        find_config(name)
    return name


def _trace(uri: str | None) -> str | None:
    if uri is not None:
        from traces import check_uri

        check_uri(uri, "jobs")
    return uri


EXPERIMENT_HELP = "An experiment: a YAML file or a preset, such as experiment/quickstart."

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN]...",
        callback=_runs,
        help="Folders of trained runs, or pretrained:NAME; seeds of one join.",
    ),
]
PolicyOption = Annotated[
    str,
    typer.Option(
        "--policy", metavar="NAME|RUN", callback=_policy, help="A fixed rule, a trained run, or pretrained:NAME."
    ),
]
InitFromOption = Annotated[
    str | None,
    typer.Option("--init-from", metavar="RUN", callback=_run, help="Start from the policy of this run."),
]
ExperimentArgument = Annotated[str, typer.Argument(callback=_experiment, help=EXPERIMENT_HELP)]
OptionalExperimentArgument = Annotated[str | None, typer.Argument(callback=_experiment, help=EXPERIMENT_HELP)]
TraceOption = Annotated[
    str, typer.Option("--trace", metavar="URI", callback=_trace, help="Jobs to replay, see `autoscaler traces list`.")
]
OtherTraceOption = Annotated[
    str | None,
    typer.Option("--trace", metavar="URI", callback=_trace, help="Jobs; else those of the run or the config."),
]
