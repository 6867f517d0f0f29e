"""Whether what two environments gave back is the same."""

from __future__ import annotations

from typing import Any

import numpy as np


def assert_same(one: Any, other: Any) -> None:
    """Equal to the bit, through dicts and arrays, of objects too."""
    if isinstance(one, tuple):
        for ours, theirs in zip(one, other, strict=True):
            assert_same(ours, theirs)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, np.ndarray) and one.dtype == object:
        for ours, theirs in zip(one, other, strict=True):
            assert_same(ours, theirs)
    else:
        np.testing.assert_array_equal(one, other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
