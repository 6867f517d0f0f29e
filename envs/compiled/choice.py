"""Which compiler makes the kernels: numba as it comes, or numba with our two extensions.

The extensions (`pruning.py`, `linking.py`) leave out what settings switch off and compile each function once, so that
the first call takes a third of the time. They build on inner parts of numba that may change with any release. So they
are used with versions that the tests ran with, and stock numba, with the same results to the last digit, with others.
"""

from __future__ import annotations

import logging
import os
from functools import cache

import numba

from configs.errors import did_you_mean
from envs.errors import CompilerError

VARIABLE = "AUTOSCALER_COMPILER"
FAST, STOCK = "fast", "stock"

TESTED = ("0.68",)
"""Releases of numba that the extensions were tested with: `tests/envs/compiled` and the property tests."""


def is_tested(version: str) -> bool:
    """Whether the extensions were tested with this version of numba."""
    return ".".join(version.split(".")[:2]) in TESTED


@cache
def chosen_compiler() -> str:
    """`FAST` or `STOCK`: what AUTOSCALER_COMPILER says, else what fits the installed numba.

    Falling back to stock numba is said once a process, by `logging`, which is one line on stderr.

    Raises:
        CompilerError: AUTOSCALER_COMPILER is neither.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted in (FAST, STOCK):
        return wanted
    if wanted:
        raise CompilerError(f"unknown compiler {VARIABLE}={wanted!r}{did_you_mean(wanted, (FAST, STOCK))}")
    if is_tested(numba.__version__):
        return FAST
    logging.getLogger(__name__).warning(
        "numba %s was not tested with the fast compiler (%s were): kernels compile with stock numba, to the same "
        "results, and their first call takes longer; %s=%s hides this line",
        numba.__version__,
        ", ".join(TESTED),
        VARIABLE,
        STOCK,
    )
    return STOCK
