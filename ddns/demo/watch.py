"""Somebody who asks for one address all the time, to see when a change becomes visible."""

from __future__ import annotations

import secrets
import select
import socket
import struct
import threading
import time
from typing import Self

from ddns.dns import wire
from ddns.dns.codes import CLASS_IN, MAX_MESSAGE, UDP_MAX_PAYLOAD, Type
from ddns.dns.names import Name

SOCKETS = 8  # different source ports, so that every worker behind the shared port is asked
PAUSE = 0.0005  # seconds between questions
PATIENCE = 0.2  # seconds for one answer


class Watch:
    """Asks *address* and *port* for the A records of *name* until every socket has been told *wanted* (4 octets)."""

    def __init__(self, address: str, port: int, name: Name, wanted: bytes) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._sockets = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
        for sock in self._sockets:
            sock.connect((address, port))
        self._question = name + struct.pack("!HH", Type.A, CLASS_IN)
        self._wanted = wanted
        self._giving_up = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.seen: list[float] = []  # by `time.monotonic`, one for each socket
        self.asked = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._giving_up.set()
        self._thread.join()
        for sock in self._sockets:
            sock.close()

    def wait(self, timeout: float) -> bool:
        """Wait until every socket has seen it; False where that takes longer than *timeout* seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _ask(self) -> None:
        pending = list(self._sockets)
        while pending and not self._giving_up.is_set():
            sock = pending.pop(0)
            if self._sees(sock):
                self.seen.append(time.monotonic())
            else:
                pending.append(sock)
            time.sleep(PAUSE)

    def _sees(self, sock: socket.socket) -> bool:
        ident = secrets.token_bytes(2)
        head = ident + struct.pack("!5H", 0, 1, 0, 0, 1)
        self.asked += 1
        try:
            sock.send(head + self._question + wire.opt(UDP_MAX_PAYLOAD, do=True))
            ready, _, _ = select.select([sock], [], [], PATIENCE)
            answer = sock.recv(MAX_MESSAGE) if ready else b""
            if answer[:2] != ident:
                return False
            counts = wire.header(answer)
            at = wire.question(answer).end
            records = list(wire.walk(answer, at, counts.ancount))
        except (OSError, wire.BadMessage):
            return False
        signed = any(record.type == Type.RRSIG for record in records)
        return signed and any(
            record.type == Type.A and answer[record.rdata : record.end] == self._wanted for record in records
        )
