"""Options of a trace format: a frozen dataclass beside the loader, filled from the texts of a URI."""

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from traces.errors import TraceURIError

OptionsT = TypeVar("OptionsT")

_NOUNS = {
    int: "a whole number",
    float: "a number",
    datetime: "a time such as 2021-03-04T00:00",
    Mapping: "names and weights such as a:0.7,b:0.3",
}


@dataclass(frozen=True, slots=True)
class NoOptions:
    """Options of a format that has none of its own."""


@dataclass(frozen=True, slots=True)
class SelectionOptions:
    """Options that every format of jobs takes. They select jobs; submit times stay as they are."""

    start_seconds: float | None = field(default=None, metadata={"help": "first submit time that is in, seconds"})
    end_seconds: float | None = field(default=None, metadata={"help": "first submit time that is out, seconds"})
    limit: int | None = field(default=None, metadata={"help": "at most so many jobs, the first of the window"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option, for humans.

    Attributes:
        name: as written in the URI.
        kind: what it takes, such as `float` or `keep|drop`.
        default: text of the default; "" where there is none.
        description: meaning and unit.
    """

    name: str
    kind: str
    default: str
    description: str


def describe(schema: type[Any]) -> tuple[Option, ...]:
    """The options of an options dataclass, in its order."""
    hints = get_type_hints(schema)
    return tuple(
        Option(
            item.name,
            _kind(hints[item.name]),
            _default(item.default),
            item.metadata.get("help", ""),
        )
        for item in fields(schema)
    )


def parse(schema: type[OptionsT], values: Mapping[str, str], where: str) -> OptionsT:
    """The options dataclass filled with the texts of a URI.

    Args:
        schema: a frozen dataclass with defaults; fields of str, int, float, bool, Literal, a mapping of
            weights (`a:0.7,b:0.3`), or one of these or None.
        values: option -> text.
        where: the URI, for messages.

    Raises:
        TraceURIError: a value is not of the option's type or range.
    """
    hints = get_type_hints(schema)
    try:
        return schema(**{name: _value(hints[name], text, name) for name, text in values.items()})
    except ValueError as error:
        raise TraceURIError(f"{where}: {error}") from error


def _bare(hint: Any) -> Any:
    """The type without its None."""
    if get_origin(hint) in (Union, types.UnionType):
        return next(part for part in get_args(hint) if part is not types.NoneType)
    return hint


def _default(value: Any) -> str:
    if value in (None, MISSING):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(hint: Any) -> str:
    bare = _bare(hint)
    if get_origin(bare) is Mapping:
        return "mix"
    if bare is bool:
        return "true|false"
    return "|".join(get_args(bare)) if get_origin(bare) is Literal else str(bare.__name__)


def _value(hint: Any, text: str, name: str) -> Any:
    bare = _bare(hint)
    if get_origin(bare) is Literal:
        if text not in get_args(bare):
            raise ValueError(f"option {name} takes {' or '.join(get_args(bare))}, not {text!r}")
        return text
    if bare is bool:
        if text not in ("true", "false"):
            raise ValueError(f"option {name} takes true or false, not {text!r}")
        return text == "true"
    try:
        if get_origin(bare) is Mapping:
            return _mix(get_args(bare)[0], text)
        return datetime.fromisoformat(text) if bare is datetime else bare(text)
    except ValueError as error:
        raise ValueError(f"option {name} takes {_NOUNS[get_origin(bare) or bare]}, not {text!r}") from error


def _mix(key_type: Any, text: str) -> dict[Any, float]:
    """`a:0.7,b:0.3` as a mapping; a name may hold a colon.

    Raises:
        ValueError: a part is no name and weight, or a name occurs twice.
    """
    mix: dict[Any, float] = {}
    for part in text.split(","):
        key, _, weight = part.rpartition(":")
        if not key or key_type(key) in mix:
            raise ValueError(text)
        mix[key_type(key)] = float(weight)
    return mix
