"""A maker's service that wants to see registrars' certificates, and makes its logs at addresses of their own."""

import ssl
import threading
import time

from ddns.masa.server import Masa, Server, TlsServer, _Handler


class OwnMasa(Server):
    """The maker of *folder* at *port*; registrars show a certificate by *authority* (PEM). Logs lie at *elsewhere*."""

    def __init__(self, folder, port, authority):
        self.logs, self.elsewhere, self.asked = {}, "", []
        self.masa = Masa(folder, lambda: int(time.time()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
        context.load_verify_locations(cadata=authority)
        context.verify_mode = ssl.CERT_REQUIRED
        TlsServer.__init__(self, ("127.0.0.1", port), _Logging, lambda one: context.wrap_socket(one, server_side=True))
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Logging(_Handler):
    def _say(self, status, media, body):
        if media != "application/json":
            super()._say(status, media, body)
            return
        path = f"/logs/{len(self.server.logs)}"
        self.server.logs[path] = body
        self.send_response(201)
        self.send_header("Location", self.server.elsewhere + path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):  # noqa: N802 - Python's name
        self.server.asked.append(self.path)
        body = self.server.logs.get(self.path, b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words):
        """Say nothing."""
