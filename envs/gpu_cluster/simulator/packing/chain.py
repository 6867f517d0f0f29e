"""Compiled functions of all listed packers, chosen by number without a call through a pointer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envs.compiled.compiler import helper


def chain(functions: Sequence[Any]) -> Any:
    """One compiled function of (number, ...) that calls the function with this number."""

    def link(number: int, function: Any, rest: Any) -> Any:
        def call(packer: int, *arguments: Any) -> Any:
            if packer == number:
                return function(*arguments)
            return rest(packer, *arguments)

        return helper(call)

    final = functions[-1]

    def last(packer: int, *arguments: Any) -> Any:  # noqa: ARG001 (only the last number is left)
        return final(*arguments)

    linked = helper(last)
    for number in reversed(range(len(functions) - 1)):
        linked = link(number, functions[number], linked)
    return linked
