"""A connection over which one message after another is asked, whatever the server makes of it."""

import socket
import struct


class Line:
    """One TCP connection to a server, opened again where the server hangs up."""

    def __init__(self, port, patience=5.0):
        self.port = port
        self.patience = patience
        self.stream = None

    def exchange(self, wire):
        """Return the answer to *wire*, or None where the server says nothing and hangs up, or nothing at all."""
        for _ in range(2):
            fresh = self.stream is None
            if fresh:
                self.stream = socket.create_connection(("127.0.0.1", self.port), 5)
                self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.stream.settimeout(self.patience)
            try:
                self.stream.sendall(struct.pack("!H", len(wire)) + wire)
                return self.read()
            except (OSError, EOFError):
                self.close()
                if fresh:
                    return None
        return None

    def read(self):
        """Return the next message."""
        return self._read(struct.unpack("!H", self._read(2))[0])

    def _read(self, size):
        out = b""
        while len(out) < size:
            piece = self.stream.recv(size - len(out))
            if not piece:
                raise EOFError
            out += piece
        return out

    def close(self):
        if self.stream is not None:
            self.stream.close()
            self.stream = None
