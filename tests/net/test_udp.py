"""The UDP reader on real sockets: what it drains, what it hands over, and where replies leave from."""

from __future__ import annotations

import contextlib
import socket

import pytest

from ddns.answer.rrl import Rrl, RrlLimits
from ddns.net import udp
from ddns.net.admission import Admission, AdmissionLimits, come_by_tcp

KNOWN = bytes(12) + b"known"
SLOW = bytes(12) + b"slow"


def bound(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def reading(host: str, rrl=None, admission=None):
    slow = []
    reader = udp.reader(
        bound(host),
        lambda wire: b"answer to " + wire[12:] if wire == KNOWN else None,
        lambda wire, peer, reply: slow.append((wire, peer, reply)),
        rrl,
        admission,
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


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
@pytest.mark.parametrize("wire", [KNOWN, SLOW])
def test_what_goes_out_is_limited(host, wire):
    """Answers that were known and others, on every kind of address."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    rrl = Rrl(RrlLimits(answers=5, errors=5, every=0, slip=0, exempt=()))
    with reading(host, rrl) as (reader, slow), bound(target) as client:
        client.setblocking(False)
        for _ in range(30):
            client.sendto(wire, (target, reader.bound[1]))
        reader.doRead()
        for _, _, reply in slow:
            reply(b"\0\0\x80\5" + bytes(8))

        count = 0
        with contextlib.suppress(BlockingIOError):
            while client.recv(100):
                count += 1

    assert count == 10
    assert rrl.dropped == 20


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_updates_wait_until_what_has_arrived_is_answered(host):
    """And those for which there is no room are told to come by TCP, from the address that was asked."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    order = []
    update = b"\7\7\x28\0" + bytes(8)

    def serve(wire, asker, reply):
        order.append(asker.source)
        reply(b"done")

    admission = Admission(serve, AdmissionLimits(per_source=2), None, lambda: 1e9, lambda _delay, _work: None)
    with reading(host, None, admission) as (reader, slow), bound(target) as client:
        client.settimeout(2)
        for wire in (update, SLOW, update, update, KNOWN):
            client.sendto(wire, (target, reader.bound[1]))
        reader.doRead()

        received = [client.recv(100) for _ in range(4)]

    assert received == [come_by_tcp(update), b"answer to known", b"done", b"done"]
    assert order == [target, target]
    assert [wire for wire, _, _ in slow] == [SLOW]


def test_a_reply_that_is_empty_is_silence():
    """And takes nobody's account."""
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        client.settimeout(0.05)
        client.sendto(SLOW, reader.bound)
        reader.doRead()
        slow[0][2](b"")

        with pytest.raises(TimeoutError):
            client.recv(100)
