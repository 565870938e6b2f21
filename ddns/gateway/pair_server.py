"""The door at which a box meets a phone: some paths of HTTP in the home's own network, open until the box has a home.

What goes through it is sealed or signed (`ddns.gateway.pairing`), so it needs no certificate; it is bounded, serves one
request at a time, and says nothing of the box to who has not scanned its code.
"""

from __future__ import annotations

import http.server
import socket
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from ddns.gateway import pairing, vouching
from ddns.gateway.key import BadKey
from ddns.gateway.outcome import Status
from ddns.gateway.pledge import BadBox
from ddns.gateway.state import BadState, Outcome
from ddns.gateway.vouching import Maker
from ddns.proof import statements
from ddns.proof.bad import BadProof

PATIENCE = 10.0  # seconds that a connection may take to say something

# A page of the registry's may not ask a box that speaks plain HTTP; it brings its question to these, behind a #.
PAGE_PATH = "/nameplate"
_PAGES = {
    PAGE_PATH: ("door.html", "text/html; charset=utf-8"),
    f"{PAGE_PATH}.mjs": ("door.mjs", "text/javascript; charset=utf-8"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Door(http.server.HTTPServer):
    """Waits at *address* for a phone to pair the box of *folder* with its owner; `outcome` says how it went."""

    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], folder: Path, maker: Maker | None = None) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.folder = folder
        self.maker = maker
        self.outcome: Outcome | None = None
        super().__init__(address, _Handler)

    def pair(self, wait: float) -> Outcome | None:
        """Serve phones until the box has a home, or nobody came for *wait* seconds; return how it ended."""
        self.timeout = wait
        while self.outcome is None:
            self._came = False
            self.handle_request()
            if not self._came:
                return None
        return self.outcome

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Note that somebody came."""
        self._came = True
        return super().verify_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Forget a connection that broke: the next phone gets its turn."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Door
    timeout = PATIENCE
    protocol_version = "HTTP/1.1"
    server_version = "nameplate"
    sys_version = ""

    def do_GET(self) -> None:
        """Show the page by which a browser speaks to this box."""
        name, media = _PAGES.get(self.path, ("", ""))
        if not name:
            self._refuse(404, "not-found", "There is no such thing here.")
            return
        octets = resources.files("ddns.gateway").joinpath("static", name).read_bytes()
        self._say(200, media, octets, (("Content-Security-Policy", _POLICY), ("Referrer-Policy", "no-referrer")))

    def do_POST(self) -> None:
        """Answer a phone's challenge, or take over what it brings."""
        body = self._body()
        if body is None:
            return
        answers = {pairing.CHALLENGE_PATH: pairing.answer, pairing.CLAIM_PATH: pairing.claim}
        try:
            if answer := answers.get(self.path):
                self._say(200, statements.MEDIA_TYPE, answer(self.server.folder, body.decode("ascii", "replace")))
            elif (maker := self.server.maker) is not None and self.path in vouching.REQUEST_PATHS:
                media = vouching.media_of(self.headers.get("Accept", ""))
                self._say(200, media, vouching.request(self.server.folder, maker, body, media))
            elif maker is not None and self.path in vouching.VOUCHER_PATHS:
                media = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                vouching.take(self.server.folder, maker, body, media)
                self._say(200, "application/json", msgspec.json.encode({"version": 1, "status": True}))
            elif self.path == pairing.ANSWER_PATH:
                outcome = pairing.settle(self.server.folder, body)
                done = outcome.status == Status.DONE
                self._say(200 if done else 503, "application/json", msgspec.json.encode({"said": outcome.sentence}))
                if done:
                    self.server.outcome = outcome
            else:
                self._refuse(404, "not-found", "There is no such thing here.")
        except BadProof as error:
            self._refuse(403, error.code, error.sentence)
        except (BadState, BadKey, BadBox, OSError):
            self._refuse(500, "our-fault", "This box cannot do that just now; restart it and scan its code again.")

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal() and len(length) < 8 and int(length) <= pairing.MOST):
            self._refuse(413, "body-too-large", f"Send at most {pairing.MOST} octets, and say how many.")
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: int, code: str, sentence: str) -> None:
        said = {"status": status, "code": code, "detail": sentence, "type": f"urn:nameplate:refusal:{code}"}
        self._say(status, "application/problem+json", msgspec.json.encode(said))

    def _say(self, status: int, media: str, octets: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in (*headers, ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(octets)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so it is called
        """Write no log: what comes from a phone is its owner's affair."""
