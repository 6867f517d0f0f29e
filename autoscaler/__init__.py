"""A reinforcement-learning autoscaler for GPU clusters: command line, evaluation and the live loop.

Importing this package loads nothing else, so that `autoscaler --help` and the live loop start quickly.
"""

from __future__ import annotations

DISTRIBUTION = "green-gpu-autoscaler"


def __getattr__(name: str) -> str:
    """Look `__version__` up in the installed distribution when it is asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0+not-installed"
