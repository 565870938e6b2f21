"""A sheet as SVG 1.1: one page a document, millimetres throughout, no font, script or picture from elsewhere."""

from __future__ import annotations

from xml.sax.saxutils import escape

from ddns.operator.paper.sheet import HEIGHT, WIDTH, Drawn, Page, Words

_POINT = 25.4 / 72


_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" version="1.1" width="{WIDTH:g}mm" height="{HEIGHT:g}mm" \
viewBox="0 0 {WIDTH:g} {HEIGHT:g}" font-family="Courier, monospace">
<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="#fff"/>"""


def draw(page: Page) -> str:
    """Return *page* as an SVG document."""
    return "\n".join((_HEAD, *map(_code, page.codes), *map(_words, page.words), "</svg>\n"))


def _code(drawn: Drawn) -> str:
    path = "".join(f"M{column} {row}h{length}v1h-{length}z" for column, row, length in drawn.code.runs())
    place = f"translate({drawn.x:.3f} {drawn.y:.3f}) scale({drawn.module:.5f})"
    return f'<path transform="{place}" shape-rendering="crispEdges" d="{path}"/>'


def _words(words: Words) -> str:
    weight = ' font-weight="bold"' if words.bold else ""
    size = words.size * _POINT
    return f'<text x="{words.x:.2f}" y="{words.y:.2f}" font-size="{size:.3f}"{weight}>{escape(words.text)}</text>'
