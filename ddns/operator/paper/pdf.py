"""Sheets as PDF 1.4 (ISO 32000-1): vectors and two of the fonts that every reader has, nothing embedded.

The same sheets give the same octets: no date and no producer stand in the document.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from ddns.operator.paper.sheet import HEIGHT, WIDTH, Drawn, Page, Words

_POINTS = 72 / 25.4  # a millimetre
_CATALOG, _TREE, _REGULAR, _BOLD, _FIRST_PAGE = 1, 2, 3, 4, 5
_FONTS = {_REGULAR: "Courier", _BOLD: "Courier-Bold"}


def draw(pages: Sequence[Page]) -> bytes:
    """Return *pages* as one document."""
    objects: dict[int, bytes] = {_CATALOG: b"<< /Type /Catalog /Pages %d 0 R >>" % _TREE}
    for number, font in _FONTS.items():
        objects[number] = f"<< /Type /Font /Subtype /Type1 /BaseFont /{font} /Encoding /WinAnsiEncoding >>".encode()
    box = b"[0 0 %.2f %.2f]" % (WIDTH * _POINTS, HEIGHT * _POINTS)
    fonts = b"<< /Font << /F0 %d 0 R /F1 %d 0 R >> >>" % (_REGULAR, _BOLD)
    kids = []
    for at, page in enumerate(pages):
        number = _FIRST_PAGE + 2 * at
        kids.append(b"%d 0 R" % number)
        objects[number] = b"<< /Type /Page /Parent %d 0 R /MediaBox %b /Resources %b /Contents %d 0 R >>" % (
            _TREE, box, fonts, number + 1,
        )  # fmt: skip
        content = zlib.compress(_content(page), 9)
        objects[number + 1] = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream" % (len(content), content)
    objects[_TREE] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(kids), len(kids))
    return _document(objects)


def _document(objects: dict[int, bytes]) -> bytes:
    """Put the numbered *objects* one behind the other, with the table that says where each begins (§7.5)."""
    parts = [b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"]
    size = len(parts[0])
    table = [b"0000000000 65535 f \n"]
    for number in sorted(objects):
        table.append(b"%010d 00000 n \n" % size)
        parts.append(b"%d 0 obj\n%b\nendobj\n" % (number, objects[number]))
        size += len(parts[-1])
    parts.append(b"xref\n0 %d\n%b" % (len(table), b"".join(table)))
    parts.append(b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(table), _CATALOG, size))
    return b"".join(parts)


def _content(page: Page) -> bytes:
    # One matrix turns the page over and into millimetres; what follows counts from the top left corner.
    head = f"{_POINTS:.6f} 0 0 {-_POINTS:.6f} 0 {HEIGHT * _POINTS:.4f} cm"
    return "\n".join((head, *map(_code, page.codes), *map(_words, page.words))).encode("cp1252", "replace")


def _code(drawn: Drawn) -> str:
    squares = " ".join(f"{column} {row} {length} 1 re" for column, row, length in drawn.code.runs())
    return f"q {drawn.module:.6f} 0 0 {drawn.module:.6f} {drawn.x:.4f} {drawn.y:.4f} cm {squares} f Q"


def _words(words: Words) -> str:
    size = words.size / _POINTS
    text = words.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    # Letters are turned over once more, or they would stand on their heads.
    return f"BT /F{int(words.bold)} {size:.4f} Tf 1 0 0 -1 {words.x:.3f} {words.y:.3f} Tm ({text}) Tj ET"
