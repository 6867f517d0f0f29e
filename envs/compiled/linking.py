"""Libraries of compiled code that are only linked into others: what kernels call is optimised once, inside a kernel.

numba optimises and translates to machine code every function on its own, with all that it calls, before the caller does
the same again with a copy. Kernels are some hundred small functions, six calls deep, so nearly all of that is in vain.
"""

from __future__ import annotations

from typing import Any

from llvmlite.binding import Linkage
from numba import _dynfunc  # type: ignore[attr-defined]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

register: Any = register_pass


class HelperLibrary(JITCodeLibrary):
    """Code of a helper as it was lowered: nothing is linked into it, and there is no machine code of it."""

    def add_ir_module(self, ir_module: Any) -> None:
        """Add code; a function that is not always inlined never is, so that it is there once, and small."""
        for function in ir_module.functions:
            if function.blocks and not function.linkage and "alwaysinline" not in function.attributes:
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)

    def finalize(self) -> None:
        """Take no more code."""
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """0: there is no machine code."""
        return 0

    def alone(self) -> Any:
        """The LLVM module of the helper without what it calls."""
        return super()._get_module_for_linking()

    def _get_module_for_linking(self) -> Any:
        """The LLVM module with what it calls, for callers that this module did not compile."""
        module = self.alone().clone()
        for library in _closure(self._linking_libraries):
            module.link_in(library._get_module_for_linking(), preserve=True)  # noqa: SLF001 (numba's, and ours)
        return module


class _Alone:
    """A helper's library as `Library` links it."""

    def __init__(self, library: HelperLibrary) -> None:
        self._reload_init = library._reload_init  # noqa: SLF001 (a library of ours)
        self._get_module_for_linking = library.alone


class Library(JITCodeLibrary):
    """Code of a kernel: it links what its helpers call too."""

    def finalize(self) -> None:
        """Link, optimise and translate to machine code."""
        self._linking_libraries = _closure(self._linking_libraries)
        super().finalize()

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.linkage == Linkage.linkonce_odr and not function.is_declaration:
                function.linkage = Linkage.internal  # so that arguments that it does not need are not handed on
                function.name = f"inner.{function.name}"  # else other modules would find it, with its other arguments
        super()._optimize_final_module()


def _closure(libraries: list[Any]) -> list[Any]:
    """The libraries and all that helpers among them need, each once and behind all that call it.

    LLVM links a function that may be there several times only where one is called that is there already.
    """
    found: dict[Any, Any] = {}

    def visit(library: Any) -> None:
        if library in found:
            return
        if isinstance(library, HelperLibrary):
            for callee in library._linking_libraries:  # noqa: SLF001 (a library of ours)
                visit(callee)
            found[library] = _Alone(library)
        else:
            found[library] = library

    for library in libraries:
        visit(library)
    return list(reversed(found.values()))


@register(mutates_CFG=True, analysis_only=False)
class Lowering(NativeLowering):
    """numba's lowering into one of our libraries; a function without a wrapper for Python is a helper."""

    _name = "lowering_for_linking"

    def run_pass(self, state: Any) -> bool:
        """Lower one function."""
        codegen, name = state.targetctx.codegen(), state.func_id.func_qualname
        if not state.flags.no_cpython_wrapper:
            state.library = Library(codegen, name)
            state.library.enable_object_caching()
            return bool(super().run_pass(state))
        state.library = HelperLibrary(codegen, name)
        state.flags.no_compile = True
        super().run_pass(state)
        # By this object those who call the helper find it; it has no code of its own, so Python must not call it.
        lowered = state["cr"]
        module, doc = lowered.fndesc.lookup_module(), f"{name}, which only kernels call"
        entry_point = _dynfunc.make_function(module, name, doc, 0, lowered.env, (state.library,))
        state.targetctx.insert_user_function(entry_point, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=entry_point)
        return True
