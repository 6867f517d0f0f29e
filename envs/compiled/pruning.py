"""A compiler that leaves out what settings switch off: numba's own, with one pass more.

See "Customizing the Compiler" in numba's documentation.
"""

from __future__ import annotations

from typing import Any

from numba.core import ir, types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import NativeLowering
from numba.core.untyped_passes import IRProcessing

from envs.compiled.linking import Lowering

register: Any = register_pass
nopython_passes: Any = DefaultPassBuilder.define_nopython_pipeline


def _type_of(state: Any, variable: Any) -> Any:
    """The type of an argument, or of a field of an argument that is a NamedTuple; None: it is something else."""
    try:
        source = state.func_ir.get_definition(variable)
    except KeyError:  # it has several definitions
        return None
    if isinstance(source, ir.Arg):
        return state.args[source.index]
    if isinstance(source, ir.Expr) and source.op == "getattr":
        owner: Any = _type_of(state, source.value)
        is_named_tuple = isinstance(owner, types.BaseNamedTuple)
        if is_named_tuple and source.attr in owner.fields:
            return owner.types[owner.fields.index(source.attr)]
    return None


@register(mutates_CFG=False, analysis_only=False)
class FieldsThatAreNone(FunctionPass):
    """Replaces fields of NamedTuples whose type says None by None, before numba prunes branches that are never taken.

    numba does that for arguments only. With it `if settings.moves_jobs:` costs nothing where `moves_jobs` is None,
    neither when it runs nor when it is compiled, and neither does all that only such branches call.
    """

    _name = "fields_that_are_none"

    def __init__(self) -> None:  # numba instantiates passes, and the base class is abstract
        pass

    def run_pass(self, state: Any) -> bool:
        """Rewrite the IR of one function; return whether it changed."""
        changed = False
        for block in state.func_ir.blocks.values():
            for line in block.body:
                is_field = (
                    isinstance(line, ir.Assign) and isinstance(line.value, ir.Expr) and line.value.op == "getattr"
                )
                if is_field and isinstance(_type_of(state, line.target), types.NoneType):
                    none: Any = ir.Const(None, line.loc)
                    state.func_ir._definitions[line.target.name] = [none]  # noqa: SLF001 (numba's own passes do so)
                    line.value = none
                    changed = True
        return changed


class Compiler(CompilerBase):
    """numba's compiler with `FieldsThatAreNone`."""

    def define_pipelines(self) -> list[Any]:
        """The passes of `numba.njit` and ours."""
        passes = nopython_passes(self.state)
        passes.add_pass_after(FieldsThatAreNone, IRProcessing)
        passes.passes = [(Lowering if each is NativeLowering else each, why) for each, why in passes.passes]
        passes.finalize()
        return [passes]
