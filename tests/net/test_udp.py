"""The UDP reader on real sockets: what it drains, what it hands over, and where replies leave from."""

from __future__ import annotations

import contextlib
import socket

import pytest

from ddns.net import udp

KNOWN = bytes(12) + b"known"
SLOW = bytes(12) + b"slow"


def bound(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def reading(host: str):
    slow = []
    reader = udp.reader(
        bound(host),
        lambda wire: b"answer to " + wire[12:] if wire == KNOWN else None,
        lambda wire, peer, reply: slow.append((wire, peer, reply)),
    )
    try:
        yield reader, slow
    finally:
        reader.connectionLost(None)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_known_question_is_answered_and_another_handed_over(host):
    """On every kind of address, with a peer that a reply can be sent to."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    with reading(host) as (reader, slow), bound(target) as client:
        client.settimeout(2)
        for wire in (KNOWN, SLOW, b"short"):
            client.sendto(wire, (target, reader.bound[1]))

        reader.doRead()

        assert client.recv(100) == b"answer to known"
        assert [wire for wire, _, _ in slow] == [SLOW]
        slow[0][2](b"later")
        assert client.recv(100) == b"later"


def test_a_reply_leaves_from_the_address_that_was_asked():
    """A socket bound to all addresses answers from the one that the question came to (RFC 2181 §4.1)."""
    with reading("0.0.0.0") as (reader, _slow), bound("127.0.0.1") as client:
        client.settimeout(2)
        client.sendto(KNOWN, ("127.0.0.77", reader.bound[1]))

        reader.doRead()

        assert client.recvfrom(100)[1][0] == "127.0.0.77"


def test_one_turn_answers_a_bounded_number():
    """The reactor gets its turn back after `DRAIN` datagrams, and the rest waits in the socket."""
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        for _ in range(udp.DRAIN + 5):
            client.sendto(SLOW, reader.bound)

        reader.doRead()
        assert len(slow) == udp.DRAIN
        reader.doRead()

        assert len(slow) == udp.DRAIN + 5
