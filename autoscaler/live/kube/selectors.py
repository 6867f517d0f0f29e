"""Evaluates the CEL expressions by which claims and DeviceClasses select devices.

The library is Google's implementation of CEL. What Kubernetes adds to the language and selectors use is defined here:
quantities and semantic versions, as mappings, and that an unknown domain of attributes is empty.

Source: https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from autoscaler.live.device_model import DeviceKind, Version
from autoscaler.live.kube.quantities import QuantityError, parse_milli

QUANTITY, SEMVER = "quantity", "semver"
MAX_EXPRESSIONS = 1024

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_DOMAIN = re.compile(r"""\[\s*(?:"([^"]+)"|'([^']+)')\s*\]""")
_RELEASE = "~"
"""Sorts a release after its pre-releases."""


class SelectorError(ValueError):
    """An expression that cannot be evaluated, or not for this device."""


def selects(expression: str, kind: DeviceKind) -> bool:
    """Whether an expression is true for a device.

    Raises:
        SelectorError: it is no CEL that is known here, or its value is no boolean.
    """
    data = {"device": _variable(kind, _DOMAIN.findall(expression))}
    value = _compiled(expression).eval(data=data)
    if value.type().name() == "ERROR":
        raise SelectorError(str(value.value())[:200])
    result = value.value()
    if not isinstance(result, bool):
        raise SelectorError(f"is no boolean but {str(result)[:40]!r}")
    return result


@lru_cache(MAX_EXPRESSIONS)
def _compiled(expression: str) -> Any:
    environment = _environment()
    if environment is None:
        raise SelectorError("the package cel-expr-python is missing; install green-gpu-autoscaler[live]")
    try:
        return environment.compile(expression)
    except RuntimeError as error:
        raise SelectorError(str(error).splitlines()[0][:200]) from error


@lru_cache(1)
def _environment() -> Any:
    try:
        from cel_expr_python import cel
        from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings
    except ImportError:
        return None
    types = {"map": cel.Type.MAP, "string": cel.Type.STRING, "int": cel.Type.INT, "bool": cel.Type.BOOL}

    def function(name: str, impl: Callable[..., Any], takes: str, gives: str, member: bool = True) -> Any:
        parameters = [types[each] for each in takes.split()]
        overload = cel.Overload(
            f"{name}({takes})", return_type=types[gives], parameters=parameters, is_member=member, impl=impl
        )
        return cel.FunctionDecl(name, [overload])

    return cel.NewEnv(
        variables={"device": cel.Type.DYN},
        extensions=[ext_bindings.ExtBindings(), ext_optional.ExtOptional(), ext_strings.ExtStrings()],
        functions=[
            function("quantity", _quantity, "string", "map", member=False),
            function("semver", _semver, "string", "map", member=False),
            function("isQuantity", _is_quantity, "string", "bool", member=False),
            function("isSemver", _is_semver, "string", "bool", member=False),
            function("compareTo", _compare, "map map", "int"),
            function("isGreaterThan", lambda left, right: _compare(left, right) > 0, "map map", "bool"),
            function("isLessThan", lambda left, right: _compare(left, right) < 0, "map map", "bool"),
            function("add", lambda left, right: {QUANTITY: left[QUANTITY] + right[QUANTITY]}, "map map", "map"),
            function("sub", lambda left, right: {QUANTITY: left[QUANTITY] - right[QUANTITY]}, "map map", "map"),
            function("isInteger", lambda value: value[QUANTITY] % 1000 == 0, "map", "bool"),
            function("asInteger", lambda value: value[QUANTITY] // 1000, "map", "int"),
            function("sign", lambda value: (value[QUANTITY] > 0) - (value[QUANTITY] < 0), "map", "int"),
            function("major", lambda value: int(value[SEMVER][0]), "map", "int"),
            function("minor", lambda value: int(value[SEMVER][1]), "map", "int"),
            function("patch", lambda value: int(value[SEMVER][2]), "map", "int"),
        ],
    )


def _variable(kind: DeviceKind, literals: list[tuple[str, str]]) -> dict[str, Any]:
    domains = [first or second for first, second in literals]
    attributes: dict[str, dict[str, Any]] = {domain: {} for domain in domains}
    capacity: dict[str, dict[str, Any]] = {domain: {} for domain in domains}
    for (domain, name), value in kind.attributes:
        attributes.setdefault(domain, {})[name] = _semver(value.text) if isinstance(value, Version) else value
    for (domain, name), amount in kind.capacity:
        capacity.setdefault(domain, {})[name] = {QUANTITY: amount}
    return {
        "driver": kind.driver,
        "attributes": attributes,
        "capacity": capacity,
        "allowMultipleAllocations": False,
    }


def _quantity(value: str) -> dict[str, int]:
    try:
        return {QUANTITY: parse_milli(value)}
    except QuantityError as error:
        raise ValueError(str(error)) from error


def _is_quantity(value: str) -> bool:
    try:
        parse_milli(value)
    except QuantityError:
        return False
    return True


def _semver(value: str) -> dict[str, list[str]]:
    match = _VERSION.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is no semantic version")
    major, minor, patch, before = match.groups()
    return {SEMVER: [major, minor, patch, before or _RELEASE]}


def _is_semver(value: str) -> bool:
    return _VERSION.fullmatch(value) is not None


def _compare(left: Mapping[str, Any], right: Mapping[str, Any]) -> int:
    """-1, 0 or 1, of two quantities or of two versions."""
    one, other = _sortable(left), _sortable(right)
    return int(one > other) - int(one < other)


def _sortable(value: Mapping[str, Any]) -> tuple[Any, ...]:
    if QUANTITY in value:
        return (int(value[QUANTITY]),)
    major, minor, patch, before = (str(part) for part in value[SEMVER])
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split("."))
    return (int(major), int(minor), int(patch), parts)
