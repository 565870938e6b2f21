"""What stands before the registry's desk: the same certificate, every request written down, some answered here."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Self

import msgspec

from ddns.masa.tls_server import PATIENCE, TlsServer
from ddns.selftest.facts import ENROL
from ddns.selftest.playing import Play
from ddns.selftest.transcript import Exchange, Handshake, Recorder
from ddns.selftest.waits import RETRY_AFTER

MOST = 1024 * 1024  # octets of a body
ANSWER = 60.0  # seconds for the desk to answer
_GONE = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})

Held = tuple[Path, Path]


class DeskDoor(TlsServer):
    """Listens at *host*, asks the desk at the port *behind*, and writes down for *recorder*."""

    def __init__(self, host: str, behind: int, recorder: Recorder, play: Play) -> None:
        self.recorder, self.play, self.behind = recorder, play, behind
        self._named: dict[int, str] = {}
        self._shaken: dict[int, tuple[Handshake, list[bool]]] = {}
        super().__init__((host, 0), _Handler, self._secure)

    @contextlib.contextmanager
    def opened(self, mine: Held, strange: Held) -> Iterator[Self]:
        """Answer, with the certificate and key *mine*, or with the stranger's."""
        self._own, self._strange = self._context(mine), self._context(strange)
        self.believed = ssl.create_default_context(cafile=mine[0])
        self.believed.check_hostname = False  # it is the desk's own, and the only one believed
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()
        try:
            yield self
        finally:
            self.shutdown()

    def _context(self, held: Held) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # so that it is seen who speaks no other
        context.load_cert_chain(*held)
        context.set_alpn_protocols(["http/1.1"])
        context.sni_callback = lambda sock, name, _: self._named.update({id(sock): name or ""})
        return context

    def _secure(self, plain: socket.socket) -> ssl.SSLSocket:
        """Shake hands as ourselves or as a stranger. Raises `OSError`."""
        stranger = self.play.stranger()
        context = self._strange if stranger else self._own
        seen = Handshake(
            at=self.recorder.at, now=int(time.time()), step=self.recorder.step, version="", name="", stranger=stranger,
            spoke=False,
        )  # fmt: skip
        secure = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            secure.do_handshake()
        except OSError:
            self.recorder.add(msgspec.structs.replace(seen, until=self.recorder.at, name=self._name_of(secure)))
            raise
        made = msgspec.structs.replace(seen, version=secure.version() or "", name=self._name_of(secure))
        self._shaken[id(secure)] = (made, [])
        return secure

    def _name_of(self, secure: ssl.SSLSocket) -> str:
        """Return for which name the client asked."""
        return self._named.pop(id(secure), "")

    def heard(self, request: Any) -> bool:
        """Note that the client of *request* spoke; tell whether it spoke to a stranger."""
        made, spoke = self._shaken[id(request)]
        spoke.append(True)
        return made.stranger

    def shutdown_request(self, request: Any) -> None:
        """Write down a connection that is over."""
        found = self._shaken.pop(id(request), None)
        if found is not None:
            made, spoke = found
            self.recorder.add(msgspec.structs.replace(made, until=self.recorder.at, spoke=bool(spoke)))
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Forget a connection that broke."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "nameplate"
    sys_version = ""
    timeout = PATIENCE
    server: DeskDoor

    def _answer(self) -> None:
        door, recorder = self.server, self.server.recorder
        stranger = door.heard(self.request)
        body = self._body()
        if body is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Exchange(
            at=recorder.at, now=int(time.time()), step=recorder.step, method=self.command, path=self.path,
            headers=headers, body=body, status=503,
        )  # fmt: skip
        if stranger or (self.path == ENROL and self.command == "POST" and door.play.busy()):
            said = {"Retry-After": str(RETRY_AFTER), "Content-Type": "application/problem+json"}
            problem = {"status": 503, "code": "desk-busy", "detail": "The registry is busy; come again."}
            status, octets = 503, msgspec.json.encode(problem)
        else:
            try:
                status, said, octets = self._forward(body)
            except (OSError, http.client.HTTPException):
                status, said, octets = 502, {}, b""
        after = said.get("Retry-After", "")
        # Written down before it leaves, so that a box never seems to have come too early.
        seen = msgspec.structs.replace(
            seen, status=status, retry_after=int(after) if after.isdecimal() else 0, until=recorder.at
        )
        if not stranger:
            recorder.add(seen)
        self._say(status, said, octets)

    def do_GET(self) -> None:
        """Answer as the desk does."""
        self._answer()

    def do_POST(self) -> None:
        """Answer as the desk does."""
        self._answer()

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal() and int(length) <= MOST):
            self.close_connection = True
            self._say(413, {}, b"")
            return None
        return self.rfile.read(int(length))

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Ask the desk; return its status, headers and body. Raises `OSError` and `HTTPException`."""
        door = self.server
        connection = http.client.HTTPSConnection("127.0.0.1", door.behind, timeout=ANSWER, context=door.believed)
        try:
            sent = {name: value for name, value in self.headers.items() if name.lower() not in _GONE}
            connection.request(self.command, self.path, body, sent)
            answer = connection.getresponse()
            octets = answer.read()
            kept = {name.title(): value for name, value in answer.getheaders() if name.lower() not in _GONE}
            return answer.status, kept, octets
        finally:
            connection.close()

    def _say(self, status: int, headers: dict[str, str], octets: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(octets)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - so it is called
        """Write no log: what is to be known is in the transcript."""
