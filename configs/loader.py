"""Typed settings from YAML: frozen dataclasses describe what is allowed, every mistake is one line that says where.

The schema stands beside the code that it configures; this module knows none. A schema is a (nested)
dataclass whose annotations can be resolved at run time. Where a type alone does not say enough, it has `pydantic.Field`
constraints in `Annotated`, or a `__post_init__` that raises `ValueError`. Its `ELSEWHERE`, if it has one, says of keys
that users may write there where they belong.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from configs.errors import ConfigError, did_you_mean
from configs.presets import find_config
from configs.serialize import dump_yaml, to_dict, to_yaml
from configs.tagged import Tagged
from configs.yaml_reader import KeyPath, parse_mapping, parse_value

__all__ = ["build_config", "dump_yaml", "load_config", "to_dict", "to_yaml"]

T = TypeVar("T")


def load_config(source: str | Path, schema: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a config file or a preset, apply overrides and return it as an instance of `schema`.

    Args:
        source: A path, or the name of a preset such as `experiment/quickstart`.
        schema: The dataclass that describes the config; fields that the file leaves out take its defaults.
        overrides: `key.of.field=value` each, the value in YAML; a list item is addressed by its index.

    Raises:
        ConfigError: No such file, no valid YAML, an unknown key or a value that the schema refuses.
    """
    document = parse_mapping(_read(source), str(source))
    origins = {path: f"{source}:{line}" for path, line in document.lines.items()}
    for override in overrides:
        changed = _apply_override(document.data, override)
        origins = {path: origin for path, origin in origins.items() if path[: len(changed)] != changed}
        origins[changed] = f"override {override!r}"
    return _validate(document.data, schema, str(source), origins)


def build_config(data: Mapping[str, Any], schema: type[T], source: str = "config", overrides: Sequence[str] = ()) -> T:
    """The same checks as `load_config`, for settings that are already plain values, such as those of a saved run.

    Args:
        data: Nested plain values, as `to_dict` returns them.
        schema: The dataclass that describes them.
        source: What messages call the origin of `data`.
        overrides: As for `load_config`.

    Raises:
        ConfigError: An unknown key or a value that the schema refuses.
    """
    values = copy.deepcopy(dict(data))
    origins = {_apply_override(values, override): f"override {override!r}" for override in overrides}
    return _validate(values, schema, source, origins)


def overridden(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Nested plain values with changes, which no schema describes here.

    Args:
        data: The values; they stay as they are.
        overrides: As for `load_config`.

    Raises:
        ConfigError: An override is not written as `key.of.field=value`.
    """
    values = copy.deepcopy(dict(data))
    for override in overrides:
        _apply_override(values, override)
    return values


def _read(source: str | Path) -> str:
    file = find_config(source)
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: is not UTF-8 text (byte {error.start})") from error


def _apply_override(data: dict[str, Any], override: str) -> KeyPath:
    """Set one value in place and return the path of what was replaced, which may be a key above it."""
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"override {override!r}: write it as key.of.field=value")
    *parents, last = key.strip().split(".")
    path: KeyPath = ()
    changed: KeyPath = ()
    node: Any = data
    for part in parents:
        index = _child_key(node, part, override)
        path = (*path, index)
        if isinstance(node, dict) and not isinstance(node.get(index), dict | list):
            node[index] = {}
            changed = changed or path
        node = node[index]
    index = _child_key(node, last, override)
    node[index] = parse_value(text, f"override {override!r}")
    return changed or (*path, index)


def _child_key(node: Any, part: str, override: str) -> str | int:
    if isinstance(node, dict):
        return part
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return int(part)
    size = len(node) if isinstance(node, list) else 0
    raise ConfigError(f"override {override!r}: {part!r} must be the index of one of the {size} items there")


def _validate(data: dict[str, Any], schema: type[T], source: str, origins: Mapping[KeyPath, str]) -> T:
    for path, valid in _unknown_keys(data, schema, ()):
        elsewhere = getattr(schema, "ELSEWHERE", {}).get(dotted(path))
        more = did_you_mean(str(path[-1]), valid) if elsewhere is None else f"; {elsewhere}"
        raise ConfigError(f"{_origin(path, source, origins)}: unknown key {dotted(path)!r}{more}")
    # By themselves first, so that a message says where in them: the whole only knows that a part was refused.
    for path, part, chosen in _tagged_parts(data, schema, ()):
        _validate_json(part, chosen, source, origins, path)
    return _validate_json(data, schema, source, origins, ())


def _validate_json(data: Any, schema: type[T], source: str, origins: Mapping[KeyPath, str], path: KeyPath) -> T:
    # JSON is the one strict mode in which a list may become a tuple and a string a path, but "3" no number.
    try:
        text = json.dumps(data)
        return typing.cast(T, _adapter(typing.cast(Any, schema)).validate_json(text, strict=True))
    except (TypeError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise ConfigError(_describe(error, source, origins, path)) from error
        raise ConfigError(f"{source}: holds a value that is neither text, number, list nor mapping: {error}") from error


@functools.cache
def _adapter(schema: type) -> TypeAdapter[Any]:
    """What checks values by a schema; to make one takes milliseconds, and each pool of a config needs it again."""
    return TypeAdapter(schema)


def _tagged_parts(data: Any, annotation: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any, type]]:
    """Each mapping whose schema depends on what it says, with that schema; inner ones first."""
    if not isinstance(data, dict):
        return
    for schema in _dataclasses_in(annotation):
        chosen = _chosen(schema, data)
        for name, hint in _fields(chosen).items():
            yield from _tagged_parts(data.get(name), hint, (*path, name))
        if chosen is not schema:
            yield path, data, chosen


def _chosen(schema: Any, data: dict[str, Any]) -> Any:
    return schema.config_schema(data) if isinstance(schema, type) and issubclass(schema, Tagged) else schema


def _unknown_keys(data: Any, annotation: Any, path: KeyPath) -> Iterator[tuple[KeyPath, list[str]]]:
    """Each key that no dataclass of the schema has, with the names that are valid there."""
    if isinstance(data, dict):
        schemas = [_chosen(schema, data) for schema in _dataclasses_in(annotation)]
        if schemas:
            hints: dict[str, list[Any]] = {}
            for schema in schemas:
                for name, hint in _fields(schema).items():
                    hints.setdefault(name, []).append(hint)
            for key, value in data.items():
                if key not in hints:
                    yield (*path, key), list(hints)
                for hint in hints.get(key, []):
                    yield from _unknown_keys(value, hint, (*path, key))
            return
    items: Sequence[tuple[Any, Any]] = []
    if isinstance(data, dict):
        items = list(data.items())
    elif isinstance(data, list):
        items = list(enumerate(data))
    for key, value in items:
        for inner in _item_annotations(annotation):
            yield from _unknown_keys(value, inner, (*path, key))


@functools.cache
def _fields(schema: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(schema)
    return {field.name: hints[field.name] for field in dataclasses.fields(schema) if field.init}


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, without `Annotated` around them."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _alternatives(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


def _dataclasses_in(annotation: Any) -> Iterator[Any]:
    return (member for member in _alternatives(annotation) if dataclasses.is_dataclass(member))


def _item_annotations(annotation: Any) -> Iterator[Any]:
    """What the items of a list, tuple or mapping may be; the last type argument in each of them."""
    for member in _alternatives(annotation):
        arguments = [argument for argument in typing.get_args(member) if argument is not Ellipsis]
        if arguments:
            yield arguments[-1]


def dotted(path: Sequence[str | int]) -> str:
    """`("pools", 0, "price")` as users write it: `pools.0.price`."""
    return ".".join(str(part) for part in path)


def _origin(path: KeyPath, source: str, origins: Mapping[KeyPath, str]) -> str:
    """Where the value at `path` came from: its own line, or that of the nearest key around it."""
    for length in range(len(path), 0, -1):
        if path[:length] in origins:
            return origins[path[:length]]
    return source


def _describe(error: ValidationError, source: str, origins: Mapping[KeyPath, str], parent: KeyPath) -> str:
    """The first of pydantic's findings in one line, and how many more there are."""
    details = error.errors(include_url=False)
    first = details[0]
    path = (*parent, *first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    where = _origin(path, source, origins)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    if first["type"] in ("missing", "missing_argument"):
        return f"{where}: the key {dotted(path)!r} is required{more}"
    got = "" if isinstance(first["input"], dict) else f" is {_short(first['input'])}"
    name = f"{dotted(path)}{got}: " if path else ""
    return f"{where}: {name}{message}{more}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
