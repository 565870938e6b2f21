"""Waiting for the kernel: what was sent over the loopback is there when `arrived` returns."""

import socket

PATIENCE = 30.0  # seconds until a test gives up


class Probe:
    """A socket that sends to itself. The kernel may put off what comes over the loopback, but keeps its order."""

    def __init__(self):
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._sock.bind(("127.0.0.1", 0))
            self._sock.settimeout(PATIENCE)
            self._address = self._sock.getsockname()
        except BaseException:
            self._sock.close()
            raise

    def arrived(self):
        """Return when what this thread sent over the loopback before can be read."""
        self._sock.sendto(b"", self._address)
        self._sock.recv(1)

    def close(self):
        self._sock.close()


def arrived():
    """Do what `Probe.arrived` does, with a probe of its own."""
    probe = Probe()
    try:
        probe.arrived()
    finally:
        probe.close()
