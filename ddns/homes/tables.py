"""Tables of letters: a label beyond ASCII lies whole in one of those that its registry takes (RFC 5890 §2.3.2.1).

So letters of two scripts never stand in one label. Digits and the hyphen stand beside the letters of every table.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import msgspec

Span = tuple[int, int]  # of code points, the last one included

_BESIDE_ALL = frozenset("0123456789-")
# Scripts that are written together (UTS 39 §5.2); of all others a table holds one.
_TOGETHER = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC"}),
    frozenset({"CJK", "HANGUL", "IDEOGRAPHIC"}),
    frozenset({"CJK", "BOPOMOFO", "IDEOGRAPHIC"}),
)
_OF_NONE = frozenset({"COMBINING", "DIGIT", "MIDDLE", "MODIFIER", "ZERO"})  # first words of names that tell no script


class Table(msgspec.Struct, frozen=True):
    """Letters that may stand together in a label; *spans* are in order and do not meet."""

    name: str
    spans: tuple[Span, ...]

    def holds(self, letter: str) -> bool:
        """Tell whether *letter* is one of the table's, or may stand beside letters of every table."""
        point = ord(letter)
        return letter in _BESIDE_ALL or any(first <= point <= last for first, last in self.spans)


# Those that come with the program, small letters as IDNA 2008 has them; without ASCII only where the script has none.
LATIN = Table("latin", ((0x61, 0x7A), (0xB7, 0xB7), (0xDF, 0xF6), (0xF8, 0x24F), (0x1E01, 0x1EFF)))
GREEK = Table("greek", ((0x370, 0x3E1), (0x3F0, 0x3FF), (0x1F00, 0x1FFF)))
CYRILLIC = Table("cyrillic", ((0x430, 0x45F), (0x461, 0x481), (0x48A, 0x52F)))
TABLES = {one.name: one for one in (LATIN, GREEK, CYRILLIC)}


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return *spans* in order, those that touch or overlap as one."""
    out: list[Span] = []
    for first, last in sorted(spans):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return tuple(out)


def scripts(spans: Sequence[Span]) -> list[str]:
    """Return the scripts of the letters in *spans*, in alphabetical order, as Unicode's names of characters begin."""
    found = set()
    for first, last in spans:
        for point in range(first, last + 1):
            word = unicodedata.name(chr(point), "").partition(" ")[0]
            if word and word not in _OF_NONE and unicodedata.category(chr(point))[0] == "L":
                found.add(word)
    return sorted(found)


def mixes(spans: Sequence[Span]) -> bool:
    """Tell whether letters of scripts that nobody writes together stand in *spans*."""
    found = frozenset(scripts(spans))
    return len(found) > 1 and not any(found <= allowed for allowed in _TOGETHER)
