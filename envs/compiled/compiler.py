"""How environments compile their kernels: numba's options, and where the cache lies.

numba decides whether a cached function is stale by looking at that function's own file, not at the files of what it
calls. Kernels call across files (the codec, the packers), so each environment's cache folder is named after a digest of
all of its files: a change anywhere compiles anew, and old code never runs.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.registry import CPUDispatcher
from numba.core.types import unliteral

from envs.compiled.choice import FAST, chosen_compiler

ENVIRONMENTS = Path(__file__).parents[1]
CALLERS = ("env.py", "vector.py", "parallel.py")
"""Modules of an environment that only call kernels: a change of one compiles nothing anew."""
BUILT_ON = {"serverless": ("containers",), "edge": ("containers",)}
"""Environment -> folders of `envs` that its kernels are made of too."""


@cache
def source_digest(environment: str) -> str:
    """A digest of every source file that an environment's kernels are compiled from, and of how they are compiled.

    numba's own index of a cache knows nothing of the latter: neither of its version, nor of our compilers, nor of
    NUMBA_BOUNDSCHECK.

    Args:
        environment: name of the environment's folder in `envs`.
    """
    settings: Any = numba.config
    digest = hashlib.sha256(f"{numba.__version__} {chosen_compiler()} {settings.BOUNDSCHECK}".encode())
    own = (environment, *BUILT_ON.get(environment, ()))
    for folder in (Path(__file__).parent, *(ENVIRONMENTS / name for name in own)):
        for path in sorted(folder.rglob("*.py")):
            if path.parent != folder or path.name not in CALLERS:
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """The folder that holds compiled kernels: `NUMBA_CACHE_DIR`, else the user's cache folder."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return Path(os.environ["NUMBA_CACHE_DIR"]) / "autoscaler"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoscaler" / "numba"


@cache
def cache_folder(environment: str) -> Path | None:
    """The cache folder of an environment's kernels, or None when it cannot be written: every process compiles anew.

    Args:
        environment: name of the environment's folder in `envs`.
    """
    folder = cache_root() / f"{environment}-{source_digest(environment)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return None


REMOVES_DISABLED = chosen_compiler() == FAST
"""Whether kernels leave out what the class of their settings fixes as off; then it pays to have several kinds."""


def _options() -> dict[str, Any]:
    # IEEE-exact arithmetic without exceptions, and no reference counting: kernels allocate nothing, and counting
    # references of the arrays that functions hand on made them several times slower.
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}
    if chosen_compiler() == FAST:
        from envs.compiled.pruning import Compiler  # inner parts of numba, which other versions may not have

        options["pipeline_class"] = Compiler
    return options


OPTIONS = _options()
"""Options of `numba.njit` for all that kernels are made of."""

NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Helper(CPUDispatcher):
    """A function that is compiled only for kernels that call it; Python runs it as it is written."""

    def __call__(self, *arguments: Any) -> Any:
        """Run the plain function."""
        return self.py_func(*arguments)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Find or compile what is called; numba would compile a function anew for each constant that it is given."""
        general: Any = unliteral
        named = {name: general(kws[name]) for name in kws}
        return super().get_call_template(tuple(general(each) for each in args), named)


def _for_kernels(function: Callable[..., Any], **options: Any) -> Any:
    """A function as a `Helper`; without numba (NUMBA_DISABLE_JIT) it stays as it is."""
    dispatcher = numba.njit(**OPTIONS, **NO_WRAPPERS, **options)(function)
    if dispatcher is not function:
        dispatcher.__class__ = Helper
    return dispatcher


def helper(function: Callable[..., Any]) -> Any:
    """Decorate a function that only kernels call: compiled into them, and cached with them.

    Always inlined: a call hands on every array's shape and strides, more than a hundred words for a `Cluster`, and that
    took more than half of a replay's time. Kernels that check bounds are for tests, which mostly wait for the compiler.
    """
    settings: Any = numba.config
    return _for_kernels(function, forceinline=not settings.BOUNDSCHECK)


def rare(function: Callable[..., Any]) -> Any:
    """Decorate a function that kernels call now and then: not inlined, so that it is compiled once a kernel."""
    return _for_kernels(function, forceinline=False)  # else it has the option of a helper that calls it


def uncached_kernel(function: Callable[..., Any]) -> Any:
    """Decorate a function that Python calls: compiled on its first call, for this process only."""
    return numba.njit(**OPTIONS)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Decorate a function that Python calls: compiled on its first call and cached on disk."""
    package, _, environment = function.__module__.partition(".")
    folder = cache_folder(environment.partition(".")[0] if package == "envs" else "compiled")
    if folder is None:
        return uncached_kernel(function)
    settings: Any = numba.config
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder)
    try:
        return numba.njit(**OPTIONS, cache=True)(function)
    finally:
        settings.CACHE_DIR = before


def entry(function: Any, *examples: Any) -> Callable[..., Any]:
    """A kernel, compiled for arguments of exactly the types of `examples`; it takes no others.

    Calling it spares numba's look-up of the types, which takes 11 microseconds for a `World`, three steps' time.
    """
    if not hasattr(function, "overloads"):  # NUMBA_DISABLE_JIT
        return function
    typeof: Any = numba.typeof
    signature = tuple(typeof(example) for example in examples)
    function.compile(signature)
    compiled: Callable[..., Any] = function.overloads[signature].entry_point
    return compiled


def compiled_copy(function: Callable[..., Any], helpers: dict[str, Any]) -> Any:
    """A compiled copy of a plain function whose calls to `helpers` go to their compiled copies."""
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"{function!r} is not a plain function")
    copy = types.FunctionType(function.__code__, {**function.__globals__, **helpers}, function.__name__)
    return helper(copy)
