"""Registries: objects by name, each listed as `module:NAME` and imported when it is used.

A registry is one table of strings, so that a config can check a name without importing what stands behind it. Whoever
uses a program may add entries of his own at run time, or name one as `module:NAME` wherever a name is taken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from configs.errors import ConfigError, UserError, did_you_mean

T = TypeVar("T")


def import_object(target: str, key: str, error: type[UserError] = ConfigError) -> Any:
    """The object that `module:NAME` names. Modules of the working directory are found too.

    Args:
        target: `module:NAME`.
        key: the setting as the user writes it, for messages.
        error: the class of the error to raise.

    Raises:
        UserError: of class `error`; it is not of this form, the module cannot be imported, or has no such name.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise error(f"{key} is {target!r}; write it as module:NAME")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that a user's module never hides an installed one
    try:
        module = import_module(module_name)
    except Exception as cause:  # whatever the user's module raises
        reason = str(cause) or type(cause).__name__
        raise error(f"{key} is {target!r}: module {module_name!r} cannot be imported: {reason}") from cause
    if not hasattr(module, name):
        names = [entry for entry in vars(module) if not entry.startswith("_")]
        raise error(f"{key} is {target!r}: module {module_name!r} has no {name!r}{did_you_mean(name, names)}")
    return getattr(module, name)


class Registry(Generic[T]):
    """Objects by name.

    Args:
        kind: what an entry is, for messages.
        listed: `module:NAME` by name.
        error: the class of the errors to raise.
        check: `module:NAME` of a function that is called with name and object before an entry is used for the first
            time, and raises where the object cannot be one; None: every object can.

    Attributes:
        kind: what an entry is.
        listed: the names of the table, in its order, without those that were added later.

    Raises:
        UserError: of class `error`, by every access: there is no such entry, or it cannot be imported.
    """

    def __init__(
        self,
        kind: str,
        listed: Mapping[str, str],
        error: type[UserError],
        check: str | None = None,
    ) -> None:
        self.kind = kind
        self.listed = tuple(listed)
        self._targets: dict[str, str] = dict(listed)
        self._loaded: dict[str, T] = {}
        self._error = error
        self._check = check

    def require(self, name: str, key: str) -> None:
        """Refuse a name that is neither in the registry nor `module:NAME`; nothing is imported.

        Args:
            name: of an entry.
            key: the setting as the user writes it, for messages.

        Raises:
            UserError: there is no such entry.
        """
        if name not in self and ":" not in name:
            near = did_you_mean(name, self)
            custom = "" if near.endswith("?") else "; a custom one is module:NAME"
            raise self._error(f"unknown {key} {name!r}{near}{custom}")

    def __getitem__(self, name: str) -> T:
        """The entry of a name of the registry, or of `module:NAME`."""
        if name not in self._loaded:
            self.require(name, self.kind)
            self._load(name, import_object(self._targets.get(name, name), self.kind, self._error))
        return self._loaded[name]

    def _load(self, name: str, entry: T) -> None:
        if self._check is not None:
            import_object(self._check, self.kind)(name, entry)
        self._loaded[name] = entry

    def get(self, name: str, default: T | None = None) -> T | None:
        """The entry of a name, or the default where there is none."""
        return self[name] if name in self else default  # noqa: SIM401 (this is `get`)

    def __setitem__(self, name: str, entry: T | str) -> None:
        """Add an entry at run time: the object, or `module:NAME` of it."""
        if name in self.listed:
            raise self._error(f"{self.kind} {name!r} is one of the package; choose another name")
        if isinstance(entry, str):
            self._loaded.pop(name, None)
            self._targets[name] = entry
        else:
            self._load(name, entry)
            self._targets.pop(name, None)

    def __delitem__(self, name: str) -> None:
        """Take away an entry that was added at run time."""
        if name in self.listed or name not in self:
            raise self._error(f"{self.kind} {name!r} was not added at run time, so it cannot be taken away")
        self._loaded.pop(name, None)
        self._targets.pop(name, None)

    def __contains__(self, name: object) -> bool:
        """Whether there is an entry of this name; `module:NAME` is one once it was used."""
        return name in self._targets or name in self._loaded

    def __iter__(self) -> Iterator[str]:
        """The names: those of the table first, in its order."""
        yield from self._targets
        yield from (name for name in self._loaded if name not in self._targets)

    def names(self) -> list[str]:
        """The names of the table and of what was added; not `module:NAME`, which is an entry once it was used."""
        return [name for name in self if ":" not in name]

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._targets.keys() | self._loaded.keys())
