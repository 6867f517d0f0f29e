"""The items of a JSON array, one at a time: a log of several GB needs no more memory than its largest item."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from traces.errors import TraceFileError
from traces.inputs import Input, damaged

MAX_ITEM = 1 << 25
"""Largest item, characters."""

_BLOCK = 1 << 20
_GAP = re.compile(r"[\s,]*")


def json_items(source: Input, key: str = "") -> Iterator[Any]:
    """The items of the array that a file is, or that an object holds under a key.

    Args:
        source: a JSON file.
        key: "": the file is an array; else an array is the value of this key of the object that the file is.

    Raises:
        TraceFileError: the file is missing, damaged, or not such JSON: names the item; or another document follows.
    """
    start = re.compile(rf'\s*{{.*?"{key}"\s*:\s*\[' if key else r"\s*\[", re.DOTALL)
    try:
        with source.open() as stream:
            named = f' "{key}"' if key else ""
            yield from _items(str(source), _texts(stream), start, named)
    except TraceFileError:
        raise
    except RecursionError:
        raise damaged(str(source), ValueError("lists in lists without an end"), " or not JSON") from None
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise damaged(str(source), error, " or not JSON") from error


def _texts(stream: Any) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    for block in iter(lambda: stream.read(_BLOCK), b""):
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def _items(where: str, blocks: Iterator[str], start: re.Pattern[str], named: str) -> Iterator[Any]:
    text, match = "", None
    while match is None:
        block = next(blocks, None)
        if block is None or len(text) > MAX_ITEM:
            raise TraceFileError(f"{where}: holds no JSON array{named}; check that it is the right file")
        text += block
        match = start.match(text)
    decode, position, number = json.JSONDecoder().raw_decode, match.end(), 0
    while True:
        gap = _GAP.match(text, position)
        position = gap.end() if gap else position
        if text.startswith("]", position):
            _check_end(where, text[position + 1 :], blocks, bool(named))
            return
        try:
            item, position = decode(text, position)
            number += 1
            yield item
        except json.JSONDecodeError as error:
            block = next(blocks, None)
            if block is None or len(text) - position > MAX_ITEM:
                raise damaged(where, ValueError(f"item {number + 1}: {error.msg}"), " or not JSON") from error
            text, position = text[position:] + block, 0


def _check_end(where: str, rest: str, blocks: Iterator[str], is_in_object: bool) -> None:
    """Refuse a second document behind the first, which would be left out in silence.

    Args:
        where: the file, for messages.
        rest: what was read already of what follows the array.
        blocks: what was not.
        is_in_object: whether the array is the value of a key, behind which others may follow.

    Raises:
        TraceFileError: there is one, or the object has no end.
    """
    for block in blocks:
        rest += block
        if len(rest) > MAX_ITEM:
            break
    if is_in_object:
        try:
            _, end = json.JSONDecoder().raw_decode('{"":0' + rest)
        except json.JSONDecodeError as error:
            raise damaged(where, ValueError(f"behind the items: {error.msg}"), " or not JSON") from error
        rest = ('{"":0' + rest)[end:]
    if rest.strip("} \t\r\n"):
        raise TraceFileError(f"{where}: more follows the first JSON document; give each a file of its own")
