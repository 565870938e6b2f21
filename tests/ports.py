"""Ports of the loopback that are free now and stay so until a test uses them."""

import contextlib
import errno
import itertools
import os
import random
import socket
import socketserver

# Below the range from which the kernel gives clients theirs (net.ipv4.ip_local_port_range begins at 32768): there a
# port that was free may be anybody's a moment later. Test processes that run side by side draw from parts of their own.
FIRST, PARTS, PART = 10_000, 8, 2_800

_given: set[int] = set()


def free_port():
    """Return a port that is free for UDP and TCP on the loopback, each time another one."""
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % PARTS
    for port in _drawn(FIRST + part * PART, PART):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise AssertionError("no port is free")


def servers_on(port, datagrams, streams):
    """Return a server for UDP and one for TCP on *port* of the loopback, with these handlers; both or none is open."""
    with contextlib.ExitStack() as opened:
        udp = socketserver.UDPServer(("127.0.0.1", port), datagrams)
        opened.callback(udp.server_close)
        tcp = socketserver.TCPServer(("127.0.0.1", port), streams)
        opened.pop_all()
    return udp, tcp


def _drawn(first, count):
    """Return all numbers from *first* on, beginning anywhere, so that runs side by side seldom meet."""
    begin = random.SystemRandom().randrange(count)
    return (first + (begin + step) % count for step in range(count))


def _is_free(port):
    with contextlib.ExitStack() as stack:
        for host, kind in itertools.product(("0.0.0.0", "::"), (socket.SOCK_DGRAM, socket.SOCK_STREAM)):
            try:
                sock = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind))
                if sock.family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
                if ":" not in host:  # but there are machines without IPv6
                    raise
    return True
