"""Azure Functions 2021: every invocation by the time of its end."""

from typing import Any

import numpy as np
import pyarrow as pa

from traces.errors import TraceValueError
from traces.format import Format, has_columns
from traces.invocations import Invocations
from traces.tables import SEPARATORS, TextOptions, find_separator, read_text
from traces.validation import MAX_SECONDS

_COLUMNS = {"app": pa.string(), "func": pa.string(), "end_timestamp": pa.float64(), "duration": pa.float64()}


def load(path: str, options: TextOptions) -> Invocations:
    """The invocations of a table of `app, func, end_timestamp, duration`, both in seconds.

    An invocation comes when it ended less its duration. The first one is second 0.

    Raises:
        TraceError: the file cannot be read, or breaks a rule.
    """
    separator = SEPARATORS.get(options.separator) or find_separator(path, list(_COLUMNS))
    found = read_text(path, _COLUMNS, separator)
    if found.problems and options.strict:
        raise found.problems[0].error(path)
    table = found.table
    end, duration = table["end_timestamp"].to_numpy(), table["duration"].to_numpy()
    # Not a number is not below anything.
    usable = (np.abs(end) < MAX_SECONDS) & (duration >= 0) & (duration < MAX_SECONDS)
    if options.strict and not usable.all():
        row = int((~usable).argmax())
        raise TraceValueError(
            f"{path}: row {found.rows[row]}: end_timestamp {end[row]}, duration {duration[row]}: it has no meaning"
        )
    bad = {"they cannot be read": found.unreadable, "their time or duration has no meaning": int((~usable).sum())}
    names = [f"{app}/{func}" for app, func in zip(table["app"].to_pylist(), table["func"].to_pylist(), strict=True)]
    ids, function = np.unique(np.array(names, dtype=object)[usable].astype(str), return_inverse=True)
    start = np.rint((end[usable] - duration[usable]) * 1000.0).astype(np.int64)
    first = int(start.min()) if len(start) else 0
    return Invocations.from_columns(
        ids.tolist(),
        start - first,
        function.astype(np.int64),
        np.rint(duration[usable] * 1000.0).astype(np.int64),
        span_ms=int(np.rint(end[usable].max() * 1000.0)) - first + 1 if len(start) else 0,
        source="Azure Functions 2021",
        licence=FORMAT.licence,
        bad_rows={reason: count for reason, count in bad.items() if count},
    )


FORMAT: Format[Any] = Format(
    name="azure-functions-2021",
    kind="invocations",
    description="Azure Functions 2021: every invocation of two weeks",
    options=TextOptions,
    load=load,
    licence="CC BY 4.0",
    citation="Zhang et al., Faster and Cheaper Serverless Computing on Harvested Resources, SOSP 2021",
    example="azure-functions-2021:AzureFunctionsInvocationTraceForTwoWeeksJan2021.txt",
    url="https://github.com/Azure/AzurePublicDataset",
    detect=has_columns("app", "func", "end_timestamp", "duration"),
)
