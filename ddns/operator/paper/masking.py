"""Which of the eight masks a QR code gets (ISO/IEC 18004 §7.8): the one with the lowest penalty, looked for fast.

A symbol is one number here, a bit a module and the first module the highest, so that each rule looks at all modules at
once. Drawn with two masks, symbols of one size differ in the same modules whatever they say: so one is drawn, and the
other seven follow from it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

MASKS = 8
_TO_TEXT, _FROM_TEXT = bytes.maketrans(b"\0\1", b"01"), bytes.maketrans(b"01", b"\0\1")
_FINDERS = ((1, 0, 1, 1, 1, 0, 1, 0, 0, 0, 0), (0, 0, 0, 0, 1, 0, 1, 1, 1, 0, 1))  # 1:1:3:1:1 with light beside it
_LINE, _BLOCK, _FINDER, _SHARE = 3, 3, 40, 10  # N1 to N4 of table 11

Rows = Sequence[bytes]
Draw = Callable[[int], Rows]  # the same text with a mask


class Differences:
    """In which modules symbols of one size differ from the one with mask 0, by their mask; read at first use."""

    def __init__(self) -> None:
        self._by_size: dict[int, tuple[int, ...]] = {}

    def best(self, draw: Draw) -> tuple[bytes, ...]:
        """Return the symbol of *draw* with the mask whose penalty is lowest, of several the first."""
        rows = draw(0)
        size, first = len(rows), number(rows)
        if size not in self._by_size:
            self._by_size[size] = tuple(first ^ number(draw(mask)) for mask in range(MASKS))
        return modules(min((first ^ other for other in self._by_size[size]), key=_grid(size).penalty), size)


def number(rows: Rows) -> int:
    """Return the modules in *rows* as one number."""
    return int(b"".join(rows).translate(_TO_TEXT), 2)


def modules(symbol: int, size: int) -> tuple[bytes, ...]:
    """Return the rows of a symbol of *size* by *size* modules."""
    flat = format(symbol, f"0{size * size}b").encode().translate(_FROM_TEXT)
    return tuple(flat[at : at + size] for at in range(0, size * size, size))


class _Grid:
    """What is the same for all symbols of one size."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._all = (1 << size * size) - 1
        self._not_first = self._columns(1)
        self._room = self._columns(len(_FINDERS[0]) - 1)
        self._below = self._all >> size

    def _columns(self, first: int) -> int:
        return int(("0" * first + "1" * (self._size - first)) * self._size, 2)

    def penalty(self, symbol: int) -> int:
        """Return the penalty of a symbol (§7.8.3.1)."""
        size = self._size
        beside = ~(symbol ^ symbol >> 1) & self._not_first  # as the module on its left
        above = ~(symbol ^ symbol >> size) & self._below  # as the module above it
        lines = _lines(beside, 1) + _lines(above, size)
        blocks = (beside & beside >> size & above).bit_count()
        light = symbol ^ self._all
        finders = sum(
            (_found(symbol, light, pattern, 1) & self._room).bit_count()
            + _found(symbol, light, pattern, size).bit_count()
            for pattern in _FINDERS
        )
        count = size * size
        share = abs(20 * symbol.bit_count() - 10 * count) // count  # steps of 5 % away from half
        return lines + _BLOCK * blocks + _FINDER * finders + _SHARE * share


@functools.cache
def _grid(size: int) -> _Grid:
    return _Grid(size)


def _lines(same: int, step: int) -> int:
    """Return the penalty of five and more modules alike in a line: 3, and 1 for each beyond the fifth."""
    fives = same & same >> step & same >> 2 * step & same >> 3 * step
    begun = (fives & ~(fives >> step)).bit_count()
    return fives.bit_count() + (_LINE - 1) * begun


def _found(dark: int, light: int, pattern: Sequence[int], step: int) -> int:
    """Return where *pattern* ends in lines with modules *step* apart."""
    found = -1
    for back, module in enumerate(reversed(pattern)):
        found &= (dark if module else light) >> back * step
    return found
