"""Gymnasium spaces as plain values, for manifests: loading a policy makes no environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents.errors import ArtifactError


def space_to_dict(space: spaces.Space[Any]) -> dict[str, Any]:
    """Plain values of a space.

    Raises:
        ArtifactError: it is of a kind that a manifest cannot hold.
    """
    kind = type(space).__name__
    if isinstance(space, spaces.Box):
        bounds = {"low": _shortest(space.low), "high": _shortest(space.high)}
        return {"kind": kind, "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.Discrete):
        return {"kind": kind, "n": int(space.n)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"kind": kind, "nvec": space.nvec.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": kind, "n": space.n if isinstance(space.n, int) else list(space.shape)}
    raise ArtifactError(f"a policy of a {kind} space cannot be saved; wrap the environment")


def _shortest(bound: NDArray[Any]) -> Any:
    """One number where all are the same, as in images and most vectors; JSON has no infinity, so text stands for it."""
    texts = [str(value) for value in np.unique(bound)]
    return texts[0] if len(texts) == 1 else np.vectorize(str, otypes=[object])(bound).tolist()


def space_from_dict(values: Mapping[str, Any]) -> spaces.Space[Any]:
    """The inverse of `space_to_dict`.

    Raises:
        ArtifactError: the values describe no space.
    """
    try:
        kind = values["kind"]
        if kind == "Box":
            dtype: Any = np.dtype(values["dtype"])
            shape = tuple(values["shape"])
            low, high = (np.broadcast_to(np.array(values[name], dtype), shape) for name in ("low", "high"))
            return spaces.Box(low, high, shape, dtype.type)
        if kind == "Discrete":
            return spaces.Discrete(values["n"])
        if kind == "MultiDiscrete":
            return spaces.MultiDiscrete(values["nvec"])
        if kind == "MultiBinary":
            return spaces.MultiBinary(values["n"])
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise ArtifactError(f"{dict(values)} describes no space ({error})") from error
    raise ArtifactError(f"{kind!r} is no kind of space")
