"""The MASA's server: HTTP/1.1 over TLS by the standard library, two paths, bounded bodies, a thread a connection."""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from ddns.masa import issuing, making
from ddns.masa.issuing import Refused
from ddns.masa.store import Store
from ddns.masa.tls_server import PATIENCE, TlsServer
from ddns.proof import voucher

MOST_BODY = 64 * 1024  # octets
# smarkaklink's phones ask under the path of EST, as RFC 8995's drafts did.
PATHS = tuple(
    f"/.well-known/{place}/{what}" for place in ("brski", "est") for what in ("requestvoucher", "requestauditlog")
)


class Masa:
    """The folder of a maker, and what it answers. *now* tells the seconds since 1970."""

    def __init__(self, folder: Path, now: Callable[[], int]) -> None:
        self.folder = folder
        self.now = now
        self.store = Store(folder)
        self.anchor, _ = making.read(folder, "ca")
        self._signer, self._key = making.read(folder, "masa")

    def voucher(self, octets: bytes, media: str) -> bytes:
        """Return the voucher that a registrar asks for; it is in the log then. Raises `Refused`."""
        now = self.now()
        asked = issuing.read(octets, media, self.anchor, now)
        given = issuing.voucher_for(asked, self.store.find(asked.serial), now)
        document = voucher.voucher_json(given)
        if media == voucher.JWS:
            signed = voucher.write_jws(document, self._signer, self._key, (self.anchor,))
        else:
            signed = voucher.write_cms(document, self._signer, self._key, now, (self.anchor,))
        self.store.append(asked.serial, issuing.event_of(asked, given))
        return signed

    def log(self, octets: bytes, media: str) -> bytes:
        """Return the log of the box that a registrar asks about with the request for its voucher. Raises `Refused`."""
        asked = issuing.read(octets, media, self.anchor, self.now())
        device = self.store.find(asked.serial)
        if device is None or asked.box != device.digest:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such box here.")
        return json.dumps(issuing.log_json(*self.store.log(asked.serial, issuing.MOST_EVENTS))).encode()


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "nameplate-masa"
    sys_version = ""
    timeout = PATIENCE
    server: Server

    def do_POST(self) -> None:
        """Answer a registrar."""
        try:
            media, body = self._body()
            if self.path.endswith("requestvoucher"):
                self._say(HTTPStatus.OK, media, self.server.masa.voucher(body, media))
            else:
                self._say(HTTPStatus.OK, "application/json", self.server.masa.log(body, media))
        except Refused as error:
            self._say(error.status, "text/plain; charset=utf-8", error.sentence.encode() + b"\n")

    def do_GET(self) -> None:
        """Refuse what is no request of a registrar."""
        allowed = HTTPStatus.METHOD_NOT_ALLOWED if self.path in PATHS else HTTPStatus.NOT_FOUND
        self._say(allowed, "text/plain; charset=utf-8", b"Registrars send POST.\n")

    def _body(self) -> tuple[str, bytes]:
        """Return the media type and the body. Raises `Refused`."""
        size = self.headers.get("Content-Length", "")
        if not (size.isascii() and size.isdecimal()):
            self.close_connection = True
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "Say the length of the body.")
        if int(size) > MOST_BODY:
            self.close_connection = True
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request has {MOST_BODY} octets at most.")
        body = self.rfile.read(int(size))
        if self.path not in PATHS:
            raise Refused(HTTPStatus.NOT_FOUND, "Registrars ask at /.well-known/brski/requestvoucher.")
        media = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media not in voucher.MEDIA:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {' or '.join(sorted(voucher.MEDIA))}.")
        return media, body

    def _say(self, status: HTTPStatus, media: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 - the name that it is called by
        """Say on stderr what was asked, and what it got."""
        sys.stderr.write(f"masa: {format % values}\n")


class Server(TlsServer):
    """The MASA at an address, with its own certificate."""

    def __init__(self, address: tuple[str, int], masa: Masa) -> None:
        self.masa = masa
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(masa.folder / "tls.pem", masa.folder / "tls.key")
        super().__init__(address, _Handler, lambda plain: context.wrap_socket(plain, server_side=True))

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Say in one line that a connection broke."""
        sys.stderr.write(f"masa: a connection broke: {type(sys.exception()).__name__}\n")
