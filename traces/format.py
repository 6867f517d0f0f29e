"""What a format of traces is: one module of `traces.formats` each, listed there by one line."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

OptionsT = TypeVar("OptionsT")

Kind = Literal["jobs", "nodes", "invocations", "faults", "signal", "mobility", "roads", "sites", "grid-events"]
"""What a format holds: jobs of a cluster (`traces.Trace`), its nodes (`traces.Nodes`), calls of functions, failures of
machines, a number over time such as the carbon intensity of a grid, positions of people and vehicles, the roads of a
city, the places of servers at the edge of a network, or times in which a grid lets a site draw little power."""


@dataclass(frozen=True, slots=True)
class Format(Generic[OptionsT]):
    """A format of traces: what a module of `traces.formats` calls `FORMAT`.

    Attributes:
        name: scheme of the URI; the same as in `traces.formats.FORMATS`.
        kind: what it holds.
        description: one line for humans.
        options: frozen dataclass of the options, each field with a default and a `help` text in its metadata.
        load: (path or preset, options) -> what `kind` says.
        licence: licence of the data in this format.
        citation: where the data were published; "" for your own data.
        example: a URI.
        url: where the data are.
        detect: (name of a file, its first text) -> why it is of this format, "" where it is not; None: never found.
        tables: whether `load` takes a path as it is: that of a folder or an archive of several tables, or a preset;
            else each file is loaded on its own, and the jobs of several are merged.
    """

    name: str
    kind: Kind
    description: str
    options: type[OptionsT]
    load: Callable[[str, OptionsT], Any]
    licence: str
    citation: str
    example: str
    url: str = ""
    detect: Callable[[str, str], str] | None = None
    tables: bool = False


def has_columns(*wanted: str, without: tuple[str, ...] = ()) -> Callable[[str, str], str]:
    """A `detect` by names of columns in the first line.

    Args:
        wanted: all of them are there.
        without: none of them is.
    """

    def detect(_name: str, text: str) -> str:
        line = text.lstrip("\ufeff").partition("\n")[0]
        names = {name.strip().strip('"') for name in re.split(r"[,;|\t]", line)}
        found = names.issuperset(wanted) and not names & {*without}
        return f"its columns are {', '.join(wanted[:3])}..." if found else ""

    return detect
