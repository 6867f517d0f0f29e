"""Moments that a config names."""

from __future__ import annotations

from datetime import UTC, datetime

from envs.errors import EnvironmentConfigError


def moment_of(text: str, key: str) -> datetime:
    """The moment of an ISO 8601 text, UTC where it says no offset.

    Args:
        text: the text.
        key: of the config, for messages.

    Raises:
        EnvironmentConfigError: it is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise EnvironmentConfigError(f"{key}: start is {text!r}; write it as 2022-03-01T00:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
