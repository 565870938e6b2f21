"""$GENERATE: many records from one line, as BIND and Knot read it (no RFC defines it)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ddns.dns.spelling import BadSpelling, Quoted, Token

MAX_STEPS = 65_536  # ours: a /16 reverse zone is the largest that people generate

_RANGE = re.compile(rb"([0-9]{1,10})-([0-9]{1,10})(?:/([0-9]{1,10}))?")
_PLACE = re.compile(rb"\\.|\$\$|\$\{(-?[0-9]{1,10})(?:,([0-9]{1,3})(?:,([doxXnN]))?)?\}|\$\{?", re.DOTALL)


def expand(words: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the words of each record that `$GENERATE` with the arguments *words* stands for. Raises `BadSpelling`."""
    bounds = _RANGE.fullmatch(words[0]) if len(words) >= 4 else None
    if bounds is None:
        raise BadSpelling("$GENERATE is written $GENERATE 1-10 host-$ A 192.0.2.$")
    start, stop, step = int(bounds[1]), int(bounds[2]), int(bounds[3] or 1)
    if step == 0 or stop < start:
        raise BadSpelling(
            f"$GENERATE {words[0].decode()} counts nothing; write the lower number first and a step above 0"
        )
    if (stop - start) // step >= MAX_STEPS:
        raise BadSpelling(f"$GENERATE makes more than {MAX_STEPS} records; split the range")
    for number in range(start, stop + 1, step):
        yield [_fill(word, number) for word in words[1:]]


def _fill(word: Token, number: int) -> Token:
    if b"$" not in word:
        return word

    def place(match: re.Match[bytes]) -> bytes:
        if match[0].startswith(b"\\"):
            return match[0]
        if match[0] == b"$$":
            return b"\\$"
        if match[0] == b"${":
            raise BadSpelling("$GENERATE knows ${offset,width,base} with a base of d, o, x, X, n or N")
        return _format(number + int(match[1] or 0), int(match[2] or 0), (match[3] or b"d").decode())

    filled = _PLACE.sub(place, word)
    return Quoted(filled) if type(word) is Quoted else filled


def _format(value: int, width: int, base: str) -> bytes:
    if value < 0:
        raise BadSpelling("$GENERATE counts below 0; choose a smaller offset")
    if base not in "nN":
        return f"{value:0{width}{base}}".encode()
    # Nibbles from the lowest, with dots, for ip6.arpa; the width counts the dots too.
    digits = []
    while True:
        digits.append(f"{value & 15:{'x' if base == 'n' else 'X'}}")
        value >>= 4
        if not value and 2 * len(digits) > width - (width > 0):
            break
        if not value and 2 * len(digits) - 1 >= width:
            break
    return ".".join(digits).encode()
