"""The metadata that every object has."""

from __future__ import annotations

import dataclasses
from typing import Any

from autoscaler.live.clock import Clock
from autoscaler.live.kube.fields import ParseError, mapping, string_map, strings, text, unix_seconds
from autoscaler.live.objects import ObjectView

_FIELDS = tuple(field.name for field in dataclasses.fields(ObjectView))


def read_metadata(raw: Any, clock: Clock) -> ObjectView:
    """Read the metadata of an object.

    Args:
        raw: the object.
        clock: in whose seconds the times are.

    Raises:
        ParseError: it cannot be read.
    """
    metadata = mapping(mapping(raw, "object").get("metadata"), "metadata")
    name, uid = text(metadata.get("name"), "metadata.name"), text(metadata.get("uid"), "metadata.uid")
    if not name or not uid:
        raise ParseError("metadata", "has no name or no uid")
    return ObjectView(
        name=name,
        uid=uid,
        namespace=text(metadata.get("namespace"), "metadata.namespace"),
        resource_version=text(metadata.get("resourceVersion"), "metadata.resourceVersion"),
        labels=string_map(metadata.get("labels"), "metadata.labels"),
        annotations=string_map(metadata.get("annotations"), "metadata.annotations"),
        created_seconds=clock_seconds(metadata.get("creationTimestamp"), "metadata.creationTimestamp", clock) or 0.0,
        deleted_seconds=clock_seconds(metadata.get("deletionTimestamp"), "metadata.deletionTimestamp", clock),
        finalizers=strings(metadata.get("finalizers"), "metadata.finalizers"),
    )


def common_fields(base: ObjectView) -> dict[str, Any]:
    """What `read_metadata` read, as arguments of a view."""
    return {name: getattr(base, name) for name in _FIELDS}


def clock_seconds(value: Any, path: str, clock: Clock) -> float | None:
    """An RFC 3339 time in clock seconds; None: there is none.

    Raises:
        ParseError: it is no time.
    """
    seconds = unix_seconds(value, path)
    return None if seconds is None else clock.from_wall(seconds)
