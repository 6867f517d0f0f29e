"""The resolved config as plain values and as a YAML file."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from configs.files import write_text
from configs.yaml_reader import Dumper


def to_dict(instance: Any) -> dict[str, Any]:
    """A config as nested plain values (dict, list, str, int, float, bool, None), every default resolved.

    Raises:
        TypeError: `instance` is no dataclass, or holds a value that has no plain form.
    """
    if not dataclasses.is_dataclass(instance) or isinstance(instance, type):
        raise TypeError(f"a config is an instance of a dataclass, not {type(instance).__name__}")
    return {field.name: _plain(getattr(instance, field.name)) for field in dataclasses.fields(instance) if field.init}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return to_dict(value)


def to_yaml(instance: Any) -> str:
    """A config, or its plain values, as YAML that `load_config` reads back to the same one."""
    return yaml.dump(_plain(instance), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)


def dump_yaml(instance: Any, path: str | Path) -> None:
    """Write a config so that `load_config` reads the same one back; a failure leaves no half-written file.

    Args:
        instance: A config dataclass, or its plain values.
        path: The file; an existing one is replaced at once.

    Raises:
        OutputFileError: The folder is missing, is not writable or its disk is full.
    """
    write_text(path, to_yaml(instance))
