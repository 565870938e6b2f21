"""The UDP reader on real sockets: what it drains, what it hands over, and where replies leave from."""

from __future__ import annotations

import contextlib
import select
import socket

import pytest
from arriving import arrived
from asking import query
from twins import TWINS, answerer, need_native, need_twin
from twisted.logger import globalLogPublisher

from ddns.answer.answer import Answer
from ddns.answer.compile import Draft
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import Table
from ddns.dns.codes import FLAG_AA
from ddns.net import udp
from ddns.net.admission import Admission, AdmissionLimits, come_by_tcp

KNOWN = query("known.example.", edns=False)
ANSWER = KNOWN[:2] + b"\x84\0" + KNOWN[4:6] + b"\0\1\0\0\0\0" + KNOWN[12:] + b"the answer"
SLOW = query("slow.example.", edns=False)


def bound(host: str, *, v6only: bool = True) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        sock.bind((host, 0))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def turn(reader):
    """Have *reader* read what was sent to it; what it answered is there then."""
    arrived()
    reader.doRead()
    arrived()


@contextlib.contextmanager
def said():
    """Collect what is said in the log meanwhile."""
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        yield events
    finally:
        globalLogPublisher.removeObserver(events.append)


def remembering():
    """Return a table that knows one answer."""
    table = Table()
    table.remember(KNOWN[12:], Answer(FLAG_AA, 1, 0, 0, b"the answer"), Draft(), edns=False, do=False)
    return table


@pytest.fixture(params=TWINS)
def reading(request):
    """Return what makes a reader of either twin, whose table knows one answer, and the list of what it hands over."""
    need_twin(request.param)

    @contextlib.contextmanager
    def make(host, rrl=None, admission=None, *, v6only=True):
        slow = []
        rrl = Rrl(RrlLimits(answers=0)) if rrl is None else rrl
        reader = udp.reader(
            bound(host, v6only=v6only),
            answerer(request.param, remembering(), rrl),
            lambda wire, peer, reply: slow.append((wire, peer, reply)),
            rrl,
            admission,
        )
        try:
            yield reader, slow
        finally:
            reader.connectionLost(None)

    return make


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_known_question_is_answered_and_another_handed_over(reading, host):
    """On every kind of address, with a peer that a reply can be sent to."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    with reading(host) as (reader, slow), bound(target) as client:
        client.settimeout(20)
        for wire in (KNOWN, SLOW, b"short"):
            client.sendto(wire, (target, reader.bound[1]))

        turn(reader)

        assert client.recv(100) == ANSWER
        assert [wire for wire, _, _ in slow] == [SLOW]
        slow[0][2](b"later")
        assert client.recv(100) == b"later"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_answers_leave_together(reading, host):
    """More than one system call takes, in their order and to their peers, one of which cannot be reached at all."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    many = 70
    with reading(host) as (reader, slow), bound(target) as client, bound(target) as other:
        for one in (client, other):
            one.settimeout(20)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for number in range(many):
            (other if number % 10 == 0 else client).sendto(SLOW + bytes((number,)), (target, reader.bound[1]))
        while len(slow) < many:
            turn(reader)

        with reader.outbox.together():
            for wire, _peer, reply in slow:
                reply(wire)
            reader.answer(SLOW, b"to nobody", (target, 0, *slow[0][1][2:]), None if host == target else [])
            assert not select.select([client, other], [], [], 0)[0]

        for one, wanted in ((client, many - many // 10), (other, many // 10)):
            heard = [one.recv(100)[-1] for _ in range(wanted)]
            assert heard == sorted(heard)
        slow[0][2](b"by itself")
        assert other.recv(100) == b"by itself"


def test_what_is_entered_twice_leaves_at_the_outer_end(reading):
    """Whoever gives several answers need not know whether somebody above does so too."""
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        client.sendto(SLOW, reader.bound)
        turn(reader)

        with reader.outbox.together():
            with reader.outbox.together():
                slow[0][2](b"answer")
            assert reader.outbox.is_open
            assert not select.select([client], [], [], 0)[0]

        client.settimeout(20)
        assert client.recv(100) == b"answer"


def test_answers_leave_whatever_goes_wrong(reading):
    """What was answered before a fault is heard."""
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        client.settimeout(20)
        client.sendto(SLOW, reader.bound)
        turn(reader)

        with contextlib.suppress(RuntimeError), reader.outbox.together():
            slow[0][2](b"answer")
            raise RuntimeError

        assert client.recv(100) == b"answer"
        assert not reader.outbox.is_open


@pytest.mark.parametrize(
    "parcel",
    [(b"a", ("127.0.0.1", 53)), (b"a", ("host.example", 53), None), (b"a", ("127.0.0.1", "53"), None),
     ("a", ("::1", 53), None),
     (b"a", ["127.0.0.1", 53], None), (b"a", ("127.0.0.1", 53), [(0, 8)]),
     (b"a", ("127.0.0.1", 53), [(0, 8, bytes(99))]), b"a"],
)  # fmt: skip
def test_what_is_no_answer_is_not_sent(parcel):
    """Nor does it keep the others."""
    need_native()
    with bound("127.0.0.1") as sender, bound("127.0.0.1") as client:
        client.settimeout(20)
        ours = answerer("native", remembering(), Rrl(RrlLimits(answers=0)))

        ours.send(sender.fileno(), [parcel, (b"good", client.getsockname(), None)])

        assert client.recv(100) == b"good"


def test_a_reply_leaves_from_the_address_that_was_asked(reading):
    """A socket bound to all addresses answers from the one that the question came to (RFC 2181 §4.1)."""
    with reading("0.0.0.0") as (reader, _slow), bound("127.0.0.1") as client:
        client.settimeout(20)
        client.sendto(KNOWN, ("127.0.0.77", reader.bound[1]))

        turn(reader)

        assert client.recvfrom(100)[1][0] == "127.0.0.77"


def test_one_turn_answers_a_bounded_number(reading, monkeypatch):
    """The reactor gets its turn back after `DRAIN` datagrams, and the rest waits in the socket."""
    monkeypatch.setattr(udp, "MOST", 1)
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        for _ in range(udp.DRAIN + 5):
            client.sendto(SLOW, reader.bound)

        turn(reader)
        assert len(slow) == udp.DRAIN
        turn(reader)

        assert len(slow) == udp.DRAIN + 5


def test_after_a_long_turn_more_is_read(reading, monkeypatch):
    """What came in the meantime does not pile up, but not without bound either."""
    monkeypatch.setattr(udp, "DRAIN", 64)  # what the native twin reads at a time
    monkeypatch.setattr(udp, "MOST", 2)
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        for _ in range(2 * udp.DRAIN + 5):
            client.sendto(SLOW, reader.bound)

        turn(reader)

        assert len(slow) == 2 * udp.DRAIN


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
@pytest.mark.parametrize("wire", [KNOWN, SLOW])
def test_what_goes_out_is_limited(reading, host, wire):
    """Answers that were known and others, on every kind of address."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    rrl = Rrl(RrlLimits(answers=5, errors=5, every=0, slip=0, exempt=()))
    with reading(host, rrl) as (reader, slow), bound(target) as client:
        client.setblocking(False)
        for _ in range(30):
            client.sendto(wire, (target, reader.bound[1]))
        turn(reader)
        for _, _, reply in slow:
            reply(b"\0\0\x80\5" + bytes(8))
        arrived()

        count = 0
        with contextlib.suppress(BlockingIOError):
            while client.recv(100):
                count += 1

    assert count == 10
    assert rrl.dropped == 20


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_updates_wait_until_what_has_arrived_is_answered(reading, host):
    """And those for which there is no room are told to come by TCP, from the address that was asked."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    order = []
    update = b"\7\7\x28\0" + bytes(8)

    def serve(wire, asker, reply):
        order.append(asker.source)
        reply(b"done")

    admission = Admission(serve, AdmissionLimits(per_source=2), None, lambda: 1e9, lambda _delay, _work: None)
    with reading(host, None, admission) as (reader, slow), bound(target) as client:
        client.settimeout(20)
        for wire in (update, SLOW, update + b"2", update + b"3", KNOWN):
            client.sendto(wire, (target, reader.bound[1]))
        turn(reader)

        received = [client.recv(100) for _ in range(4)]

    assert set(received[:2]) == {come_by_tcp(update), ANSWER}
    assert received[2:] == [b"done", b"done"]
    assert order == [target, target]
    assert [wire for wire, _, _ in slow] == [SLOW]


def test_a_reply_that_is_empty_is_silence(reading):
    """And takes nobody's account."""
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        client.settimeout(0.05)
        client.sendto(SLOW, reader.bound)
        turn(reader)
        slow[0][2](b"")

        with pytest.raises(TimeoutError):
            client.recv(100)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_what_is_handed_over_keeps_its_order_and_its_peer(reading, host):
    """Known questions in between or not; each peer as Python's sockets show it."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    wires = [query(f"slow{number}.example.", edns=False) for number in range(100)]
    with reading(host) as (reader, slow), bound(target) as client:
        for number, wire in enumerate(wires):
            client.sendto(wire, (target, reader.bound[1]))
            if number % 3 == 0:
                client.sendto(KNOWN, (target, reader.bound[1]))

        while len(slow) < len(wires):
            turn(reader)

        assert [wire for wire, _, _ in slow] == wires
        assert {peer for _, peer, _ in slow} == {client.getsockname()}


def test_an_ipv4_peer_of_an_ipv6_socket_is_answered_from_the_address_that_was_asked(reading):
    """Where one socket is bound to all addresses of both families."""
    with reading("::", v6only=False) as (reader, slow), bound("127.0.0.1") as client:
        client.settimeout(20)
        for wire in (KNOWN, SLOW):
            client.sendto(wire, ("127.0.0.77", reader.bound[1]))

        turn(reader)
        slow[0][2](b"later")

        assert [client.recvfrom(100) for _ in range(2)] == [
            (octets, ("127.0.0.77", reader.bound[1])) for octets in (ANSWER, b"later")
        ]
        assert slow[0][1][0] == "::ffff:127.0.0.1"


def test_a_datagram_that_is_too_long_is_cut(reading):
    """What is longer than `LARGEST_REQUEST` is no question of anybody's; the rest of it is dropped."""
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        for size in (udp.LARGEST_REQUEST, udp.LARGEST_REQUEST + 1, 60_000):
            client.sendto(SLOW[:12] + bytes(size - 12), reader.bound)

        turn(reader)

        assert [len(wire) for wire, _, _ in slow] == [udp.LARGEST_REQUEST] * 3


@pytest.mark.parametrize(
    ("sent", "most", "first"), [(150, 100, 100), (64, 64, 64), (65, 64, 64), (10, 100, 10), (0, 1, 0)]
)
def test_a_drain_reads_no_more_than_it_may(sent, most, first):
    """And answers what it read, all of it."""
    table, rrl = remembering(), Rrl(RrlLimits(answers=0))
    native = answerer("native", table, rrl)
    with bound("127.0.0.1") as server, bound("127.0.0.1") as client:
        for _ in range(sent):
            client.sendto(KNOWN, server.getsockname())
        arrived()

        assert native.drain(server.fileno(), False, most, 0.0) == (first, [])
        assert native.drain(server.fileno(), False, 1000, 0.0) == (sent - first, [])

        assert [client.recv(100) for _ in range(sent)] == [ANSWER] * sent


def test_a_socket_that_is_gone_is_empty():
    """An error while reading is the end of a drain, as in the pure twin."""
    native = answerer("native", remembering(), Rrl(RrlLimits(answers=0)))

    assert native.drain(-1, False, 64, 0.0) == (0, [])


def test_a_fault_is_said_and_the_next_datagram_is_read(reading):
    """The reactor closes a reader that raises, and the port would be silent from then on."""
    with reading("127.0.0.1") as (reader, slow), bound("127.0.0.1") as client:
        client.settimeout(20)
        fault = slow.append
        reader._slow = lambda *_: fault()  # too few arguments
        client.sendto(SLOW, reader.bound)
        with said() as events:
            turn(reader)
        client.sendto(KNOWN, reader.bound)
        turn(reader)

        assert client.recv(100) == ANSWER
        assert [event["log_format"] for event in events] == ["udp.failed"]
