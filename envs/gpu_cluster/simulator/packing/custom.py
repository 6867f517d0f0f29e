"""Custom packers inside the simulator: kernels call them through a pointer, and so need not be compiled for each.

`DetailSettings.custom` is the address of a C function that answers two questions, see `ask_custom`. It gets addresses
and sizes only, for a C function takes no NamedTuples of arrays. A compiled packer is a function of numba's that makes
`Nodes`, `Tables` and a pod of them again, with the score inlined in its loop over nodes. A plain packer is a callback
of ctypes, which takes the lock of Python that kernels do not hold. Without numba's compiler (`NUMBA_DISABLE_JIT`)
`DetailSettings.custom` is a Python function, and is called as one.

There is one kind of kernels for all custom packers, which is cached as the others are. What is compiled for a
packer itself takes some seconds in each process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numba.core.cgutils
import numba.extending
import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from envs.compiled.compiler import OPTIONS, helper
from envs.errors import PackingError
from envs.gpu_cluster.simulator import node_state as ns
from envs.gpu_cluster.simulator.node_state import Nodes, Pod, Tables, fits
from envs.gpu_cluster.simulator.packing.packer import Packer, plain_function
from envs.gpu_cluster.simulator.packing.packers.first_fit import first_fit

NO_PLACE, FAILED = -1, -2
"""What a custom packer answers other than a node or GPUs."""

RAISED, WRONG_GPUS = range(1, 3)
"""Values of `state.PACKER_FAULT`; of the latter and above, the node is what is beyond it."""

SHARE_LEVELS = 1001

# numba's annotations are of its own code, not of what it compiles.
_cgutils: Any = numba.core.cgutils
_intrinsic: Any = numba.extending.intrinsic
_overload: Any = numba.extending.overload
_carray: Any = numba.carray  # type: ignore[attr-defined]
_array: Any = numba.types.CPointer
_integer: Any = numba.types.int64
SIGNATURE: Any = _integer(
    *[_array(_integer)] * 5, *[_array(numba.types.int16)] * 2, *[_array(_integer)] * 2, *[_integer] * 10
)
"""Nine arrays (three of `Nodes`, the pod, five of `Tables`), eight sizes, and the arguments `first` and `end`."""

CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(SIGNATURE.args))


def ask_custom(custom: Any, nodes: Nodes, tables: Tables, pod: Pod, first: int, end: int) -> int:
    """The node among [first, end) that a custom packer chooses; with `end` -1, GPUs of node `first` as bits."""
    return int(custom(nodes, tables, pod, first, end))


@_intrinsic
def _call(typing_context: Any, address: Any, arguments: Any) -> Any:  # noqa: ARG001 (numba's convention)
    """Call the C function at an address; of an array it gets the address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        words = []
        for kind, value in zip(signature.args[1], _cgutils.unpack_tuple(builder, values[1]), strict=True):
            is_array = isinstance(kind, numba.types.Array)
            words.append(context.make_array(kind)(context, builder, value).data if is_array else value)
        function = ir.FunctionType(ir.IntType(64), [word.type for word in words])
        return builder.call(builder.inttoptr(values[0], function.as_pointer()), words)

    return _integer(address, arguments), generate


@_overload(ask_custom, jit_options={**OPTIONS, "forceinline": True})
def _ask_by_address(custom: Any, nodes: Any, tables: Any, pod: Any, first: Any, end: Any) -> Any:  # noqa: ARG001
    def ask(custom: Any, nodes: Any, tables: Any, pod: Any, first: Any, end: Any) -> Any:
        (num_nodes, columns), gpus, cpus = nodes.node.shape, nodes.gpu.shape[1], tables.cpu_level.shape[0]
        models, levels, shares = tables.share_weight.shape
        arrays = (
            nodes.node,
            nodes.gpu,
            nodes.kind,
            pod,
            tables.most,
            tables.cpu_level,
            tables.share_level,
            tables.share_weight,
            tables.whole_weight,
        )
        return _call(
            custom,
            (*arrays, num_nodes, columns, gpus, cpus, models, levels, shares, tables.whole_weight.shape[2], first, end),
        )

    return ask


@helper
def are_free(nodes: Nodes, pod: Pod, node: int, bits: int) -> bool:
    """Whether GPUs, as bits, are as many as a pod requests, and have it free."""
    left = pod[ns.NUM_GPUS]
    for gpu in range(nodes.node[node, ns.GPUS]):
        if (bits >> gpu) & 1 == 1:
            if nodes.gpu[node, gpu] < pod[ns.MILLI]:
                return False
            left -= 1
    return left == 0 and bits >> nodes.node[node, ns.GPUS] == 0


def nodes_that_fit(nodes: Nodes, pod: Pod, first: int, end: int) -> list[int]:
    """The nodes among [first, end) that are open and that a pod fits on; `node_state.fits` of many nodes."""
    rows = nodes.node[first:end]
    fit = (rows[:, ns.OPEN] != 0) & (rows[:, ns.FREE_CPU] >= pod[ns.CPU]) & (rows[:, ns.FREE_MEMORY] >= pod[ns.MEMORY])
    fit &= (pod[ns.MODELS] >> rows[:, ns.MODEL]) & 1 == 1
    fit &= rows[:, ns.WHOLE] >= pod[ns.NUM_GPUS] if pod[ns.MILLI] == 1000 else rows[:, ns.LARGEST] >= pod[ns.MILLI]
    found: list[int] = (np.flatnonzero(fit) + first).tolist()
    return found


def key_of(packer: Packer, nodes: Nodes, tables: Tables, pod: Pod, node: int) -> Any:
    """The key of a node for a pod, in plain Python."""
    key = plain_function(packer.score)(nodes, tables, pod, node)
    return key if packer.per_pod is None else key + plain_function(packer.per_pod)(nodes, tables, pod, node)


def answer_plainly(packer: Packer, nodes: Nodes, tables: Tables, pod: Pod, first: int, end: int) -> int:
    """The answer of `ask_custom` in plain Python."""
    if end < 0:
        return max(int(plain_function(packer.gpus)(nodes, tables, pod, first)), 0)
    fit = nodes_that_fit(nodes, pod, first, end)
    return min(fit, key=lambda node: key_of(packer, nodes, tables, pod, node), default=NO_PLACE)


def _empty_arguments() -> tuple[Nodes, Tables, Pod]:
    """Arguments of a score, for their types."""
    one, two = (np.zeros((0,) * dimensions, np.int64) for dimensions in (1, 2))
    return Nodes(two, two, two, two, one, one, one), ns.empty_tables(), one


def _compile_part(name: str, part: str, function: Any) -> Any:
    """One function of a packer, compiled as kernels compile theirs.

    Raises:
        PackingError: numba cannot, or the function does not return an integer.
    """
    compiled = helper(plain_function(function))
    typeof: Any = numba.typeof
    try:
        compiled.compile((*(typeof(argument) for argument in _empty_arguments()), _integer))
    except Exception as error:  # numba raises many
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = next((line for line in lines if not line.startswith("Failed in")), type(error).__name__)
        raise PackingError(
            f"packer {name!r}: numba cannot compile its {part}: {reason.rstrip('.:')}; "
            "Packer(..., compiled=False) runs it as plain Python"
        ) from error
    returned = compiled.nopython_signatures[-1].return_type
    if not isinstance(returned, numba.types.Integer):
        raise PackingError(f"packer {name!r}: its {part} returns {returned}; it must return an integer")
    return compiled


def _compile(name: str, packer: Packer) -> Any:
    """The C function of a packer; not cached on disk, for nothing says when its source changes."""
    score, pick = (_compile_part(name, part, getattr(packer, part)) for part in ("score", "gpus"))
    add = _compile_part(name, "per_pod", packer.per_pod or first_fit)  # first fit gives 0

    @helper
    def lowest(nodes: Nodes, tables: Tables, pod: Pod, first: int, end: int) -> int:
        least: Any = 0
        chosen = NO_PLACE
        for node in range(first, end):
            if fits(nodes, pod, node):
                key = np.int64(score(nodes, tables, pod, node)) + np.int64(
                    add(nodes, tables, pod, node)
                )  # unsigned ones would be floats
                if chosen < 0 or key < least:
                    least, chosen = key, node
        return chosen

    def answer(
        node: Any,
        gpu: Any,
        kind: Any,
        requested: Any,
        most: Any,
        cpu_level: Any,
        share_level: Any,
        share_weight: Any,
        whole_weight: Any,
        num_nodes: int,
        columns: int,
        gpus: int,
        cpus: int,
        models: int,
        levels: int,
        shares: int,
        wholes: int,
        first: int,
        end: int,
    ) -> int:
        # No keys are kept, so their arrays are empty.
        nodes = Nodes(
            _carray(node, (num_nodes, columns)),
            _carray(gpu, (num_nodes, gpus)),
            _carray(kind, (num_nodes, gpus + 1)),
            _carray(node, (0, num_nodes)),
            _carray(node, (0,)),
            _carray(node, (0,)),
            _carray(node, (0,)),
        )
        tables = Tables(
            _carray(most, (3,)),
            _carray(cpu_level, (cpus,)),
            _carray(share_level, (SHARE_LEVELS,)),
            _carray(share_weight, (models, levels, shares)),
            _carray(whole_weight, (models, levels, wholes)),
        )
        pod = _carray(requested, (ns.POD_COLUMNS,))
        try:
            found = max(pick(nodes, tables, pod, first), 0) if end < 0 else lowest(nodes, tables, pod, first, end)
        except Exception:
            found = FAILED
        return found

    return numba.cfunc(SIGNATURE, error_model="numpy")(answer)


_compiled: dict[Packer, Any] = {}
"""The C functions of this process."""


def _at(address: int, shape: tuple[int, ...], kind: Any = np.int64) -> NDArray[Any]:
    """An array in memory of a kernel."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.frombuffer((ctypes.c_char * size).from_address(address), kind).reshape(shape)


def _arrays_at(words: tuple[int, ...]) -> tuple[Nodes, Tables, Pod]:
    """The arrays that a kernel means; the keys are empty, as none are kept."""
    (node, gpu, kind, pod, most, cpu, share, share_weight, whole_weight), sizes = words[:9], words[9:]
    num_nodes, columns, gpus, cpus, models, levels, shares, wholes = sizes
    none = np.zeros(0, np.int64)
    nodes = Nodes(
        _at(node, (num_nodes, columns)),
        _at(gpu, (num_nodes, gpus)),
        _at(kind, (num_nodes, gpus + 1)),
        np.zeros((0, num_nodes), np.int64),
        none,
        none,
        none,
    )
    tables = Tables(
        _at(most, (3,)),
        _at(cpu, (cpus,), np.int16),
        _at(share, (SHARE_LEVELS,), np.int16),
        _at(share_weight, (models, levels, shares)),
        _at(whole_weight, (models, levels, wholes)),
    )
    return nodes, tables, _at(pod, (ns.POD_COLUMNS,))


class CustomPacker:
    """A custom packer as the kernels of one simulator call it; it must live as long as they do.

    Args:
        name: of the packer, for messages.
        packer: its functions.

    Attributes:
        address: what `DetailSettings.custom` gets.

    Raises:
        PackingError: numba cannot compile it.
    """

    def __init__(self, name: str, packer: Packer) -> None:
        self._name = name
        self._error: BaseException | None = None
        self._function: Any = None
        self.address: int | Callable[..., int]
        settings: Any = numba.config
        if settings.DISABLE_JIT:
            self.address = partial(answer_plainly, packer)
        elif packer.compiled:
            if packer not in _compiled:
                _compiled[packer] = _compile(name, packer)
            self._function = _compiled[packer]
            self.address = int(self._function.address)
        else:
            self._function = self._callback(packer)
            self.address = ctypes.cast(self._function, ctypes.c_void_p).value or 0

    def _callback(self, packer: Packer) -> Any:
        known: dict[tuple[int, ...], tuple[Nodes, Tables, Pod]] = {}  # the memory of a simulator stays where it is

        def answer(*words: int) -> int:
            try:
                *_, first, end = words
                arrays = known.get(words[:-2])
                if arrays is None:
                    arrays = known[words[:-2]] = _arrays_at(words[:-2])
                return answer_plainly(packer, *arrays, first, end)
            except BaseException as error:  # also Ctrl-C: what C calls cannot raise
                self._error = self._error or error
                return FAILED

        return CALLBACK(answer)

    def forget(self) -> None:
        """Forget what a packer raised, as an episode begins."""
        self._error = None

    def check(self, faults: NDArray[np.int64]) -> None:
        """Raise what went wrong in a kernel.

        Args:
            faults: [N] int64, `state.PACKER_FAULT` of each cluster.

        Raises:
            PackingError: compiled code raised something, or chose GPUs that cannot be.
            BaseException: whatever plain Python raised.
        """
        fault = int(faults.max(initial=0))
        if fault == 0:
            return
        if self._error is not None:
            raise self._error
        if fault < WRONG_GPUS:
            raise PackingError(
                f"packer {self._name!r}: its compiled code raised an exception; compiled=False shows which"
            )
        raise wrong_gpus(self._name, fault - WRONG_GPUS)


def wrong_gpus(name: str, node: int) -> PackingError:
    """The error of a choice of GPUs that cannot be."""
    return PackingError(
        f"packer {name!r}: its gpus returned GPUs that node {node} does not have free, or too few or too many; "
        "it must return bits of pod[NUM_GPUS] GPUs with pod[MILLI] thousandths free each"
    )
