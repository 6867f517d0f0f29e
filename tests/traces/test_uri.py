"""Trace URIs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces import TraceURIError
from traces.uri import TraceURI

names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1)
paths = st.text(min_size=1).filter(lambda path: "?" not in path)


@given(st.from_regex(r"[a-z][a-z0-9-]*", fullmatch=True), paths, st.dictionaries(names, st.text()))
def test_a_uri_survives_being_written_and_parsed(scheme: str, path: str, options: dict[str, str]) -> None:
    uri = TraceURI(scheme, path, options)
    assert TraceURI.parse(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("itp:a/b.csv.gz?limit=5", TraceURI("itp", "a/b.csv.gz", {"limit": "5"})),
        ("itp:/abs/b.csv", TraceURI("itp", "/abs/b.csv")),
        ("runs/x.parquet", TraceURI("parquet", "runs/x.parquet")),
        ("/a:b/x.parquet?limit=1", TraceURI("parquet", "/a:b/x.parquet", {"limit": "1"})),
        ("csv:x.csv?submit=start%20time", TraceURI("csv", "x.csv", {"submit": "start time"})),
    ],
)
def test_parts_of_a_uri(text: str, expected: TraceURI) -> None:
    assert TraceURI.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no file"),
        ("itp:", "names no file"),
        ("jobs.csv", "does not say its format"),
        ("itp:x.csv?limit", "option=value"),
        ("itp:x.csv?limit=1&limit=2", "limit is given twice"),
    ],
)
def test_a_malformed_uri_says_how_to_write_it(text: str, message: str) -> None:
    with pytest.raises(TraceURIError, match=message):
        TraceURI.parse(text)
