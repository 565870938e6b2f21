"""Questions and updates on one port, steered by the kernel to sockets of their own."""

from __future__ import annotations

import contextlib
import socket

import pytest
from arriving import arrived
from ports import free_port

from ddns.net.steering import keep_apart

QUESTION = b"\0\1\1\0" + bytes(20)
UPDATE = b"\0\1\x28\0" + bytes(20)


@contextlib.contextmanager
def group(host: str, workers: int):
    """Yield the sockets of *workers*, twice as many, on one port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socks: list[socket.socket] = []
    port = free_port()  # one that the kernel gives might be another group's
    try:
        for _ in range(2 * workers):
            sock = socket.socket(family, socket.SOCK_DGRAM)
            socks.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((host, port))
            sock.setblocking(False)
        yield socks
    finally:
        for sock in socks:
            sock.close()


def waiting(sock: socket.socket) -> list[bytes]:
    arrived()
    out = []
    with contextlib.suppress(BlockingIOError):
        while True:
            out.append(sock.recv(4096))
    return out


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("workers", [1, 3])
def test_updates_come_to_the_second_half_of_the_sockets_and_all_else_to_the_first(host, workers):
    """Nothing is lost, and what is too short to have an OPCODE is no update."""
    with group(host, workers) as socks:
        assert keep_apart(socks[0], workers)
        for _ in range(20):
            with socket.socket(socks[0].family, socket.SOCK_DGRAM) as client:
                for wire in (QUESTION, UPDATE, b"", b"\0\1"):
                    client.sendto(wire, socks[0].getsockname())
        found = [waiting(sock) for sock in socks]

    assert sorted(wire for one in found[:workers] for wire in one) == sorted([QUESTION, b"", b"\0\1"] * 20)
    assert [wire for one in found[workers:] for wire in one] == [UPDATE] * 20


def test_the_updates_of_one_address_come_to_one_worker_and_questions_to_all():
    """The worker that saw a home's good signature sees its next update, whatever its port."""
    with group("127.0.0.1", 4) as socks:
        assert keep_apart(socks[0], 4)
        for number in range(60):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind((f"127.7.{number}.1" if number < 40 else "127.0.0.9", 0))
                client.sendto(QUESTION, socks[0].getsockname())
                client.sendto(UPDATE + bytes((number,)), socks[0].getsockname())
        found = [waiting(sock) for sock in socks]

    assert all(found)
    of_one = [{wire[-1] for wire in one if wire[-1] >= 40} for one in found[4:]]
    assert sorted(map(len, of_one)) == [0, 0, 0, 20]
    assert [wire[:3] for wire in found[0]] == [QUESTION[:3]] * len(found[0])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_questions_of_one_port_come_to_all_workers(host):
    """A large resolver asks from a few ports; it gets what all workers can do."""
    with group(host, 2) as socks, socket.socket(socks[0].family, socket.SOCK_DGRAM) as client:
        assert keep_apart(socks[0], 2)
        for _ in range(200):
            client.sendto(QUESTION, socks[0].getsockname())
        found = [len(waiting(sock)) for sock in socks]

    assert min(found[:2]) > 50  # of 200 by chance; fewer come once in 10**12 times
    assert found[2:] == [0, 0]


def test_where_the_kernel_refuses_nothing_changes():
    """A socket that shares its port with nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        assert isinstance(keep_apart(sock, 1), bool)
