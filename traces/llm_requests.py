"""Requests to language models as invocations: one function per model, whose run time follows from tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from configs.checks import check_number
from traces.errors import TraceURIError, TraceValueError
from traces.invocations import Invocations
from traces.tables import TextOptions
from traces.validation import MAX_SECONDS


@dataclass(frozen=True, slots=True)
class LlmOptions(TextOptions):
    """Options of requests to language models. Rates are assumptions: the data say tokens, not what served them.

    Attributes:
        prompt_tokens_per_second: tokens of a prompt that are read per second.
        tokens_per_second: tokens of an answer that are generated per second.
        gpu_milli: thousandths of a GPU that a container of a model needs.
        memory_mib: memory that it needs.

    Source: orders of magnitude of a 70B model on one node of 8 H100s; Patel et al., "Splitwise" (ISCA 2024).
    """

    prompt_tokens_per_second: float = field(
        default=8000.0, metadata={"help": "tokens of a prompt that are read per second (assumed)"}
    )
    tokens_per_second: float = field(
        default=30.0, metadata={"help": "tokens of an answer that are generated per second (assumed)"}
    )
    gpu_milli: int = field(default=1000, metadata={"help": "thousandths of a GPU that a container of a model needs"})
    memory_mib: float = field(default=8192.0, metadata={"help": "memory that it needs"})

    def __post_init__(self) -> None:
        check_number("prompt_tokens_per_second", self.prompt_tokens_per_second, TraceURIError, above=0.0)
        check_number("tokens_per_second", self.tokens_per_second, TraceURIError, above=0.0)
        check_number("gpu_milli", self.gpu_milli, TraceURIError, low=0)
        check_number("memory_mib", self.memory_mib, TraceURIError, low=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests as a file has them, row by row.

    Attributes:
        seconds: [R] float64, when each came; NaN where it cannot be read.
        model: [R] name of the model.
        prompt_tokens: [R] float64.
        answer_tokens: [R] float64; 0 where the request failed.
        run_seconds: [R] float64, measured; NaN where it was not.
    """

    seconds: NDArray[np.float64]
    model: Sequence[str]
    prompt_tokens: NDArray[np.float64]
    answer_tokens: NDArray[np.float64]
    run_seconds: NDArray[np.float64]


def invocations(
    path: str,
    requests: Requests,
    options: LlmOptions,
    *,
    source: str,
    licence: str,
    unreadable: int,
    starts_at_first: bool,
) -> Invocations:
    """The invocations of requests; the memory and the GPUs of all models are those of the options.

    Args:
        path: of the file, for messages.
        requests: as the file has them.
        options: rates, and what to do with bad rows.
        source: the data set.
        licence: of the data.
        unreadable: rows that could not be read at all.
        starts_at_first: second 0 is the first request; else the midnight before it, from which the data count.

    Raises:
        TraceValueError: no request is left, or with `strict` one cannot be used.
    """
    tokens = (
        requests.prompt_tokens / options.prompt_tokens_per_second + requests.answer_tokens / options.tokens_per_second
    )
    run_seconds = np.where(np.isfinite(requests.run_seconds), requests.run_seconds, tokens)
    # Not a number is not below anything.
    usable = (np.abs(requests.seconds) < MAX_SECONDS) & (run_seconds >= 0.0) & (run_seconds < MAX_SECONDS)
    usable &= (requests.prompt_tokens >= 0.0) & (requests.answer_tokens >= 0.0)
    if options.strict and not usable.all():
        row = int((~usable).argmax())
        raise TraceValueError(
            f"{path}: row {row + 1}: time {requests.seconds[row]}, tokens {requests.prompt_tokens[row]:g} and "
            f"{requests.answer_tokens[row]:g}: it has no meaning"
        )
    if not usable.any():
        raise TraceValueError(f"{path}: holds no request that can be used; check that it is the right file")
    bad: Mapping[str, int] = {
        "they cannot be read": unreadable,
        "their time or tokens have no meaning": int((~usable).sum()),
    }
    names, function = np.unique(np.array(requests.model, dtype=object)[usable].astype(str), return_inverse=True)
    seconds = requests.seconds[usable]
    first = float(seconds.min()) if starts_at_first else float(np.floor(seconds.min() / 86_400.0) * 86_400.0)
    time_ms = np.rint((seconds - first) * 1000.0).astype(np.int64)
    run_ms = np.rint(run_seconds[usable] * 1000.0).astype(np.int64)
    return Invocations.from_columns(
        names.tolist(),
        time_ms,
        function.astype(np.int64),
        run_ms,
        span_ms=int((time_ms + run_ms).max()) + 1,
        memory_mib=np.full(len(names), options.memory_mib),
        gpu_milli=np.full(len(names), options.gpu_milli, np.int64),
        day_offset_ms=round(first % 86_400.0 * 1000.0),
        source=source,
        licence=licence,
        bad_rows={reason: count for reason, count in bad.items() if count},
    )
