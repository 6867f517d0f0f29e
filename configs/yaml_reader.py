"""YAML as YAML 1.2 reads it (`no` is a word, `1e3` a number), with the line of every key and no duplicate keys."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from configs.errors import ConfigError

KeyPath = tuple[str | int, ...]

# YAML 1.2 core schema, https://yaml.org/spec/1.2.2/#103-core-schema
# with one addition, `_` between digits: 30_000 is easy to read.
_SCALARS: list[tuple[str, str, str]] = [
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9][0-9_]*$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
]


class _Loader(yaml.SafeLoader):
    """A safe loader with the scalars of YAML 1.2; PyYAML's own are those of 1.1."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases: nested ones grow without bound, and a resolved config is easier to compare."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not supported; write the value out", problem_mark=mark
            )
        return super().compose_node(parent, index)


class Dumper(yaml.SafeDumper):
    """Quotes every string that YAML 1.1 or 1.2 would read as something else."""

    yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()}


for _tag, _pattern, _first in _SCALARS:
    # "\0" stands for the empty string, which PyYAML files under "".
    _keys = ["" if character == "\0" else character for character in _first]
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), _keys)
    Dumper.add_implicit_resolver(_tag, re.compile(_pattern), _keys)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    # PyYAML's own reads a leading zero as octal.
    return int(str(loader.construct_scalar(node)).replace("_", ""))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


@dataclass(slots=True)
class Document:
    """A YAML mapping as plain Python values, and where its keys stand.

    Attributes:
        data: The mapping.
        lines: The line, counted from 1, of each key and list item.
    """

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)


def parse_mapping(text: str, source: str) -> Document:
    """Read a YAML document whose top level is a mapping.

    Args:
        text: The document.
        source: What messages call it, usually its file name.

    Raises:
        ConfigError: The text is no valid YAML, holds a key twice or is no mapping.
    """
    document = Document()
    data = _parse(text, source, document.lines)
    if data is not None and not isinstance(data, dict):
        raise ConfigError(f"{source}: the top level must be a mapping (key: value), it is a {type(data).__name__}")
    document.data = data or {}
    return document


def parse_value(text: str, source: str) -> Any:
    """Read the value of an override such as `3`, `true`, `[1, 2]` or `{a: 1}`.

    Args:
        text: The value.
        source: What messages call it.

    Raises:
        ConfigError: The text is no valid YAML.
    """
    return _parse(text, source, {})


def _parse(text: str, source: str, lines: dict[KeyPath, int]) -> Any:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _walk(node, (), lines, source)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_describe(error, source)) from error
    except RecursionError as error:
        raise ConfigError(f"{source}: nested too deeply") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: no valid YAML: {' '.join(str(error).split())}") from error


def _describe(error: yaml.MarkedYAMLError, source: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
    return f"{where}: no valid YAML: {error.problem or error.context}"


def _walk(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], source: str) -> None:
    """Note the line of every key below `node` and refuse duplicates, which PyYAML would let pass silently."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            _walk(item, (*path, index), lines, source)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        mark = key.start_mark
        where = f"{source}:{mark.line + 1}:{mark.column + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{where}: a key must be a word, not a list or a mapping")
        if (*path, key.value) in lines:
            raise ConfigError(f"{where}: the key {key.value!r} stands here twice; remove one")
        lines[(*path, key.value)] = mark.line + 1
        _walk(value, (*path, key.value), lines, source)
