r"""The words of a master file, entry by entry (RFC 1035 §5.1): blanks, parentheses, quotes, escapes, comments.

Law: an entry is the words of one line, or of several that parentheses join; work and memory are bounded
by the longest entry. Words are octets as they stand in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from ddns.dns.spelling import Quoted, Token

MAX_ENTRY = 1 << 20  # octets of one line or parenthesised entry; the longest RDATA written \DDD has 262,140

Entry = tuple[int, bool, list[Token]]  # the line it begins on, whether the owner is left blank, the words


class BadEntry(ValueError):
    """An entry that does not fall into words: *line* and a sentence."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


_BOM = b"\xef\xbb\xbf"
_UNUSUAL = re.compile(rb'["()\\;]').search
_QUOTES = re.compile(rb'["\\]').search
_PIECE = re.compile(
    rb"""[ \t\r\n\f\v]+
    | ;.*
    | (?P<parenthesis>[()])
    | "(?P<quoted>(?:[^"\\\n]|\\[^\n])*)"
    | (?P<word>(?:[^ \t\r\n\f\v"();\\]|\\[^\n]|(?<==)"(?:[^"\\\n]|\\[^\n])*")+)  # the last for SVCB's key="value"
    """,
    re.VERBOSE | re.DOTALL,
).match


def entries(stream: BinaryIO) -> Iterator[Entry]:
    """Yield the entries of *stream* that hold a word. Raises `BadEntry`."""
    number = 0
    source = _lines(stream)
    for line in source:
        number += 1
        if number == 1 and line.startswith(_BOM):
            line = line[3:]  # noqa: PLW2901
        if _UNUSUAL(line) is None:
            words = line.split()
            if words:
                if len(line) >= MAX_ENTRY:
                    raise BadEntry(number, _TOO_LONG)
                yield number, line[0] in b" \t", words
            continue
        if b";" in line and _QUOTES(line) is None:
            line = line[: line.index(b";")]  # noqa: PLW2901
            if _UNUSUAL(line) is None:
                words = line.split()
                if words:
                    yield number, line[0] in b" \t", words
                continue
        blank = line[0] in b" \t"
        words = []
        first, size = number, len(line)
        depth = _split(line, number, 0, words)
        while depth:
            line = next(source, b"")  # noqa: PLW2901
            if not line:
                raise BadEntry(first, "a parenthesis is opened here and never closed; close it with )")
            number += 1
            size += len(line)
            if size >= MAX_ENTRY:
                raise BadEntry(first, _TOO_LONG)
            depth = _split(line, number, depth, words)
        if size >= MAX_ENTRY:
            raise BadEntry(first, _TOO_LONG)
        if words:
            yield first, blank, words


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of *stream*, which end in LF, CR LF or, as on old machines, CR."""
    for line in iter(partial(stream.readline, MAX_ENTRY), b""):
        if b"\r" in line:
            yield from line.splitlines(keepends=True)
        else:
            yield line


_TOO_LONG = "an entry is longer than a mebibyte; no record is, so look for an unclosed parenthesis or a wrong file"


def _split(line: bytes, number: int, depth: int, words: list[Token]) -> int:
    """Append the words of *line* to *words*; return how many parentheses are open behind it."""
    line = line.rstrip(b"\r\n")
    at = 0
    while at < len(line):
        piece = _PIECE(line, at)
        if piece is None:
            if line[at] == 0x22:
                raise BadEntry(number, 'a quote is not closed on its line; close it with " or write \\" for a quote')
            raise BadEntry(number, "a backslash ends the line; write \\\\ for a backslash")
        at = piece.end()
        kind = piece.lastgroup
        if kind == "word":
            words.append(piece["word"])
        elif kind == "quoted":
            words.append(Quoted(piece["quoted"]))
        elif kind == "parenthesis":
            depth += 1 if piece["parenthesis"] == b"(" else -1
            if depth < 0:
                raise BadEntry(number, "a parenthesis is closed that was not opened; remove it or write \\)")
    return depth
