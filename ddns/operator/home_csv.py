"""A CSV file of homes, read as the lines of JSON that an import takes; each keeps the number of the line it ends in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from ddns.operator import csv_rows

COLUMNS = ("label", "key", "records")
MEDIA = csv_rows.MEDIA
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
    number = 0
    for line, row in csv_rows.read(source, COLUMNS, ("label",)):
        yield from [b"\n"] * (line - number - 1)
        yield _ENCODER.encode(row) + b"\n"
        number = line
