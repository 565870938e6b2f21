"""DNS over TCP: framing, order, and the bounds that keep one client from hurting the others."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection

from ddns.net.connections import ConnectionLimits, Connections
from ddns.net.tcp import TcpFactory, TcpProtocol

MESSAGE = bytes(12) + b"question"


class Transport(StringTransportWithDisconnection):
    """A transport that can be aborted, and that has TCP's own switches."""

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802 - Twisted's name
        self.no_delay = enabled

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        self.loseConnection()


class Server:
    """Collect what the factory hands over; answer it when the test says so."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.taken: list[tuple[bytes, Any]] = []
        self.connections = Connections(ConnectionLimits(**limits), self.clock)
        self.factory = TcpFactory(self.serve, self.connections)

    def serve(self, wire: bytes, _peer: Any, reply: Any) -> None:
        self.taken.append((wire, reply))

    def connect(self, host: str = "192.0.2.1") -> TcpProtocol | None:
        protocol = self.factory.buildProtocol(IPv4Address("TCP", host, 4000))
        if protocol is None:
            return None
        transport = Transport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol


def framed(wire: bytes) -> bytes:
    return struct.pack("!H", len(wire)) + wire


def test_messages_are_read_however_they_are_cut():
    """One octet at a time gives the same messages as all at once (RFC 7766 §8)."""
    server = Server()
    connection = server.connect()

    for octet in framed(MESSAGE) + framed(MESSAGE + b"2"):
        connection.dataReceived(bytes((octet,)))

    assert [wire for wire, _ in server.taken] == [MESSAGE, MESSAGE + b"2"]


def test_answers_go_out_in_the_order_in_which_they_are_ready():
    """A slow answer does not hold up the next one (RFC 7766 §6.2.1.1)."""
    server = Server()
    connection = server.connect()
    connection.dataReceived(framed(MESSAGE) + framed(MESSAGE + b"2"))

    server.taken[1][1](b"second")
    server.taken[0][1](b"first")

    assert connection.transport.value() == framed(b"second") + framed(b"first")


def test_a_reply_is_sent_once():
    """Whoever answers twice is not heard twice."""
    server = Server()
    connection = server.connect()
    connection.dataReceived(framed(MESSAGE))

    server.taken[0][1](b"first")
    server.taken[0][1](b"again")

    assert connection.transport.value() == framed(b"first")


def test_less_than_a_header_ends_the_connection():
    """Eleven octets are no message; the connection is not worth keeping."""
    server = Server()
    connection = server.connect()

    connection.dataReceived(framed(bytes(11)))

    assert not connection.transport.connected
    assert server.taken == []


@pytest.mark.parametrize("dribble", [False, True])
def test_an_idle_connection_is_closed_even_where_octets_dribble(dribble):
    """Only a whole message counts as activity."""
    server = Server(idle=10.0)
    connection = server.connect()

    for _ in range(11):
        if dribble and connection.transport.connected:
            connection.dataReceived(b"\0")
        server.clock.advance(1)

    assert not connection.transport.connected
    assert not len(server.connections)


def test_a_connection_that_waits_for_our_answer_is_kept():
    """It is not the client that is slow."""
    server = Server(idle=10.0)
    connection = server.connect()
    connection.dataReceived(framed(MESSAGE))

    server.clock.advance(25)
    assert connection.transport.connected
    server.taken[0][1](b"answer")
    server.clock.advance(11)

    assert not connection.transport.connected


def test_one_client_gets_so_many_connections_and_no_more():
    """The bound is per address; another client is not affected."""
    server = Server(per_client=2)

    first, second = server.connect(), server.connect()

    assert first is not None
    assert second is not None
    assert server.connect() is None
    assert server.connect("192.0.2.2") is not None
    first.transport.loseConnection()
    assert server.connect() is not None


def test_above_the_total_the_idlest_connection_goes():
    """The oldest without a message in flight makes room (RFC 9210 §4.4)."""
    server = Server(clients=2)
    first, second = server.connect("192.0.2.1"), server.connect("192.0.2.2")
    first.dataReceived(framed(MESSAGE))
    server.taken[0][1](b"answer")

    third = server.connect("192.0.2.3")

    assert third is not None
    assert first.transport.connected
    assert not second.transport.connected
    assert len(server.connections) == 2


def test_reading_stops_while_too_many_messages_are_in_flight():
    """And goes on when an answer has gone out."""
    server = Server(in_flight=2)
    connection = server.connect()

    connection.dataReceived(framed(MESSAGE) + framed(MESSAGE))

    assert connection.transport.producerState == "paused"
    server.taken[0][1](b"answer")
    assert connection.transport.producerState == "producing"


def test_a_client_that_does_not_read_is_not_read_from():
    """What it left unread is bounded by what it may have in flight."""
    server = Server()
    connection = server.connect()

    connection.transport.producer.pauseProducing()
    assert connection.transport.producerState == "paused"
    connection.transport.producer.resumeProducing()

    assert connection.transport.producerState == "producing"


def test_a_burst_in_one_piece_is_served_as_far_as_the_bound_and_then_on():
    """What has been read already counts too: in_flight is never above its bound (RFC 7766 §6.2.1.1)."""
    server = Server(in_flight=2)
    connection = server.connect()

    connection.dataReceived(framed(MESSAGE) * 5)

    assert connection.in_flight == len(server.taken) == 2
    for number in range(5):
        server.taken[number][1](b"answer")
        assert connection.in_flight <= 2
    assert connection.transport.value() == framed(b"answer") * 5


def test_answers_that_are_ready_at_once_keep_their_burst_going():
    """A thousand pipelined questions need no thousand levels of calls."""
    server = Server(in_flight=1)
    server.factory.serve = lambda wire, _peer, reply: reply(wire[-2:] * 6)
    connection = server.connect()

    connection.dataReceived(b"".join(framed(bytes(12) + number.to_bytes(2, "big")) for number in range(3000)))

    assert len(connection.transport.value()) == 3000 * 14
    assert connection.in_flight == 0


def test_a_message_has_a_time_of_its_own_to_arrive():
    """However patient the server is with silence, half a message may not take for ever (RFC 7766 §6.2.3)."""
    server = Server(idle=1000, message=5)
    connection = server.connect()

    for octet in framed(MESSAGE)[:8]:
        connection.dataReceived(bytes((octet,)))
        server.clock.advance(1)

    assert not connection.transport.connected


def test_half_a_message_that_waits_for_our_answers_is_not_late():
    """While we do not read, it is not the client that is slow."""
    server = Server(idle=1000, message=5, in_flight=1)
    connection = server.connect()
    connection.dataReceived(framed(MESSAGE) + framed(MESSAGE)[:5])

    server.clock.pump([1] * 20)

    assert connection.transport.connected


def test_a_client_that_never_reads_is_closed_and_what_waited_for_it_goes_on():
    server = Server(unread=5)
    connection = server.connect()
    connection.dataReceived(framed(MESSAGE))
    connection.transport.producer.pauseProducing()

    server.clock.pump([1] * 5)

    assert not connection.transport.connected
    server.taken[0][1](b"too late")


def test_what_a_client_leaves_unread_is_bounded():
    """Also where many answers become ready after it has stopped reading."""
    server = Server(in_flight=100)
    connection = server.connect()
    connection.dataReceived(framed(MESSAGE) * 40)
    connection.transport.producer.pauseProducing()

    for _wire, reply in server.taken:
        reply(bytes(65_000))

    assert not connection.transport.connected
    assert len(connection.transport.value()) < 1024 * 1024
    assert server.connections.held == 0


def test_what_is_held_for_a_client_is_counted():
    """An unfinished message counts from 512 octets on, and no longer than it waits."""
    server = Server()
    connection = server.connect()
    long = bytes(2000)

    connection.dataReceived(framed(long)[:600])
    assert server.connections.held == 600
    connection.dataReceived(framed(long)[600:])

    assert server.connections.held == 0


def test_a_closing_connection_hears_nothing_more():
    """A client that goes on talking after the close does not keep its seat."""
    server = Server(idle=3)
    connection = server.connect()
    connection.transport.loseConnection = lambda: None  # as TLS, which waits for the other side
    server.clock.pump([1] * 3)

    connection.dataReceived(framed(MESSAGE))
    server.clock.pump([1] * 2)

    assert server.taken == []
    assert len(server.connections) == 0


def test_who_has_asked_all_still_hears_the_answers():
    """A client may close its side as soon as it has asked (RFC 7766 §6.2.3, RFC 9293 §3.6)."""
    server = Server()
    connection = server.connect()
    connection.dataReceived(framed(MESSAGE) * 2)

    connection.readConnectionLost()
    server.taken[1][1](b"second")
    assert connection.transport.connected
    server.taken[0][1](b"first")

    assert connection.transport.value() == framed(b"second") + framed(b"first")
    assert not connection.transport.connected


def test_who_ends_without_a_question_is_let_go():
    server = Server()
    connection = server.connect()

    connection.readConnectionLost()

    assert not connection.transport.connected
    assert len(server.connections) == 0
