"""What stands before the registry's name server: every message goes through and is written down, some get lost."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
import time
from typing import Any, Self

from ddns.dns import wire
from ddns.dns.codes import MAX_MESSAGE, Opcode
from ddns.dns.wire import BadMessage
from ddns.selftest.playing import Play
from ddns.selftest.transcript import Message, Recorder

ANSWER = 20.0  # seconds for the registry to answer
IDLE = 60.0  # seconds for a connection to say something
AT_ONCE = 64  # messages and connections
TRIES = 50  # ports that are tried until one is free for UDP and TCP


class NameServer:
    """Listens for UDP and TCP at *host*, asks the name server at *behind*, and writes down for *recorder*."""

    def __init__(self, host: str, behind: tuple[str, int], recorder: Recorder, play: Play) -> None:
        self._behind = behind
        self.recorder = recorder
        self._play = play
        self._datagrams, self._streams = _servers(host, self)
        self.port: int = self._streams.server_address[1]

    def __enter__(self) -> Self:
        for server in (self._datagrams, self._streams):
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._datagrams, self._streams):
            server.shutdown()
            server.server_close()

    def answer(self, octets: bytes, *, stream: bool) -> bytes:
        """Return the registry's answer to *octets*; nothing where it is lost, or did not come."""
        recorder = self.recorder
        at, now, step = recorder.at, int(time.time()), recorder.step
        answer = b""
        if not (_is_update(octets) and self._play.lost()):
            with contextlib.suppress(OSError, struct.error):
                answer = self._by_tcp(octets) if stream else self._by_udp(octets)
        recorder.add(Message(at=at, now=now, step=step, until=recorder.at, octets=octets, answer=answer, stream=stream))
        return answer

    def _by_udp(self, octets: bytes) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(ANSWER)
            sock.connect(self._behind)
            sock.send(octets)
            return sock.recv(MAX_MESSAGE)

    def _by_tcp(self, octets: bytes) -> bytes:
        with socket.create_connection(self._behind, ANSWER) as sock, sock.makefile("rb") as file:
            sock.sendall(struct.pack("!H", len(octets)) + octets)
            return file.read(struct.unpack("!H", file.read(2))[0])


def _is_update(octets: bytes) -> bool:
    """Tell whether a message changes something: it is an UPDATE with operations."""
    try:
        head = wire.header(octets)
    except BadMessage:
        return False
    return head.opcode == Opcode.UPDATE and head.nscount > 0


class _Seats:
    """What is answered at once is bounded: the rest waits in the kernel, as before any server."""

    seats: threading.BoundedSemaphore

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the request a thread, when there is a seat."""
        self.seats.acquire()
        super().process_request(request, client_address)  # type: ignore[misc]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer it."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[misc]
        finally:
            self.seats.release()


class _Datagrams(_Seats, socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = MAX_MESSAGE
    observer: NameServer


class _Streams(_Seats, socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    observer: NameServer


class _Datagram(socketserver.BaseRequestHandler):
    server: _Datagrams

    def handle(self) -> None:
        """Answer one datagram."""
        octets, sock = self.request
        answer = self.server.observer.answer(octets, stream=False)
        if answer:
            with contextlib.suppress(OSError):
                sock.sendto(answer, self.client_address)


class _Stream(socketserver.StreamRequestHandler):
    server: _Streams
    timeout = IDLE

    def handle(self) -> None:
        """Answer what comes by one connection, until it ends."""
        with contextlib.suppress(OSError):
            while len(size := self.rfile.read(2)) == 2:
                octets = self.rfile.read(struct.unpack("!H", size)[0])
                answer = self.server.observer.answer(octets, stream=True)
                if not answer:
                    return
                self.wfile.write(struct.pack("!H", len(answer)) + answer)


def _servers(host: str, observer: NameServer) -> tuple[_Datagrams, _Streams]:
    """Return both servers, open at one port. Raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    own = {"address_family": family, "observer": observer, "seats": threading.BoundedSemaphore(AT_ONCE)}
    datagrams_of, streams_of = type("_Datagrams", (_Datagrams,), own), type("_Streams", (_Streams,), own)
    for tries in range(TRIES):
        streams = streams_of((host, 0), _Stream)
        try:
            return datagrams_of((host, streams.server_address[1]), _Datagram), streams
        except OSError:
            streams.server_close()
            if tries == TRIES - 1:
                raise
    raise AssertionError
