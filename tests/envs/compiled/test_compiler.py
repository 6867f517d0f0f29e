"""How kernels are compiled: helpers are linked into them once, and can be called from anywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, NamedTuple

import numba
import numpy as np
import pytest

from envs.compiled.compiler import REMOVES_DISABLED, helper, kernel, rare, uncached_kernel

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NUMBA_DISABLE_JIT: nothing is compiled")
only_fast = pytest.mark.skipif(not REMOVES_DISABLED, reason="stock numba compiles a helper for each caller")


@helper
def square(number: int) -> int:
    return number * number


@rare
def square_plus_one(number: int) -> int:
    return square(number) + 1


@helper
def both(number: int) -> int:
    return square_plus_one(number) + square(number)


@kernel
def use(number: int) -> int:
    return both(number) + square_plus_one(number)


class Switch(NamedTuple):
    """A setting."""

    is_on: bool


class Off(Switch):
    """A setting that is off, and removed by the fast compiler."""

    FIXED: ClassVar = {"is_on": False}


@helper
def only_if(switch: Switch, number: int) -> int:
    if switch.is_on:
        return both(number)
    return number


@kernel
def use_after_what_is_off(switch: Switch, number: int) -> int:
    return only_if(switch, number) + both(number)


def test_a_kernel_has_what_its_helpers_call() -> None:
    assert use(3) == 10 + 9 + 10


def test_a_function_is_linked_where_its_first_caller_is_compiled_away() -> None:
    assert use_after_what_is_off(Off(False), 3) == 3 + 19
    assert use_after_what_is_off(Switch(False), 3) == 3 + 19
    assert use_after_what_is_off(Switch(True), 3) == 19 + 19


@only_fast
def test_a_rare_function_stays_a_function_and_a_helper_does_not() -> None:
    compiled = uncached_kernel(use.py_func)  # numba does not show the code of what it found in the cache
    compiled(3)
    code = next(iter(compiled.inspect_llvm().values()))
    defined = re.findall(r"^define .*@(\S+?)\(", code, re.MULTILINE)
    assert [name for name in defined if "square_plus_one" in name]
    assert not [name for name in defined if "both" in name]
    assert sum("square_plus_one" in name for name in defined) == 1


def test_python_runs_a_helper_as_it_is_written() -> None:
    assert both(3) == 19
    assert square(np.float64(1.5)) == 2.25


def test_functions_that_are_compiled_elsewhere_call_helpers() -> None:
    use(3)  # its copies of the helpers must not be found in place of theirs

    @numba.njit
    def elsewhere(number: int) -> int:
        return both(number) + square(number) + square_plus_one(number)

    assert elsewhere(3) == 19 + 9 + 10


def test_a_helper_is_compiled_for_each_type() -> None:
    @kernel
    def of_both(number: int, real: float) -> float:
        return both(number) + both(real)

    assert of_both(3, 1.5) == 19 + 5.5


def test_a_constant_compiles_nothing_anew() -> None:
    @rare
    def thrice(number: int) -> int:
        return 3 * number

    @uncached_kernel
    def of_constants(number: int) -> int:
        return thrice(5) + thrice(-1) + thrice(number)

    assert of_constants(2) == 18
    assert len(thrice.overloads) == 1


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
import test_compiler as compiled
assert compiled.use(3) == 29
stats = compiled.use.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.mark.slow
def test_another_process_finds_kernels_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    script = SCRIPT.format(folder=str(Path(__file__).parent))
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert runs == [["0", "1"], ["1", "0"]]


MISSING_COLUMN = """
import numpy as np
from envs.compiled.compiler import helper, uncached_kernel

@helper
def read(row, column):
    return row[column]

@uncached_kernel
def read_all(table, column):
    total = 0
    for row in range(table.shape[0]):
        total += read(table[row], column)
    return total

print(read_all(np.zeros((2, 3), np.int64), 2))
try:
    read_all(np.zeros((2, 3), np.int64), 3)
except IndexError:
    print("IndexError")
"""


@pytest.mark.parametrize("compiler", ["fast", "stock"])
def test_a_missing_column_is_an_error_where_bounds_are_checked(compiler: str) -> None:
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "AUTOSCALER_COMPILER": compiler}
    command = [sys.executable, "-c", MISSING_COLUMN]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.split() == ["0", "IndexError"]
