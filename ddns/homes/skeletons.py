"""The skeleton of a label: two labels that people take for each other have the same one (UTS 39 §4)."""

from __future__ import annotations

import unicodedata

from ddns.homes.skeleton_table import CLASSES

_STANDS_FOR = {
    ord(other): spelling for one in CLASSES.split(",") for spelling, others in [one.split(" ")] for other in others
}
_TURNS = 4  # what stands for a character may itself look like another one


def skeleton(label: str) -> str:
    """Return what stands for *label*, a label in lower case as people read it (a U-label, or plain ASCII)."""
    text = _decomposed(label)
    for _ in range(_TURNS):
        composed = _decomposed(unicodedata.normalize("NFC", text).translate(_STANDS_FOR))
        turned = _decomposed(composed.translate(_STANDS_FOR))
        if turned == text:
            break
        text = turned
    return text


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)
