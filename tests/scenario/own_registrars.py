"""A registrar of nobody's registry: it answers boxes with whatever voucher a test has made, and hears what they say."""

import http.server
import json
import ssl
import threading
import time
from base64 import b64encode

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from registrars import Registrar

from ddns.proof import voucher

VOUCHER = "/.well-known/brski/requestvoucher"


class OwnRegistrar(http.server.ThreadingHTTPServer):
    """Answers at `port`; *make* gives the voucher for a request that was read, *told* is what boxes said of theirs."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mine, self.make, self.told, self.asked = Registrar(), None, [], []
        pem, key = folder / "registrar.pem", folder / "registrar.key"
        pem.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (self.mine.certificate, self.mine.ca)))
        key.write_bytes(self.mine.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, key)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.server_port}"

    @property
    def pinned(self):
        """Return the certificate that a good voucher names."""
        return self.mine.ca.public_bytes(Encoding.DER)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, body))
        if self.path.endswith("enroll"):
            self._say(503, "text/plain", b"this registrar is nobody's")
            return
        if self.path != VOUCHER:
            self.server.told.append((self.path.rsplit("/", 1)[1], json.loads(body)))
            self._say(200, "application/json", b"")
            return
        said, _ = voucher.read_request(body, voucher.CMS)
        self._say(200, voucher.CMS, self.server.make(said))

    def do_GET(self):
        self._say(200, "application/csrattrs", b64encode(b"\x30\x00"))

    def _say(self, status, media, octets):
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_words):
        """Say nothing."""


def fresh(maker, said, pinned, **changed):
    """Return the voucher of *maker* that answers *said*, a request, but for what is *changed*."""
    return maker.voucher(said, pinned, at=int(time.time()), **changed)
