"""A CSV file of homes, read as the lines of JSON that an import takes; each keeps the number of the line it ends in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from ddns.operator.fault import CannotDo
from ddns.operator.home_line import MOST_OCTETS

COLUMNS = ("label", "key", "records")
MEDIA = "text/csv"
_ENCODER = msgspec.json.Encoder()


class Lines:
    """The homes of the CSV file *source* as JSON, a line each. Its head names the columns, in any order.

    Reading raises `CannotDo` for what is no such file; then the lines before have been given.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._lines = _lines(source)
        self._rest = b""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, or *size* octets of it; nothing at the end."""
        if not self._rest:
            self._rest = next(self._lines, b"")
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


def _lines(source: BinaryIO) -> Iterator[bytes]:
    csv.field_size_limit(MOST_OCTETS)
    text = io.TextIOWrapper(source, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    head: list[str] | None = None
    number = 0
    try:
        for row in reader:
            cells = [one.strip() for one in row]
            line = b"\n"
            if any(cells) and head is None:
                head = _head(cells)
            elif any(cells) and head is not None:
                if len(cells) != len(head):
                    raise CannotDo(
                        f"Line {reader.line_num} has {len(cells)} cells, the head {len(head)}; quote cells with commas."
                    )
                line = _ENCODER.encode(dict(zip(head, cells, strict=True))) + b"\n"
            yield from [b"\n"] * (reader.line_num - number - 1)
            yield line
            number = reader.line_num
    except csv.Error as error:
        raise CannotDo(f"Line {reader.line_num} is no CSV ({error}); quote cells with commas or line breaks.") from None
    except UnicodeDecodeError:
        raise CannotDo("The file is not UTF-8; write it anew in that encoding.") from None
    finally:
        text.detach()


def _head(cells: list[str]) -> list[str]:
    for one in cells:
        if one not in COLUMNS:
            raise CannotDo(f"The head has a column {one!r}; there are {', '.join(COLUMNS)}.")
    if "label" not in cells or len(set(cells)) < len(cells):
        raise CannotDo(f"The head needs a column label, and each once; there are {', '.join(COLUMNS)}.")
    return cells
