"""The rows of a CSV file whose head names its columns, each with the number of the line that it ends in."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from typing import BinaryIO

from ddns.operator.fault import CannotDo
from ddns.operator.home_line import MOST_OCTETS

MEDIA = "text/csv"


def read(source: BinaryIO, columns: Sequence[str], needed: Collection[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of *source* by the names of their columns, which are some of *columns*, in any order.

    One of *needed* has to be among them. Raises `CannotDo` for what is no such file; the rows before have been given.
    """
    csv.field_size_limit(MOST_OCTETS)
    text = io.TextIOWrapper(source, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    head: list[str] | None = None
    try:
        for row in reader:
            cells = [one.strip() for one in row]
            if not any(cells):
                continue
            if head is None:
                head = _head(cells, columns, needed)
                continue
            if len(cells) != len(head):
                raise CannotDo(
                    f"Line {reader.line_num} has {len(cells)} cells, the head {len(head)}; quote cells with commas."
                )
            yield reader.line_num, dict(zip(head, cells, strict=True))
    except csv.Error as error:
        raise CannotDo(f"Line {reader.line_num} is no CSV ({error}); quote cells with commas or line breaks.") from None
    except UnicodeDecodeError:
        raise CannotDo("The file is not UTF-8; write it anew in that encoding.") from None
    finally:
        text.detach()


def _head(cells: list[str], columns: Sequence[str], needed: Collection[str]) -> list[str]:
    for one in cells:
        if one not in columns:
            raise CannotDo(f"The head has a column {one[:60]!r}; there are {', '.join(columns)}.")
    if not set(needed) & set(cells) or len(set(cells)) < len(cells):
        raise CannotDo(f"The head needs a column {' or '.join(needed)}, and each once; there are {', '.join(columns)}.")
    return cells
