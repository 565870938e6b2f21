"""A sheet of labels: three columns of eight on A4, as label paper is cut, each with a QR code and what it is for.

It only says what stands where, in millimetres from the top left corner; `svg.py` and `pdf.py` draw it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ddns.operator.paper import qr
from ddns.operator.paper.qr import Code

WIDTH, HEIGHT = 210.0, 297.0  # A4
COLUMNS, ROWS = 3, 8
A_SHEET = COLUMNS * ROWS
_LABEL_WIDTH, _LABEL_HEIGHT = WIDTH / COLUMNS, HEIGHT / ROWS
_CODE = 34.0  # with its quiet zone: 0.6 mm a module for an invitation, and readers need 0.4
_MARGIN = 1.5
_TITLE, _SMALL = 8.0, 6.0  # points
_POINT = 25.4 / 72
_ADVANCE = 0.6  # of a size: the width of every letter of Courier
_LEADING = 1.25
_MOST_LINES = 5  # of a name; the longest DNS name does not stand on a label, its beginning does


class Slip(msgspec.Struct, frozen=True):
    """One label: what its code says, a title and a few lines below it. What its code says may be a secret."""

    says: str
    title: str
    lines: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Slip({self.title!r})"


def invitation(home: str, line: str, until: str) -> Slip:
    """Return the label for an invitation: *line* in its code, and in letters for whom it is and *until* when."""
    return Slip(line, home, (f"until {until}", "Scan it, or give the box the text in it. Holds once."))


class Words(msgspec.Struct, frozen=True):
    """A line of text: the left end of its base line in mm, its size in points."""

    x: float
    y: float
    size: float
    text: str
    bold: bool = False


class Drawn(msgspec.Struct, frozen=True):
    """A code: its top left dark module in mm, and how many mm a module has."""

    x: float
    y: float
    module: float
    code: Code


class Page(msgspec.Struct, frozen=True):
    """One sheet."""

    words: tuple[Words, ...]
    codes: tuple[Drawn, ...]


def pages(slips: Sequence[Slip]) -> list[Page]:
    """Lay the *slips* out, from left to right and from the top. Raises `qr.TooLong`."""
    return [_page(slips[at : at + A_SHEET]) for at in range(0, len(slips), A_SHEET)]


def _page(slips: Sequence[Slip]) -> Page:
    words: list[Words] = []
    codes = []
    for at, slip in enumerate(slips):
        left, top = at % COLUMNS * _LABEL_WIDTH, at // COLUMNS * _LABEL_HEIGHT
        code = qr.code(slip.says)
        module = _CODE / (code.size + 2 * qr.QUIET)
        edge = (_LABEL_HEIGHT - _CODE) / 2 + module * qr.QUIET
        codes.append(Drawn(left + edge, top + edge, module, code))
        words.extend(_text(slip, left + _CODE + _MARGIN, top))
    return Page(tuple(words), tuple(codes))


def _text(slip: Slip, x: float, top: float) -> list[Words]:
    found: list[Words] = []
    y = top + 4 * _MARGIN
    for size, bold, text in ((_TITLE, True, slip.title), *((_SMALL, False, line) for line in slip.lines)):
        for piece in _broken(text, int((_LABEL_WIDTH - _CODE - 2 * _MARGIN) / (size * _POINT * _ADVANCE))):
            y += size * _POINT * _LEADING
            if y > top + _LABEL_HEIGHT - _MARGIN:
                return found
            found.append(Words(x, y, size, piece, bold))
        y += _MARGIN / 2
    return found


def _broken(text: str, most: int) -> list[str]:
    """Break *text* into lines of at most *most* letters, where it has a space or after a dot if there is one."""
    lines: list[str] = []
    while text and len(lines) < _MOST_LINES:
        if len(text) <= most:
            lines.append(text)
            break
        cut = max(text.rfind(mark, 0, most) for mark in " .") + 1 or most
        lines.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return lines
