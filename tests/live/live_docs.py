"""The tables of the pages on the live loop, made from the code. `python -m tests.live.live_docs` writes them."""

import dataclasses
import enum
import re
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from autoscaler.cli import deploy, explain, replay
from autoscaler.live.config import LiveConfig
from autoscaler.live.gangs.registry import KINDS
from autoscaler.live.guardrails import Rule
from autoscaler.live.names import NAMES
from autoscaler.live.providers import kind_of, provider_names
from autoscaler.live.providers.cluster_api.names import NAMES as NODE_GROUP_NAMES
from autoscaler.live.registry import PROVIDERS, SOURCES, load_source
from autoscaler.live.signal_config import PowerMeter, SignalSource

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = (DOCS / "live-reference.md", DOCS / "live.md", DOCS / "operate.md")
MARK = re.compile(r"(<!-- table: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
ALL_NAMES = (*NAMES, *NODE_GROUP_NAMES, *provider_names())
HEADINGS = ("label", "annotation", "gate", "taint", "resource", "admission check", "object", "event")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, tuple("---" for _ in head), *rows)]
    return "\n".join(line.replace("\n", " ") for line in lines) + "\n"


def names(kind: str) -> str:
    return table((kind, "meaning"), [(f"`{name.value}`", name.meaning) for name in ALL_NAMES if name.kind == kind])


def metrics() -> str:
    rows = [
        (f"`{name.value}`", name.metric_type, ", ".join(f"`{label}`" for label in name.labels), name.meaning)
        for name in NAMES
        if name.kind == "metric"
    ]
    return table(("metric", "type", "labels", "meaning"), rows)


def attributes(schema: Any) -> dict[str, str]:
    """The `Attributes:` of a docstring, by field."""
    _, _, text = (schema.__doc__ or "").partition("Attributes:")
    found: dict[str, str] = {}
    for line in text.splitlines():
        if match := re.match(r" {8}([a-z0-9_]+): (.*)", line):
            name = match.group(1)
            found[name] = match.group(2)
        elif found and line.startswith(" " * 12):
            found[name] += f" {line.strip()}"
    return found


def nested(hint: Any) -> tuple[Any, str]:
    """The dataclass inside a field's type, and what stands between its key and those below it."""
    if dataclasses.is_dataclass(hint):
        return hint, "."
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and arguments and dataclasses.is_dataclass(arguments[0]):
        return arguments[0], "[]."
    if typing.get_origin(hint) is Mapping and dataclasses.is_dataclass(arguments[1]):
        return arguments[1], ".<name>."
    return None, ""


def keys(schema: Any, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Every key of a config with its default and its meaning."""
    hints, meanings = typing.get_type_hints(schema), attributes(schema)
    for field in dataclasses.fields(schema):
        inner, joint = nested(hints[field.name])
        if inner is not None:
            if joint.startswith(".<"):
                yield f"`{prefix}{field.name}`", default_of(field), meanings.get(field.name, "")
            yield from keys(inner, f"{prefix}{field.name}{joint}")
        else:
            yield f"`{prefix}{field.name}`", default_of(field), meanings.get(field.name, "")


def default_of(field: Any) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default.value if isinstance(field.default, enum.Enum) else field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "required"
    return "none" if value is None else f"`{value}`" if value not in ((), {}) else "empty"


def flags(command: Any) -> str:
    group = typer.Typer(add_completion=False)
    group.command()(command)
    rows = []
    for parameter in typer.main.get_command(group).params:
        spelled = "/".join([*parameter.opts, *parameter.secondary_opts])
        if spelled != "--help":
            rows.append((f"`{spelled}`", str(getattr(parameter, "help", "") or "")))
    return table(("flag", "meaning"), rows)


def render(kind: str) -> str:
    if kind == "metric":
        return metrics()
    if kind == "config":
        return table(("key", "default", "meaning"), list(keys(LiveConfig)))
    if kind == "provider settings":
        prefix = "pools[].provider_settings."
        rows = [(f"`{name}`", *row) for name in PROVIDERS for row in keys(kind_of(name).settings, prefix)]
        return table(("provider", "key", "default", "meaning"), rows)
    if kind == "signal source":
        return table(("key", "default", "meaning"), list(keys(SignalSource, "")))
    if kind == "source settings":
        rows = [(f"`{name}`", *row) for name in SOURCES for row in keys(load_source(name).settings, "settings.")]
        return table(("source", "key", "default", "meaning"), rows)
    if kind == "power meter":
        return table(("key", "default", "meaning"), list(keys(PowerMeter, "signals.power.")))
    if kind == "rule":
        rules = ", ".join(f"`{rule}`" for rule in Rule)
        return textwrap.fill(rules, width=120, break_on_hyphens=False) + "\n"
    if kind == "group":
        return table(("kind", "group", "what is read"), [(f"`{k.name}`", k.title, k.reads) for k in KINDS.values()])
    if kind in ("deploy", "explain", "replay"):
        return flags({"deploy": deploy, "explain": explain, "replay": replay}[kind].command)
    return names(kind)


def updated(page: str) -> str:
    """The page with every table as the code has it."""
    return MARK.sub(lambda match: f"{match.group(1)}{render(match.group(2))}{match.group(3)}", page)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(updated(path.read_text()))
    sys.exit(0)
