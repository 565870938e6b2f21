"""The device of the demo: a TLS server with a certificate that it made itself."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

GREETING = b"200 the garden is quiet\n"
TIMEOUT = 5.0  # seconds for one visitor


class Camera:
    """Greets whoever speaks TLS to it on one port of *addresses*; a context manager."""

    def __init__(self, name: str, folder: Path, addresses: list[str]) -> None:
        self.certificate = folder / "cam.pem"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        _make(name, self.certificate, folder / "cam.key")
        self._context.load_cert_chain(self.certificate, folder / "cam.key")
        self._listeners: list[socket.socket] = []
        self.port = 0
        for address in addresses:
            listener = socket.create_server(
                (address, self.port), family=socket.AF_INET6 if ":" in address else socket.AF_INET
            )
            self._listeners.append(listener)
            self.port = listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, args=(one,), daemon=True) for one in self._listeners]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            listener.close()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain:
                plain.settimeout(TIMEOUT)
                with self._context.wrap_socket(plain, server_side=True) as peer:
                    peer.sendall(GREETING)
                    peer.recv(1000)


def _make(name: str, certificate: Path, private: Path) -> None:
    """Write a P-256 key and a certificate for *name* that nobody but itself has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
