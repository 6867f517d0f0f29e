"""BurstGPT: requests to language models of a campus, months of them."""

from typing import Any

import numpy as np
import pyarrow as pa

from traces.format import Format, has_columns
from traces.invocations import Invocations
from traces.llm_requests import LlmOptions, Requests, invocations
from traces.tables import SEPARATORS, find_separator, read_header, read_text

_COLUMNS = {
    "Timestamp": pa.float64(),
    "Model": pa.string(),
    "Request tokens": pa.float64(),
    "Response tokens": pa.float64(),
    "Log Type": pa.string(),
}
_ELAPSED = "Elapsed time"


def load(path: str, options: LlmOptions) -> Invocations:
    """The requests of `Timestamp, Model, Request tokens, Response tokens, Total tokens, Log Type`.

    - `Timestamp` is seconds from 00:00 of the first day. A function is a model with its kind of access (`Log Type`).
    - A request runs for its `Elapsed time`, seconds, where the release has it; else as long as its tokens take.
    - Requests that failed have 0 response tokens; they take the time of their prompt.

    Source: Wang et al., "BurstGPT: A Real-World Workload Dataset to Optimize LLM Serving Systems" (KDD 2025).

    Raises:
        TraceError: the file cannot be read, or breaks a rule.
    """
    separator = SEPARATORS.get(options.separator) or find_separator(path, list(_COLUMNS))
    has_elapsed = _ELAPSED in read_header(path, separator)
    found = read_text(path, _COLUMNS | ({_ELAPSED: pa.float64()} if has_elapsed else {}), separator)
    if found.problems and options.strict:
        raise found.problems[0].error(path)
    table = found.table
    models, kinds = table["Model"].to_pylist(), table["Log Type"].to_pylist()
    number = {
        name: table[name].to_numpy().astype(np.float64)
        for name in table.column_names
        if name not in ("Model", "Log Type")
    }
    requests = Requests(
        seconds=np.where(number["Timestamp"] >= 0.0, number["Timestamp"], np.nan),
        model=[f"{model or 'unknown'}/{kind or 'unknown'}" for model, kind in zip(models, kinds, strict=True)],
        prompt_tokens=number["Request tokens"],
        answer_tokens=number["Response tokens"],
        run_seconds=number.get(_ELAPSED, np.full(table.num_rows, np.nan)),
    )
    return invocations(
        path,
        requests,
        options,
        source="BurstGPT",
        licence=FORMAT.licence,
        unreadable=found.unreadable,
        starts_at_first=False,
    )


FORMAT: Format[Any] = Format(
    name="burstgpt",
    kind="invocations",
    description="requests to language models of a campus; run times from tokens where they were not measured",
    options=LlmOptions,
    load=load,
    licence="CC BY 4.0",
    citation="Wang et al., BurstGPT: A Real-World Workload Dataset to Optimize LLM Serving Systems, KDD 2025",
    example="burstgpt:BurstGPT_1.csv?tokens_per_second=30",
    url="https://github.com/HPMLL/BurstGPT",
    detect=has_columns("Timestamp", "Model", "Request tokens", "Response tokens"),
)
