"""Which compiler is chosen, and how that is said."""

from __future__ import annotations

import os
import subprocess
import sys

import numba
import pytest

from envs.compiled import choice
from envs.errors import CompilerError


def chosen(monkeypatch: pytest.MonkeyPatch, version: str, wanted: str | None) -> str:
    """The compiler that a process with this numba and this variable would choose."""
    monkeypatch.setattr(numba, "__version__", version)
    if wanted is None:
        monkeypatch.delenv(choice.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(choice.VARIABLE, wanted)
    choice.chosen_compiler.cache_clear()
    try:
        return choice.chosen_compiler()
    finally:
        choice.chosen_compiler.cache_clear()


def test_a_version_that_was_tested_gets_the_fast_compiler(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert chosen(monkeypatch, f"{choice.TESTED[-1]}.7", None) == choice.FAST
    assert caplog.messages == []


def test_another_version_gets_stock_numba_and_one_line_that_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert chosen(monkeypatch, "1.99.0", None) == choice.STOCK
    (message,) = caplog.messages
    assert "1.99.0" in message
    assert "AUTOSCALER_COMPILER=stock" in message
    assert "\n" not in message


@pytest.mark.parametrize("wanted", [choice.STOCK, choice.FAST])
def test_the_variable_decides_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, wanted: str
) -> None:
    assert chosen(monkeypatch, "1.99.0", wanted) == wanted
    assert chosen(monkeypatch, f"{choice.TESTED[-1]}.0", wanted) == wanted
    assert caplog.messages == []


def test_another_value_of_the_variable_is_an_error_that_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CompilerError, match=r"'stok'; did you mean 'stock'"):
        chosen(monkeypatch, "0.68.1", "stok")


SCRIPT = """
import sys
from envs.compiled import compiler
print("envs.compiled.linking" in sys.modules, compiler.source_digest("gpu_cluster"))
"""


def run(**variables: str) -> tuple[str, str]:
    """Whether a process imports what extends numba, and the digest that names its cache."""
    environment = {**os.environ, **variables}
    command = [sys.executable, "-c", SCRIPT]
    extended, digest = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout.split()
    return extended, digest


def test_stock_numba_imports_no_inner_parts_and_each_way_to_compile_has_a_cache_of_its_own() -> None:
    stock = run(AUTOSCALER_COMPILER="stock", NUMBA_BOUNDSCHECK="0")
    fast = run(AUTOSCALER_COMPILER="fast", NUMBA_BOUNDSCHECK="0")
    checked = run(AUTOSCALER_COMPILER="fast", NUMBA_BOUNDSCHECK="1")
    assert [extended for extended, _ in (stock, fast, checked)] == ["False", "True", "True"]
    assert len({digest for _, digest in (stock, fast, checked)}) == 3
