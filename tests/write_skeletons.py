"""Write the table of `ddns.homes.skeletons` anew: `python tests/write_skeletons.py > ddns/homes/skeleton_table.py`.

It is made from the data of the package confusable-homoglyphs, which are Unicode's confusables (UTS 39 §4) as pairs:
what is paired is one class, and each class has one spelling that stands for all. Only what IDNA 2008 lets stand in
a label (PVALID, RFC 5892 §2) is kept, and a class of one needs no row.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from importlib.resources import files

import idna.core
import idna.idnadata

_HEAD = '''"""Which characters of labels look like each other: written by tests/write_skeletons.py, not by hand.

From Unicode's confusables (UTS 39 §4), those that a label of IDNA 2008 can hold. Classes are separated by commas; in
each the first spelling stands for the others, which are single characters.
"""

from __future__ import annotations

CLASSES = (
'''
_WIDTH = 110  # characters of escaped text in a line


def main() -> None:
    """Print the module."""
    sys.stdout.write(module())


def module() -> str:
    """Return the text of the module."""
    lines = []
    line = ""
    told = ",".join(f"{spelling} {''.join(others)}" for spelling, others in rows())
    for piece in (letter.encode("unicode_escape").decode() for letter in told):
        if len(line) + len(piece) > _WIDTH:
            lines.append(line)
            line = ""
        line += piece
    return _HEAD + "".join(f'    "{one}"\n' for one in [*lines, line]) + ")\n"


def rows() -> list[tuple[str, list[str]]]:
    """Return the classes: the spelling that stands for the others, and these."""
    beside: dict[str, set[str]] = {}
    source = files("confusable_homoglyphs").joinpath("confusables.json").read_text(encoding="utf-8")
    for one, others in json.loads(source).items():
        for other in others:
            beside.setdefault(one, set()).add(other["c"])
            beside.setdefault(other["c"], set()).add(one)
    found = []
    met: set[str] = set()
    for one in beside:
        if one in met:
            continue
        whole, todo = {one}, [one]
        while todo:
            new = beside[todo.pop()] - whole
            whole |= new
            todo += new
        met |= whole
        kept = sorted((text for text in whole if _in_labels(text)), key=_first)
        singles = [text for text in kept if len(text) == 1 and text != kept[0]]
        if singles:
            found.append((kept[0], singles))
    return sorted(found)


def _in_labels(text: str) -> bool:
    allowed = idna.idnadata.codepoint_classes["PVALID"]
    return unicodedata.normalize("NFC", text) == text and all(
        idna.core.intranges_contain(ord(letter), allowed) for letter in text
    )


def _first(text: str) -> tuple[bool, bool, int, str]:
    """Order the spellings of a class: several characters (only prototypes have them), then ASCII, letters first."""
    return len(text) == 1, not text.isascii(), text.isdigit(), text


if __name__ == "__main__":
    sys.exit(main())
