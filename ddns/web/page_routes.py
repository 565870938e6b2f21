"""Pages for people: `GET /e`, what a link with an invitation opens, and `GET /phone`, a page that works as a phone.

Law: a page loads its own scripts and nothing of anybody else; it sends no form, is shown in no frame, and what stands
behind a # is sent nowhere. `/e` speaks to nobody, `/phone` to this desk alone.
"""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import PurePosixPath

from ddns.web.routes import Answer, Asked, Means, Route

_MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
_CLOSED = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# A page that speaks to nobody, and one that speaks to this desk: nothing of what others wrote becomes a part of it.
_SILENT = f"default-src 'none'; script-src 'self'; connect-src 'none'; {_CLOSED}"
_OWN = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    f"require-trusted-types-for 'script'; trusted-types 'none'; {_CLOSED}"
)
_ALWAYS = (
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(self), geolocation=(), microphone=()"),
)


async def _show(file: str, policy: str, _means: Means, _asked: Asked) -> Answer:
    """Answer *file*, for a page with that Content-Security-Policy (CSP 3)."""
    octets = resources.files("ddns.web").joinpath("static", *PurePosixPath(file).parts).read_bytes()
    media = _MEDIA[PurePosixPath(file).suffix]
    return Answer(octets, media=media, headers=(("Content-Security-Policy", policy), *_ALWAYS))


def _route(path: str, file: str, summary: str, policy: str) -> Route:
    media = _MEDIA[PurePosixPath(file).suffix].partition(";")[0]
    return Route(
        method="GET", path=path, summary=summary, tag="pages", right=None, answers={200: None},
        alone=functools.partial(_show, file, policy), gives=(media,), api=False,
    )  # fmt: skip


_NOUNS = ("box", "desk", "dpp", "jose", "keys", "octets", "owner", "p256", "paper", "words")

PHONE: tuple[Route, ...] = (
    _route("/phone", "phone.html", "Show the page that works as an owner's phone.", _OWN),
    _route("/phone.css", "phone.css", "How that page looks.", _OWN),
    _route("/phone.mjs", "phone.mjs", "The script of that page.", _OWN),
    *(_route(f"/phone/{one}.mjs", f"phone/{one}.mjs", "A part of that script.", _OWN) for one in _NOUNS),
)
ROUTES: tuple[Route, ...] = (
    _route("/e", "e.html", "Show what an invitation's link says.", _SILENT),
    _route("/e.mjs", "e.mjs", "The script of that page.", _SILENT),
    _route("/invitation.mjs", "invitation.mjs", "How an invitation is read, for both pages.", _SILENT),
    *PHONE,
)
