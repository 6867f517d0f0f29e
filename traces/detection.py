"""Which format a file, a folder or an archive is of, from names and first lines."""

from dataclasses import dataclass
from pathlib import Path

from traces.errors import TraceURIError
from traces.format import Format
from traces.inputs import find_inputs
from traces.uri import TraceURI


@dataclass(frozen=True, slots=True)
class Detected:
    """A format that was found.

    Attributes:
        uri: the URI of the path in that format.
        reason: why it is this one.
    """

    uri: TraceURI
    reason: str


def detect(path: str, options: dict[str, str], known: list[Format[object]]) -> Detected:
    """The format of what is at a path: of jobs, and of another kind only where there are no jobs.

    Args:
        path: a file, a folder or an archive.
        options: of the URI.
        known: the formats to choose from.

    Raises:
        TraceURIError: no format fits, or several do: names them.
        TraceFileError: nothing is there, or it is damaged.
    """
    sources = find_inputs(path)
    reasons: dict[str, str] = {}
    others: dict[str, str] = {}
    for source in sources:
        text = source.head().decode("utf-8", errors="replace")
        for form in known:
            reason = form.detect(source.name, text) if form.detect is not None else ""
            if reason:
                where = "" if len(sources) == 1 else f"{Path(str(source)).name}: "
                (reasons if form.kind == "jobs" else others).setdefault(form.name, f"{where}{reason}")
    reasons = reasons or others
    if not reasons:
        fix = "write FORMAT:PATH with a format of `autoscaler traces list`, such as csv:PATH?submit=..."
        raise TraceURIError(f"{path}: is of no format that is known by its names or columns; {fix}")
    if len(reasons) > 1:
        candidates = ", ".join(f"{name} ({reason})" for name, reason in reasons.items())
        raise TraceURIError(f"{path}: may be {candidates}; write which, such as {next(iter(reasons))}:{path}")
    name, reason = next(iter(reasons.items()))
    return Detected(TraceURI(name, path, options), reason)
