"""Finds a config by its path, or a preset that is shipped inside the installed package."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path

from configs.errors import ConfigError, did_you_mean

_SUFFIXES = (".yaml", ".yml")


def list_presets() -> list[str]:
    """Names of all shipped presets, sorted, such as `experiment/quickstart`."""
    found: list[str] = []

    def collect(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                collect(entry, f"{prefix}{entry.name}/")
            elif entry.name.endswith(".yaml"):
                found.append(prefix + entry.name.removesuffix(".yaml"))

    collect(importlib.resources.files("configs"), "")
    return sorted(found)


def find_config(name: str | Path) -> Traversable:
    """The file that a user means by `name`: a path, or else a preset.

    A preset may be written as `experiment/quickstart` or as its path in a checkout,
    `configs/experiment/quickstart.yaml`, so that a command of the documentation works from any folder.

    Raises:
        ConfigError: There is neither such a file nor such a preset.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise ConfigError(f"{name}: is a folder, not a config file")
    preset = preset_name(name)
    presets = list_presets()
    if preset in presets:
        return importlib.resources.files("configs") / f"{preset}.yaml"
    raise ConfigError(f"{name}: no such file, and no preset has this name{did_you_mean(preset, presets)}")


def preset_name(name: str | Path) -> str:
    """`configs/experiment/quickstart.yaml` as the name of a preset: `experiment/quickstart`."""
    text = Path(name).as_posix().removeprefix("configs/")
    for suffix in _SUFFIXES:
        text = text.removesuffix(suffix)
    return text
