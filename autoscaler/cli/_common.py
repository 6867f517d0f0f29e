"""Options that several subcommands share, and how all of them write: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from configs.files import write_text

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="PATH", help="Write the result as JSON to this file; - is stdout.")
]
OverridesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value of the config by its dotted key."),
]


def note(text: str, quiet: bool = False) -> None:
    """Tell the user something that is no result, on stderr."""
    if not quiet:
        typer.echo(text, err=True)


def write_json(document: Mapping[str, Any], destination: str) -> None:
    """Write a result for other tools.

    JSON has no NaN or infinity, so these become null; numpy's scalars and arrays become numbers and lists.

    Args:
        document: The result.
        destination: A path, or `-` for stdout.

    Raises:
        OutputFileError: The file cannot be written.
    """
    text = json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if destination == "-":
        sys.stdout.write(text)
    else:
        write_text(destination, text)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        # numpy's scalars and arrays, without importing numpy here
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
