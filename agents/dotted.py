"""Classes of the user by dotted name, `module:Class`."""

from __future__ import annotations

from typing import Any

from agents.errors import AgentConfigError
from configs.registry import import_object


def import_subclass(target: str, base: type, key: str) -> Any:
    """A class by dotted name that derives from `base`; nothing else is ever called.

    Args:
        target: `module:Class`.
        base: the class that it must derive from.
        key: the setting as the user writes it, for messages.

    Raises:
        AgentConfigError: it cannot be imported, or is something else.
    """
    found = import_object(target, key, AgentConfigError)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise AgentConfigError(f"{key} is {target!r}; it must be a class that derives from {base.__name__}")
    return found
