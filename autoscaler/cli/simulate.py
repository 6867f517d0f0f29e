"""`autoscaler simulate`: replay a trace with one policy and print what it cost."""

from __future__ import annotations

from typing import Annotated

import typer

from autoscaler.cli._common import (
    JsonOption,
    OverridesOption,
    QuietOption,
    RecordFromOption,
    RecordOption,
    RecordUntilOption,
    UsageOption,
    checked_output,
    recorded_stretch,
    write_json,
)
from autoscaler.cli._names import PolicyOption, TraceOption


def command(
    trace: TraceOption,
    policy: PolicyOption = "reactive",
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster",
            metavar="CLUSTER",
            help="auto (one pool of 8-GPU nodes, large enough that no job must wait), a YAML file, or "
            "openb-nodes:PATH.",
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="For policies that draw at random.", min=0)] = 0,
    packer: Annotated[str | None, typer.Option(help="In-pool packer; else the policy's own.")] = None,
    overrides: OverridesOption = None,
    events: Annotated[
        str | None,
        typer.Option(
            "--events",
            metavar="PATH",
            callback=checked_output,
            help="Write what happened to jobs and nodes as Parquet.",
        ),
    ] = None,
    usage: UsageOption = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Check every invariant after every event; many times slower.")
    ] = False,
    record: RecordOption = None,
    record_from: RecordFromOption = None,
    record_until: RecordUntilOption = None,
    json_to: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Replay a trace with one policy and print what it cost.

    The whole trace runs, from its first submission until its last job has ended. --set changes the environment, for
    example --set objective.usd_per_kwh=0.3.
    """
    stretch = recorded_stretch(record, record_from, record_until)
    from autoscaler.simulation import simulate

    done = simulate(
        policy, trace, cluster=cluster, overrides=[*(overrides or []), *(["debug=true"] if debug else [])],
        packer=packer, seed=seed, events=events, record=record, stretch=stretch,
        usage=usage or False, progress=not quiet,
    )  # fmt: skip
    if json_to is not None:
        write_json(done.document(), json_to)
    if json_to != "-":
        from autoscaler.cli._table import print_columns, print_pairs

        print_pairs(f"{done.policy} on {done.scenario.trace.uri}", done.rows())
        if done.usage is not None:
            print_columns(*done.usage.table())
