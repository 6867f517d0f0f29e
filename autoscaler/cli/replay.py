"""`autoscaler replay`: decide an audit again, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, write_json

SCHEMA = "autoscaler.replay/1"
SHOWN = 10


def command(
    audit: Annotated[Path, typer.Argument(help="The file that `autoscaler deploy` wrote (audit_path).")],
    policy: Annotated[
        str | None, typer.Option("--policy", help="Another place of the same policy; else as the audit names it.")
    ] = None,
    json_to: JsonOption = None,
) -> None:
    """Decide every decision of an audit again and compare it to the bit.

    Observation, mask, action, target nodes and placement must be the same; the guardrails' verdicts stand in the audit
    and are not decided again. Exits with 0 when nothing differs and with 1 otherwise.
    """
    from autoscaler.live.audit import Header, count_differences, replay
    from autoscaler.live.decide import Decider, make_decider

    def make(header: Header) -> Decider:
        return make_decider(policy or header.policy, header.layout)

    total, different = count_differences(replay(audit, make))
    if json_to is not None:
        lines = [{"line": each.line, "part": each.part, "index": each.index} for each in different]
        write_json({"schema": SCHEMA, "audit": str(audit), "decisions": total, "different": lines}, json_to)
    if json_to != "-":
        typer.echo(f"{total} decisions, {len(different)} differ")
        for difference in different[:SHOWN]:
            typer.echo(f"  {difference}")
    raise typer.Exit(1 if different else 0)
