"""The one convention for mistakes that a user can fix, shared by every package."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LISTED = 24
"""Choices that a message still names all; a line of a terminal or two."""


class UserError(Exception):
    """A mistake that the user can fix: the command line prints its message in one line and exits with status 2.

    Every package derives its own errors from this class and from the builtin that fits best, for example
    `class TraceError(UserError, ValueError)`. The message says what is wrong, which value and how to fix it. Any other
    exception that reaches the command line is a bug of ours, except `OSError`, which names its file.
    """


class ConfigError(UserError, ValueError):
    """A config file or an override that cannot be read or does not fit its schema."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The end of an error message that names the choice nearest to `name`.

    Returns:
        `; did you mean 'x'?`, or `; valid: a, b, c` when nothing is near and the choices are few, or an empty string.
    """
    known = sorted(set(choices))
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; valid: {', '.join(known)}" if 0 < len(known) <= MOST_LISTED else ""
