"""`GET /e`: what a link with an invitation opens in a browser. The invitation stands behind the #, and is not sent.

Law: the page speaks to nobody. It loads one script, its own, and may neither send a form nor ask for anything else.
"""

from __future__ import annotations

import functools
from importlib import resources

from ddns.web.routes import Answer, Asked, Means, Route

HTML, SCRIPT = "text/html; charset=utf-8", "text/javascript; charset=utf-8"
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


@functools.cache
def _file(name: str) -> bytes:
    return resources.files("ddns.web").joinpath("static", name).read_bytes()


async def page(_means: Means, _asked: Asked) -> Answer:
    """Show the page."""
    return Answer(_file("e.html"), media=HTML, headers=_HEADERS)


async def script(_means: Means, _asked: Asked) -> Answer:
    """Give the page its script."""
    return Answer(_file("e.mjs"), media=SCRIPT, headers=_HEADERS)


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/e", summary="Show what an invitation's link says.", tag="pages", right=None,
        answers={200: None}, alone=page, gives=(HTML.partition(";")[0],), api=False,
    ),
    Route(
        method="GET", path="/e.mjs", summary="The script of that page.", tag="pages", right=None,
        answers={200: None}, alone=script, gives=(SCRIPT.partition(";")[0],), api=False,
    ),
)  # fmt: skip
