"""A compiler that leaves out what settings switch off: numba's own, with one pass more.

numba prunes a branch whose condition is a constant before it looks at the types in it. Whether a feature is on is a
field of a NamedTuple, and that is no constant. So a subclass of the NamedTuple says what it is, in `FIXED`, and the
class is part of the type that a kernel is compiled for.

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


def _fixed_value(state: Any, value: Any) -> bool | None:
    """What the class of a NamedTuple says that the field is which an expression reads; None: nothing."""
    if not isinstance(value, ir.Expr) or value.op != "getattr":
        return None
    owner: Any = _type_of(state, value.value)
    fixed: bool | None = getattr(getattr(owner, "instance_class", None), "FIXED", {}).get(value.attr)
    return fixed


@register(mutates_CFG=False, analysis_only=False)
class FixedFields(FunctionPass):
    """Replaces fields that the class of their NamedTuple fixes by constants, before numba prunes branches.

    With it `if settings.moves_jobs:` costs nothing where `moves_jobs` is fixed, neither when it runs nor when it is
    compiled, and neither does all that only such branches call.
    """

    _name = "fixed_fields"

    def __init__(self) -> None:  # numba instantiates passes, and the base class is abstract
        pass

    def run_pass(self, state: Any) -> bool:
        """Rewrite the IR of one function; return whether it changed."""
        changed = False
        for block in state.func_ir.blocks.values():
            for line in block.body:
                fixed = _fixed_value(state, line.value) if isinstance(line, ir.Assign) else None
                if fixed is not None:
                    constant: Any = ir.Const(fixed, line.loc)
                    state.func_ir._definitions[line.target.name] = [constant]  # noqa: SLF001 (numba's own passes do so)
                    line.value = constant
                    changed = True
        return changed


class Compiler(CompilerBase):
    """numba's compiler with `FixedFields`, and with libraries that are linked into kernels once."""

    def define_pipelines(self) -> list[Any]:
        """The passes of `numba.njit` and ours."""
        passes = nopython_passes(self.state)
        passes.add_pass_after(FixedFields, IRProcessing)
        passes.passes = [(Lowering if each is NativeLowering else each, why) for each, why in passes.passes]
        passes.finalize()
        return [passes]
