"""Calls of functions over time: what the formats of kind `invocations` load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceValueError
from traces.words import counted

Integers = NDArray[np.int64]
MAX_INVOCATIONS = 200_000_000


@dataclass(frozen=True, slots=True)
class InvocationSummary:
    """Statistics of invocations.

    Attributes:
        source: the data set.
        licence: of the data.
        functions: how many there are.
        invocations: how many there are.
        span_seconds: length of the observation.
        per_function: `p10, p50, p90, max` of the invocations of a function.
        busiest_share: share of the invocations that the busiest hundredth of the functions, at least one, has.
        duration_seconds: `p50, p90, p99`.
        memory_mib: `p50, p90` over functions; without entries where it is not known.
        with_deadline: invocations that have a deadline.
        bad_rows: reason -> rows that were left out.
    """

    source: str
    licence: str
    functions: int
    invocations: int
    span_seconds: float
    per_function: Mapping[str, float]
    busiest_share: float
    duration_seconds: Mapping[str, float]
    memory_mib: Mapping[str, float]
    with_deadline: int
    bad_rows: Mapping[str, int]

    def rows(self) -> list[tuple[str, str]]:
        """For humans: names and texts."""

        def texts(values: Mapping[str, float], unit: str = "") -> str:
            return ", ".join(f"{name} {value:,.4g}{unit}" for name, value in values.items()) or "not known"

        return [
            ("source", f"{self.source}; licence: {self.licence}"),
            ("functions", f"{self.functions:,}"),
            ("invocations", f"{self.invocations:,}"),
            ("span", f"{self.span_seconds / 3600.0:.2f} h"),
            ("invocations of a function", texts(self.per_function)),
            ("busiest 1 % of functions", f"{self.busiest_share:.1%} of the invocations"),
            ("duration", texts(self.duration_seconds, " s")),
            ("memory of a function", texts(self.memory_mib, " MiB")),
            ("with deadline", f"{self.with_deadline:,}"),
            *(("cannot be used", counted(count, "row", f": {reason}")) for reason, count in self.bad_rows.items()),
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Invocations:
    """Invocations by the time at which they come. Build one with `traces.load_invocations(uri)` or `from_columns`.

    Attributes:
        function_id: [F] name of each function.
        memory_mib: [F] float64, what a container of it uses; NaN where it is not known.
        gpu_milli: [F] int64, thousandths of a GPU that it needs.
        time_ms: [I] int64, from the start of the observation, ascending.
        function: [I] int64, index of the function.
        duration_ms: [I] int64, how long it runs in a container that is warm.
        deadline_ms: [I] int64, in which each is to be answered; 0: it has no deadline.
        span_ms: length of the observation.
        day_offset_ms: time of day at which the observation begins.
        source: the data set.
        licence: of the data.
        bad_rows: reason -> rows that were left out.
    """

    function_id: tuple[str, ...]
    memory_mib: NDArray[np.float64]
    gpu_milli: Integers
    time_ms: Integers
    function: Integers
    duration_ms: Integers
    deadline_ms: Integers
    span_ms: int
    day_offset_ms: int = 0
    source: str = "unknown"
    licence: str = "unknown"
    bad_rows: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_columns(
        cls,
        function_id: Sequence[str],
        time_ms: Integers,
        function: Integers,
        duration_ms: Integers,
        *,
        span_ms: int,
        memory_mib: NDArray[np.float64] | None = None,
        gpu_milli: Integers | None = None,
        deadline_ms: Integers | None = None,
        day_offset_ms: int = 0,
        source: str = "unknown",
        licence: str = "unknown",
        bad_rows: Mapping[str, int] | None = None,
    ) -> Self:
        """Checked invocations, sorted by time; those of the same ms stay in their order.

        Raises:
            TraceValueError: there is none, or a time, a duration or a memory has no meaning.
        """
        count = len(function_id)
        if not len(time_ms):
            raise TraceValueError(f"{source}: holds no invocation; check that it is the right file")
        if (duration_ms < 0).any():
            row = int((duration_ms < 0).argmax())
            raise TraceValueError(
                f"{source}: invocation {row + 1} has the duration {duration_ms[row] / 1000:g} s; it must be at least 0"
            )
        if int(time_ms.min()) < 0:
            raise TraceValueError(f"{source}: an invocation comes at {time_ms.min()} ms, before the observation begins")
        memory = np.full(count, np.nan) if memory_mib is None else memory_mib
        if (memory <= 0).any():
            row = int((memory <= 0).argmax())
            raise TraceValueError(
                f"{source}: function {function_id[row]} has {memory[row]:g} MiB of memory; it must be above 0"
            )
        order = np.argsort(time_ms, kind="stable")
        zeros = np.zeros(count, np.int64)
        return cls(
            tuple(function_id),
            memory,
            zeros if gpu_milli is None else gpu_milli,
            np.ascontiguousarray(time_ms[order], np.int64),
            np.ascontiguousarray(function[order], np.int64),
            np.ascontiguousarray(duration_ms[order], np.int64),
            np.zeros(len(order), np.int64) if deadline_ms is None else deadline_ms[order],
            span_ms,
            day_offset_ms,
            source,
            licence,
            dict(bad_rows or {}),
        )

    @property
    def num_functions(self) -> int:
        """Number of functions."""
        return len(self.function_id)

    @property
    def num_invocations(self) -> int:
        """Number of invocations."""
        return len(self.time_ms)

    def select(self, functions: Sequence[int]) -> "Invocations":
        """Only some functions, in the order given, and their invocations.

        Raises:
            TraceValueError: none of them has an invocation.
        """
        chosen = np.asarray(functions, np.int64)
        number = np.full(self.num_functions, -1, np.int64)
        number[chosen] = np.arange(len(chosen))
        keep = number[self.function] >= 0
        if not keep.any():
            raise TraceValueError(f"{self.source}: none of the {len(chosen)} functions that were chosen is invoked")
        return replace(
            self,
            function_id=tuple(self.function_id[index] for index in chosen),
            memory_mib=self.memory_mib[chosen],
            gpu_milli=self.gpu_milli[chosen],
            deadline_ms=self.deadline_ms[keep],
            time_ms=self.time_ms[keep],
            function=number[self.function[keep]],
            duration_ms=self.duration_ms[keep],
        )

    def summary(self) -> InvocationSummary:
        """Statistics."""
        counts = np.bincount(self.function, minlength=self.num_functions)
        busiest = np.sort(counts)[-max(1, self.num_functions // 100) :].sum()
        memory = self.memory_mib[np.isfinite(self.memory_mib)]

        def quantiles(values: NDArray[np.float64] | Integers, names: Mapping[str, float]) -> dict[str, float]:
            return {name: float(np.quantile(values, q)) for name, q in names.items()} if len(values) else {}

        return InvocationSummary(
            source=self.source,
            licence=self.licence,
            functions=self.num_functions,
            invocations=self.num_invocations,
            span_seconds=self.span_ms / 1000.0,
            per_function=quantiles(counts, {"p10": 0.1, "p50": 0.5, "p90": 0.9, "max": 1.0}),
            busiest_share=float(busiest / self.num_invocations),
            duration_seconds=quantiles(self.duration_ms / 1000.0, {"p50": 0.5, "p90": 0.9, "p99": 0.99}),
            memory_mib=quantiles(memory, {"p50": 0.5, "p90": 0.9}),
            with_deadline=int((self.deadline_ms > 0).sum()),
            bad_rows=self.bad_rows,
        )


def spread_counts(
    counts: Integers, minute_ms: Integers, rng: np.random.Generator, spread: str
) -> tuple[Integers, Integers]:
    """Single arrivals from counts per minute.

    Args:
        counts: [F, M] int64, invocations of each function in each minute.
        minute_ms: [M] int64, when each minute begins.
        rng: draws the moments.
        spread: `random` in the minute, `even` over it from a random moment on, or `together` at a random one.

    Returns:
        time_ms and function of each arrival.
    """
    function, minute = np.nonzero(counts)
    many = counts[function, minute]
    rows = np.repeat(np.arange(len(many)), many)
    if spread == "random":
        inside = rng.random(len(rows))
    else:
        start = rng.random(len(many))[rows]
        position = np.arange(len(rows)) - np.repeat(np.cumsum(many) - many, many)
        inside = start if spread == "together" else (position + start) / many[rows]
    time_ms = minute_ms[minute[rows]] + np.floor(inside * 60_000.0).astype(np.int64)
    return time_ms, function[rows].astype(np.int64)
