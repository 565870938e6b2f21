"""A registrar that watches (RFC 8995 §5, RFC 7030): the maker's own vouchers, bad ones before them, and real homes.

It judges nothing that the checks judge: whatever a box sends is written down, and what can be answered is answered.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import threading
import time
from base64 import encodebytes
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.demo.screen import Broken
from ddns.dns import names
from ddns.homes import registrar
from ddns.masa import making
from ddns.masa.issuing import Refused
from ddns.masa.server import Masa
from ddns.masa.tls_server import PATIENCE, TlsServer
from ddns.proof import cms, der, idevid, jwk, voucher
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk
from ddns.proof.voucher import Request
from ddns.selftest.facts import (
    ATTRIBUTES,
    CACERTS,
    ENROL_STATUS,
    SIMPLEENROLL,
    STANDING,
    VOUCHER,
    VOUCHER_STATUS,
    Certifying,
)
from ddns.selftest.playing import Play
from ddns.selftest.transcript import Exchange, Gained, Recorder
from ddns.selftest.voucher_checks import LATER
from ddns.selftest.waits import RETRY_AFTER

MOST = 256 * 1024  # octets of a body
MOST_HOMES = 100
HOUR = 3600  # seconds
_P7 = "application/pkcs7-mime"
_JSON = "application/json"
_ID = 16  # octets
# RFC 9908: a P-256 key, ECDSA with SHA-256, the serial number
_WANTED = der.sequence(
    der.sequence(der.oid("1.2.840.10045.2.1"), der.set_of(der.oid("1.2.840.10045.3.1.7"))),
    der.oid("1.2.840.10045.4.3.2"),
    der.oid("2.5.4.5"),
)

Home = Callable[[PublicJwk], str]
Said = tuple[int, str, bytes, dict[str, str]]


class Maker:
    """The maker of the box: the *folder* of its MASA, and the box's *serial* number."""

    def __init__(self, folder: Path, serial: str) -> None:
        self.folder, self.serial = folder, serial
        self.masa = Masa(folder, lambda: int(time.time()))
        self._signer = making.read(folder, "masa")
        now = int(time.time())
        self._stranger = making.signer("Stranger", making.authority("Stranger", now), now)

    def voucher(self, request: bytes, media: str) -> bytes:
        """Return the voucher that a registrar's *request* gets. Raises `Refused`."""
        return self.masa.voucher(request, media)

    def spoilt(self, octets: bytes, media: str, trick: str, elsewhere: bytes) -> bytes:
        """Return the voucher *octets* with something wrong: *trick*; *elsewhere* is another registrar's certificate."""
        said, _ = voucher.read_voucher(octets, media)
        now = int(time.time())
        changes: dict[str, dict[str, Any]] = {
            "serial": {"serial_number": f"{said.serial_number}-2"},
            "nonce": {"nonce": secrets.token_bytes(_ID)},
            "expired": {"created_on": now - 2 * HOUR, "expires_on": now - HOUR},
            "domain": {"pinned_domain_cert": elsewhere},
        }
        document = voucher.voucher_json(msgspec.structs.replace(said, **changes.get(trick, {})))
        certificate, key = self._stranger if trick == "signer" else self._signer
        if media == voucher.JWS:
            return voucher.write_jws(document, certificate, key)
        return voucher.write_cms(document, certificate, key, now)


class RegistrarDoor(TlsServer):
    """Listens at *host* as the registrar called *name*, and writes down for *recorder*."""

    def __init__(self, host: str, name: str, recorder: Recorder, play: Play) -> None:
        self.recorder, self.play = recorder, play
        self.mine = registrar.of(secrets.token_bytes(32), name)
        self.elsewhere = registrar.of(secrets.token_bytes(32), name).ca.public_bytes(Encoding.DER)
        self.homes: dict[PublicJwk, tuple[str, bytes]] = {}
        self.making = threading.Lock()
        super().__init__((host, 0), _Handler, self._secure)

    @contextlib.contextmanager
    def opened(self, maker: Maker, folder: Path, home: Home, place: dict[str, Any]) -> Iterator[Self]:
        """Answer boxes of *maker*; *home* makes a home for a key, and *place* says where that goes on.

        What TLS needs is written into *folder*.
        """
        self.maker, self.home, self.place = maker, home, place
        pem, key = folder / "registrar.pem", folder / "registrar.key"
        pem.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (self.mine.certificate, self.mine.ca)))
        making.write_key(folder, "registrar", self.mine.key)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.load_cert_chain(pem, key)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.load_verify_locations(maker.folder / "ca.pem")
        self._context.load_verify_locations(cadata=self.mine.ca.public_bytes(Encoding.PEM).decode("ascii"))
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()

    def _secure(self, plain: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(plain, server_side=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Forget a connection that broke."""

    def voucher(self, octets: bytes, media: str, trick: str) -> Said:
        """Answer a request for a voucher (RFC 8995 §5.5 and §5.6)."""
        if trick == LATER:
            return 202, "application/octet-stream", b"", {"Retry-After": str(RETRY_AFTER)}
        try:
            said, _ = voucher.read_request(octets, media)
            request = self._asking(said, octets, media)
            found = self.maker.voucher(request, media)
            if trick:
                found = self.maker.spoilt(found, media, trick, self.elsewhere)
        except (BadProof, Refused) as error:
            return 403, "text/plain", f"{error}\n".encode(), {}
        return 200, media, found, {}

    def certificate(self, seen: Exchange) -> Said:
        """Answer a request for a certificate: the home is made then (RFC 7030 §4.2)."""
        asked = Certifying(seen)
        if asked.said is None:
            return 400, "text/plain", f"{asked.why}\n".encode(), {}
        key = asked.said.key
        with self.making:
            if key not in self.homes:
                if len(self.homes) >= MOST_HOMES:
                    return 503, "text/plain", b"There are enough homes here; end the selftest.\n", {}
                try:
                    home = self.home(key)
                except Broken as error:
                    return 500, "text/plain", f"{error}\n".encode(), {}
                made = self.mine.issue(
                    key, names.from_text(home), self.maker.serial, int(time.time()), secrets.token_bytes(_ID)
                )
                self.homes[key] = home, registrar.only(made)
            home, found = self.homes[key]
        at = self.recorder.at
        self.recorder.add(
            Gained(
                at=at, until=at, now=int(time.time()), step=self.recorder.step, key=jwk.to_key_rdata(key), home=home
            )
        )  # fmt: skip
        return 200, _P7, encodebytes(found), {}

    def standing(self, shown: bytes) -> Said:
        """Say which home the box has that shows a certificate of ours."""
        if shown:
            home = self.mine.home_of(cms.certificate(shown), int(time.time()))
            if home is not None:
                return 200, _JSON, msgspec.json.encode({"home": names.to_text(home), **self.place}), {}
        return 403, "text/plain", b"Show the certificate that you were given.\n", {}

    def _asking(self, said: Request, octets: bytes, media: str) -> bytes:
        """Return the registrar's own request around that of the box (RFC 8995 §5.5)."""
        now = int(time.time())
        anchor = self.maker.masa.anchor
        issuer = idevid.extension_of(cms.subject_key_identifier(anchor) or idevid.key_identifier(anchor))
        document = voucher.request_json(
            Request(
                serial_number=said.serial_number, created_on=now, assertion=said.assertion, nonce=said.nonce,
                idevid_issuer=issuer, prior=octets,
            )
        )  # fmt: skip
        if media == voucher.JWS:
            return voucher.write_jws(document, self.mine.certificate, self.mine.key, (self.mine.ca,))
        return voucher.write_cms(document, self.mine.certificate, self.mine.key, now, (self.mine.ca,))


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "nameplate"
    sys_version = ""
    timeout = PATIENCE
    server: RegistrarDoor

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Answer a request."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal() and int(length) <= MOST):
            self.close_connection = True
            self._say((413, "text/plain", b"", {}))
            return
        self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        door, recorder = self.server, self.server.recorder
        headers = {name.lower(): value for name, value in self.headers.items()}
        trick = door.play.trick() if self.path == VOUCHER else ""
        seen = Exchange(
            at=recorder.at, now=int(time.time()), step=recorder.step, method=self.command, path=self.path,
            headers=headers, body=body, status=0, shown=self.request.getpeercert(binary_form=True) or b"", trick=trick,
        )  # fmt: skip
        said = self._judged(seen)
        after = said[3].get("Retry-After", "0")
        recorder.add(msgspec.structs.replace(seen, status=said[0], until=recorder.at, retry_after=int(after)))
        self._say(said)

    def _judged(self, seen: Exchange) -> Said:
        door = self.server
        if (seen.method, seen.path) == ("POST", VOUCHER):
            media = seen.headers.get("content-type", "").partition(";")[0].strip().lower()
            return door.voucher(seen.body, media, seen.trick)
        if (seen.method, seen.path) == ("POST", SIMPLEENROLL):
            return door.certificate(seen)
        if seen.path in (VOUCHER_STATUS, ENROL_STATUS):
            return 200, "application/octet-stream", b"", {}
        if seen.path == CACERTS:
            return 200, _P7, encodebytes(registrar.only(door.mine.ca)), {}
        if seen.path == ATTRIBUTES:
            return 200, "application/csrattrs", encodebytes(_WANTED), {}
        if seen.path == STANDING:
            return door.standing(seen.shown)
        return 404, "text/plain", b"There is no such thing here.\n", {}

    def _say(self, said: Said) -> None:
        status, media, octets, headers = said
        self.send_response(status)
        self.send_header("Content-Type", media)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(octets)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so it is called
        """Write no log: what is to be known is in the transcript."""
