"""URIs of traces: `scheme:path?option=value&option=value`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Self
from urllib.parse import parse_qsl, urlencode

from traces.errors import TraceURIError

_SCHEME = re.compile(r"([a-z][a-z0-9-]*):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TraceURI:
    """A parsed URI.

    Attributes:
        scheme: name of the format, such as `itp`.
        path: absolute or relative path of a file, or the name of a preset; taken literally (no percent-encoding).
        options: option -> text of its value, percent-decoded.
    """

    scheme: str
    path: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of `text`. A plain `x.parquet` is read as `parquet:x.parquet`.

        Raises:
            TraceURIError: there is no format or no path, an option has no value, or occurs twice.
        """
        match = _SCHEME.fullmatch(text)
        scheme, rest = (match[1], match[2]) if match else ("", text)
        path, mark, query = rest.partition("?")
        if not path:
            raise TraceURIError(f"{text!r} names no file or preset; write FORMAT:PATH, such as itp:cluster02.csv.gz")
        if not scheme:
            if PurePath(path).suffix != ".parquet":
                fix = f"write FORMAT:{path}, with a FORMAT of `autoscaler traces list`"
                raise TraceURIError(f"{text!r} does not say its format; {fix}")
            scheme = "parquet"
        return cls(scheme, path, _options(query, text) if mark else {})

    def __str__(self) -> str:
        query = f"?{urlencode(self.options, safe=':/,')}" if self.options else ""
        return f"{self.scheme}:{self.path}{query}"


def _options(query: str, text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise TraceURIError(f"{text!r}: options are written option=value and joined by &, not {query!r}") from error
    options: dict[str, str] = {}
    for name, value in pairs:
        if name in options:
            raise TraceURIError(f"{text!r}: option {name} is given twice; keep one")
        options[name] = value
    return options
