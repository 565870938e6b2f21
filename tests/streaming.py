"""A listener for streams on loopback, its clients, and the registry of connections on a clock."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from typing import Any

from arriving import PATIENCE, Probe
from asking import UDP, query
from published import image
from twins import answerer
from twisted.internet.task import Clock

from ddns.answer.responder import Responder
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import Table
from ddns.net.connections import ConnectionLimits, Connections
from ddns.net.streams import Streams
from ddns.net.tcp import TcpListener

MESSAGE = bytes(12) + b"question"  # nobody knows what to say to that
KNOWN = query("www.example.", flags=0)

TABLE = Table()
TABLE.install(image("$TTL 300\n@ SOA ns1 admin 1 7200 3600 1209600 60\n@ NS ns1\nwww A 192.0.2.1\n", "example."))
ANSWER = Responder(TABLE).respond(KNOWN, UDP)


def framed(wire: bytes) -> bytes:
    return struct.pack("!H", len(wire)) + wire


class Client:
    """The other end of a connection, and ours."""

    def __init__(self, server: Server, host: str, **options: int) -> None:
        self.server = server
        self.heard = b""
        self.socket = socket.socket()
        server.clients.append(self)  # which closes the socket, whatever becomes of the rest here
        for option, value in options.items():
            self.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.bind((host, 0))
        seats = server.connections._seats
        before = set(seats)
        self.socket.connect(server.address)
        self.socket.setblocking(False)
        server.until(lambda: set(seats) - before or self.closed)
        self.ours = next((seat.connection for seat in set(seats) - before), None)

    @property
    def closed(self) -> bool:
        """Tell whether our side has ended."""
        self.server.probe.arrived()
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def say(self, octets: bytes) -> None:
        """Send, and have the server take what has come."""
        self.socket.setblocking(True)
        self.socket.sendall(octets)
        self.socket.setblocking(False)
        self.server.turn()

    def hear(self, count: int) -> bytes:
        """Return all that was heard, at least *count* octets."""
        while len(self.heard) < count:
            self.server.turn()
            assert select.select([self.socket], [], [], PATIENCE)[0]
            octets = self.socket.recv(65536)
            assert octets, "the connection has ended"
            self.heard += octets
        return self.heard

    def hear_all(self) -> bytes:
        """Return all that was heard until the connection ended."""
        self.server.until(lambda: self._heard_all)
        return self.heard

    @property
    def _heard_all(self) -> bool:
        try:
            octets = self.socket.recv(65536)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        self.heard += octets
        return not octets


class Server:
    """Collect what the listener hands over; answer it when the test says so. `ANSWER` is known at once."""

    def __init__(self, twin: str = "pure", listener: Any = TcpListener, **limits: Any) -> None:
        self.clock = Clock()
        self.taken: list[tuple[bytes, Any]] = []
        self.connections = Connections(ConnectionLimits(**limits), self.clock)
        self.clients: list[Client] = []
        framer = answerer(twin, TABLE, Rrl(RrlLimits()))
        with contextlib.ExitStack() as opened:
            self.streams = Streams(self.clock)
            opened.callback(self.streams.connectionLost, None)
            self.probe = Probe()
            opened.callback(self.probe.close)
            sock = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
            sock.setblocking(False)
            self.address = sock.getsockname()
            self.listener = listener(sock, framer, self.serve, self.connections, self.streams)
            opened.pop_all()

    def serve(self, wire: bytes, source: str, reply: Any) -> None:
        assert source.startswith("127.")
        self.taken.append((wire, reply))

    def connect(self, host: str = "127.0.0.1", **options: int) -> Client | None:
        """Return the client at *host*; None where there was no seat for it."""
        client = Client(self, host, **options)
        return None if client.ours is None else client

    def turn(self) -> None:
        """Serve what has come; what was answered is there then."""
        self.probe.arrived()
        while select.select([self.streams], [], [], 0.005)[0]:
            self.streams.doRead()
            self.probe.arrived()

    def until(self, condition: Any) -> None:
        """Serve until *condition* is true."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            self.streams.doRead()
            time.sleep(0.001)

    def end(self) -> None:
        self.streams.connectionLost(None)
        self.listener.close()
        self.probe.close()
        for client in self.clients:
            client.socket.close()
