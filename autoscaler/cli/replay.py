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

    Observation, mask, action and decision must be the same, and so must be what the guardrails left of it, and why.
    Verdicts whose view was too large to be written are only counted.

    Exits with 0 when nothing differs and with 1 otherwise.
    """
    from autoscaler.live.policy.decide import Decider, make_decider
    from autoscaler.live.replay import replay, summarize
    from autoscaler.live.telemetry.audit import Header

    def make(header: Header) -> Decider:
        return make_decider(policy or header.policy, header.layout)

    found = summarize(replay(audit, make))
    if json_to is not None:
        lines = [{"line": each.line, "part": each.part, "index": each.index} for each in found.different]
        counts = {
            "decisions": found.decisions,
            "verdicts": found.verdicts,
            "verdicts_without_view": found.without_view,
        }
        write_json({"schema": SCHEMA, "audit": str(audit), **counts, "different": lines}, json_to)
    if json_to != "-":
        left = f" ({found.without_view} verdicts without a view were not decided again)" if found.without_view else ""
        typer.echo(f"{found.decisions} decisions, {found.verdicts} verdicts, {len(found.different)} differ{left}")
        for difference in found.different[:SHOWN]:
            typer.echo(f"  {difference}")
    raise typer.Exit(1 if found.different else 0)
