"""A QR code (ISO/IEC 18004) as rows of dark and light modules, and as lines for a terminal.

Byte mode and error correction M: a line of 160 characters takes version 8, and 15 % of it may be dirty.
"""

from __future__ import annotations

import msgspec
import segno

from ddns.operator.paper import masking

QUIET = 4  # modules of nothing around a code (ISO/IEC 18004 §5.3.8): readers need them to find it
MOST = 1500  # octets; more make a code that telephones no longer read from paper
_ERROR_CORRECTION = "m"
_masks = masking.Differences()  # of codes with that correction
_ON_WHITE, _PLAIN = "\x1b[38;5;232;48;5;231m", "\x1b[0m"  # black on white, whatever colours the terminal has
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


class TooLong(ValueError):
    """More text than a code that can be read from paper holds."""


class Code(msgspec.Struct, frozen=True):
    """The modules of a code, row by row from the top, 1 is dark; without the quiet zone. It may hold a secret."""

    rows: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"Code({self.size} modules)"

    @property
    def size(self) -> int:
        """Return how many modules wide and high it is."""
        return len(self.rows)

    def runs(self) -> list[tuple[int, int, int]]:
        """Return the dark stretches as (column, row, length), row by row."""
        found = []
        for at, row in enumerate(self.rows):
            column = 0
            while (start := row.find(1, column)) >= 0:
                end = row.find(0, start)
                column = len(row) if end < 0 else end
                found.append((start, at, column - start))
        return found


def code(text: str) -> Code:
    """Return the code that says *text*. Raises `TooLong`."""
    octets = text.encode()
    if len(octets) > MOST:
        raise TooLong(f"{len(octets)} octets are too many for a QR code on paper, which holds {MOST} here")

    def draw(mask: int) -> masking.Rows:
        made = segno.make_qr(octets, error=_ERROR_CORRECTION, mode="byte", boost_error=False, mask=mask)
        return tuple(map(bytes, made.matrix))

    return Code(_masks.best(draw))


def terminal(drawn: Code, *, colours: bool) -> str:
    """Return *drawn* as lines of half blocks, two rows a line, with its quiet zone.

    With *colours* it is black on white on every terminal; without, it has the terminal's own.
    """
    width = drawn.size + 2 * QUIET
    empty = [bytes(width)] * QUIET
    rows = [*empty, *(bytes(QUIET) + row + bytes(QUIET) for row in drawn.rows), *empty]
    if len(rows) % 2:
        rows.append(bytes(width))
    lines = [
        "".join(_HALVES[bool(upper), bool(lower)] for upper, lower in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]
    return "\n".join(f"{_ON_WHITE}{line}{_PLAIN}" if colours else line for line in lines)
