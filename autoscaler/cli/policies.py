"""`autoscaler policies`: the trained policies that come with the package, and export of any."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from autoscaler.cli._common import JsonOption, write_json
from autoscaler.cli._lazy import plain_group

app = plain_group(no_args_is_help=True)

SCHEMA = "autoscaler.policies/1"


@app.command("list")
def list_command(json_to: JsonOption = None) -> None:
    """List the policies that come with the package.

    `pretrained:NAME` stands for one wherever a trained run is taken: evaluate, simulate, deploy, bench, train --init.
    """
    from agents.artifact import read_manifest
    from agents.pretrained import PREFIX, pretrained_folder, pretrained_names, summary_of

    names = pretrained_names()
    if json_to is not None:
        manifests = {name: read_manifest(pretrained_folder(name)) for name in names}
        entries = [
            {
                "name": f"{PREFIX}{name}",
                "summary": summary_of(name),
                "agent": manifest.agent,
                "codec_fingerprint": manifest.codec_fingerprint,
            }
            for name, manifest in manifests.items()
        ]
        write_json({"schema": SCHEMA, "policies": entries}, json_to)
    if json_to != "-":
        for name in names:
            typer.echo(f"{PREFIX}{name}\n    {summary_of(name)}")


@app.command("show")
def show_command(name: Annotated[str, typer.Argument(help="See `autoscaler policies list`.")]) -> None:
    """Print the model card of a policy: what it was trained on, what it gains, its limits."""
    from agents.pretrained import card_of

    typer.echo(card_of(name), nl=False)


@app.command("export")
def export_command(
    policy: Annotated[str, typer.Argument(help="Run folder, artifact, or pretrained:NAME.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("policy.onnx"),
) -> None:
    """Write a trained policy of GPU clusters as ONNX: observation and mask in, a logit of every choice out.

    The metadata of the file have the fingerprint of its codec. The path of the file is the only line on stdout.
    """
    from agents.export import export_onnx

    export_onnx(policy, out)
    typer.echo(str(out))
