"""A liar between the stranger and the registry: it passes everything on, and flips one bit of one address."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import Self

from ddns.dns import wire
from ddns.dns.codes import HEADER_SIZE, MAX_MESSAGE, Type
from ddns.dns.names import Name
from ddns.dns.wire import BadMessage

TIMEOUT = 2.0  # seconds for the registry's answer


class Liar:
    """Listens for UDP on 127.0.0.1 and asks *port* there; A records of *name* come out one bit wrong."""

    def __init__(self, port: int, name: Name) -> None:
        self._upstream = ("127.0.0.1", port)
        self._name = name
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port = int(self._sock.getsockname()[1])
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.close()
        self._thread.join(2 * TIMEOUT)
        self._sock.close()
        self._stopped.close()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._sock, self._stopped], [], [])
            if self._stopped in ready:
                return
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as registry:
                question, asker = self._sock.recvfrom(MAX_MESSAGE)
                registry.settimeout(TIMEOUT)
                registry.connect(self._upstream)
                registry.send(question)
                self._sock.sendto(flipped(registry.recv(MAX_MESSAGE), self._name), asker)


def flipped(message: bytes, name: Name) -> bytes:
    """Return *message* with the last bit of the first A record of *name* in its answer flipped, if it has one."""
    try:
        head = wire.header(message)
        at = wire.question(message).end if head.qdcount == 1 else HEADER_SIZE
        for record in wire.walk(message, at, head.ancount):
            if record.type == Type.A and record.name == name:
                last = record.end - 1
                return message[:last] + bytes((message[last] ^ 1,)) + message[last + 1 :]
    except BadMessage:
        pass
    return message
