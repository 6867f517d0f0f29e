"""Azure LLM inference traces of 2023 and 2024: tokens of each request to one service."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from traces.format import Format, has_columns
from traces.inputs import only_input
from traces.invocations import Invocations
from traces.llm_requests import LlmOptions, Requests, invocations
from traces.tables import SEPARATORS, find_separator, read_text

_COLUMNS = {"TIMESTAMP": pa.string(), "ContextTokens": pa.float64(), "GeneratedTokens": pa.float64()}
_MICROSECOND = 26
"""Characters of a time up to its microseconds."""


def load(path: str, options: LlmOptions) -> Invocations:
    """The requests of `TIMESTAMP, ContextTokens, GeneratedTokens`; one function, with the name of the file.

    Times are wall clock, taken as UTC where they name no zone; digits after the microseconds are cut. The first request
    is second 0. A request runs as long as its tokens take.

    Source: Patel et al., "Splitwise" (ISCA 2024); Stojkovic et al., "DynamoLLM" (HPCA 2025).

    Raises:
        TraceError: the file cannot be read, or breaks a rule.
    """
    separator = SEPARATORS.get(options.separator) or find_separator(path, list(_COLUMNS))
    found = read_text(path, _COLUMNS, separator)
    if found.problems and options.strict:
        raise found.problems[0].error(path)
    table = found.table
    name = only_input(path).name.partition(".")[0]
    requests = Requests(
        seconds=np.array([_seconds(text) for text in table["TIMESTAMP"].to_pylist()], np.float64),
        model=[name] * table.num_rows,
        prompt_tokens=table["ContextTokens"].to_numpy().astype(np.float64),
        answer_tokens=table["GeneratedTokens"].to_numpy().astype(np.float64),
        run_seconds=np.full(table.num_rows, np.nan),
    )
    return invocations(
        path,
        requests,
        options,
        source="Azure LLM inference",
        licence=FORMAT.licence,
        unreadable=found.unreadable,
        starts_at_first=True,
    )


def _seconds(text: str | None) -> float:
    """Seconds since 1970; NaN: it is no time."""
    text = (text or "").strip()
    zone = text[_MICROSECOND:].lstrip("0123456789")
    try:
        moment = datetime.fromisoformat(text[:_MICROSECOND].rstrip() + zone)
    except ValueError:
        return float("nan")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


FORMAT: Format[Any] = Format(
    name="azure-llm",
    kind="invocations",
    description="Azure LLM inference 2023 and 2024: tokens of each request to a service; run times follow from them",
    options=LlmOptions,
    load=load,
    licence="CC BY 4.0",
    citation="Patel et al., Splitwise: Efficient Generative LLM Inference Using Phase Splitting, ISCA 2024",
    example="azure-llm:AzureLLMInferenceTrace_conv.csv?tokens_per_second=30",
    url="https://github.com/Azure/AzurePublicDataset",
    detect=has_columns("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
)
