"""DNS over TCP: framing, order, and the bounds that keep one client from hurting the others."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from typing import Any

import pytest
from streaming import ANSWER, KNOWN, MESSAGE, Client, Server, framed
from twins import TWINS, need_twin

from ddns.net import tcp
from ddns.net.streams import TURN


@pytest.fixture(params=TWINS)
def begin(request):
    """Return what makes a `Server` that is let go of at the end."""
    need_twin(request.param)
    with contextlib.ExitStack() as stack:

        def made(**limits: Any) -> Server:
            server = Server(request.param, **limits)
            stack.callback(server.end)
            return server

        yield made


def test_messages_are_read_however_they_are_cut(begin):
    """One octet at a time gives the same messages as all at once (RFC 7766 §8)."""
    server = begin()
    client = server.connect()

    for octet in framed(MESSAGE) + framed(MESSAGE + b"2"):
        client.say(bytes((octet,)))

    assert [wire for wire, _ in server.taken] == [MESSAGE, MESSAGE + b"2"]


def test_answers_go_out_in_the_order_in_which_they_are_ready(begin):
    """A slow answer does not hold up the next one (RFC 7766 §6.2.1.1)."""
    server = begin()
    client = server.connect()
    client.say(framed(MESSAGE) + framed(MESSAGE + b"2"))

    server.taken[1][1](b"second")
    server.taken[0][1](b"first")

    expected = framed(b"second") + framed(b"first")
    assert client.hear(len(expected)) == expected


def test_what_is_known_at_once_waits_for_nobody(begin):
    """And all of it leaves in one write (RFC 7766 §8), what was served meanwhile too."""
    server = begin()
    client = server.connect()
    server.listener.serve = lambda wire, _source, reply: reply(wire[12:]) if wire == MESSAGE else None

    client.say(framed(b"unanswered  .") + framed(KNOWN) * 2 + framed(MESSAGE) + framed(KNOWN))

    known = framed(ANSWER)
    assert client.socket.recv(65536) == known * 2 + framed(b"question") + known


def test_nothing_is_read_from_who_has_the_number_of_a_connection_that_has_gone(begin):
    """The client sends no more, and its connection ends while its last message is served."""
    server = begin()
    client = server.connect()
    theirs, other = socket.socketpair()

    def serve(_wire: bytes, _source: str, reply: Any) -> None:
        number = client.ours._descriptor
        reply.abort()
        taken.append(os.dup2(theirs.fileno(), number))

    taken: list[int] = []
    server.listener.serve = serve
    other.sendall(framed(KNOWN))
    client.socket.sendall(framed(MESSAGE))
    client.socket.shutdown(socket.SHUT_WR)
    server.until(lambda: taken)

    theirs.setblocking(False)
    assert theirs.recv(100) == framed(KNOWN)
    os.close(taken[0])
    theirs.close()
    other.close()


def test_a_reply_is_sent_once(begin):
    """Whoever answers twice is not heard twice."""
    server = begin()
    client = server.connect()
    client.say(framed(MESSAGE) * 2)

    server.taken[0][1](b"first")
    server.taken[0][1](b"again")
    server.taken[1][1](b"second")

    expected = framed(b"first") + framed(b"second")
    assert client.hear(len(expected)) == expected


def test_less_than_a_header_ends_the_connection(begin):
    """Eleven octets are no message; the connection is not worth keeping."""
    server = begin()
    client = server.connect()

    client.say(framed(bytes(11)))

    server.until(lambda: client.closed)
    assert server.taken == []


@pytest.mark.parametrize("dribble", [False, True])
def test_an_idle_connection_is_closed_even_where_octets_dribble(begin, dribble):
    """Only a whole message counts as activity."""
    server = begin(idle=10.0)
    client = server.connect()

    for _ in range(11):
        if dribble and not client.closed:
            client.say(b"\0")
        server.clock.advance(1)

    server.until(lambda: client.closed)
    assert not len(server.connections)


def test_a_connection_that_waits_for_our_answer_is_kept(begin):
    """It is not the client that is slow."""
    server = begin(idle=10.0)
    client = server.connect()
    client.say(framed(MESSAGE))

    server.clock.advance(25)
    assert not client.closed
    server.taken[0][1](b"answer")
    server.clock.advance(11)

    assert client.hear_all() == framed(b"answer")


def test_one_client_gets_so_many_connections_and_no_more(begin):
    """The bound is per address; another client is not affected."""
    server = begin(per_client=2)

    first, second = server.connect(), server.connect()

    assert first is not None
    assert second is not None
    assert server.connect() is None
    assert server.connect("127.0.0.2") is not None
    first.socket.close()
    server.until(lambda: len(server.connections) == 2)
    assert server.connect() is not None


def test_above_the_total_the_idlest_connection_goes(begin):
    """The oldest without a message in flight makes room (RFC 9210 §4.4)."""
    server = begin(clients=2)
    first, second = server.connect("127.0.0.1"), server.connect("127.0.0.2")
    first.say(framed(MESSAGE))
    server.taken[0][1](b"answer")

    third = server.connect("127.0.0.3")

    assert third is not None
    assert not first.closed or first.hear(8)
    assert second.closed
    assert len(server.connections) == 2


def test_reading_stops_while_too_many_messages_are_in_flight(begin):
    """And goes on when an answer has gone out."""
    server = begin(in_flight=2)
    client = server.connect()

    client.say(framed(MESSAGE) + framed(MESSAGE))
    client.say(framed(MESSAGE))

    assert len(server.taken) == 2
    server.taken[0][1](b"answer")
    server.until(lambda: len(server.taken) == 3)


def clog(client: Client) -> None:
    """Have *client* not read, so that nothing more goes out; one message of it stays in flight."""
    client.say(framed(MESSAGE))
    _wire, reply = client.server.taken.pop()
    quiet = 0
    while quiet < SETTLED:  # the kernel may find some more room, on a busy machine a little later
        if client.ours._unsent is None:
            reply.more(bytes(65_000))
            quiet = 0
        time.sleep(0.005)
        client.server.turn()
        quiet += 1
    client.ours.in_flight -= 1


SMALL_BUFFER = {"SO_RCVBUF": 4096}
SETTLED = 20  # turns in which nothing more went out


def test_a_client_that_does_not_read_is_not_read_from(begin):
    """What it left unread is bounded by what it may have in flight."""
    server = begin()
    client = server.connect(**SMALL_BUFFER)

    clog(client)
    client.say(framed(MESSAGE))
    assert server.taken == []

    server.until(lambda: server.taken or client._heard_all)
    assert [wire for wire, _ in server.taken] == [MESSAGE]


def test_a_burst_in_one_piece_is_served_as_far_as_the_bound_and_then_on(begin):
    """What has been read already counts too: in_flight is never above its bound (RFC 7766 §6.2.1.1)."""
    server = begin(in_flight=2)
    client = server.connect()

    client.say(framed(MESSAGE) * 5)

    assert client.ours.in_flight == len(server.taken) == 2
    for number in range(5):
        server.taken[number][1](b"answer")
        assert client.ours.in_flight <= 2
    assert client.hear(5 * 8) == framed(b"answer") * 5


@pytest.mark.parametrize("message", [MESSAGE, KNOWN])
def test_answers_that_are_ready_at_once_keep_their_burst_going(begin, message):
    """Thousands of pipelined questions need no thousand levels of calls."""
    server = begin(in_flight=1)
    server.listener.serve = lambda wire, _source, reply: reply(wire[-2:] * 6)
    client = server.connect()

    client.say(framed(message) * 3000)

    answer = framed(ANSWER if message == KNOWN else message[-2:] * 6)
    assert client.hear(3000 * len(answer)) == answer * 3000
    assert client.ours.in_flight == 0


def test_a_message_has_a_time_of_its_own_to_arrive(begin):
    """However patient the server is with silence, half a message may not take for ever (RFC 7766 §6.2.3)."""
    server = begin(idle=1000, message=5)
    client = server.connect()

    for octet in framed(MESSAGE)[:8]:
        if not client.closed:
            client.say(bytes((octet,)))
        server.clock.advance(1)

    server.until(lambda: client.closed)


def test_half_a_message_that_waits_for_our_answers_is_not_late(begin):
    """While we do not read, it is not the client that is slow."""
    server = begin(idle=1000, message=5, in_flight=1)
    client = server.connect()
    client.say(framed(MESSAGE) + framed(MESSAGE)[:5])

    server.clock.pump([1] * 20)

    assert not client.closed


def test_a_client_that_never_reads_is_closed_and_what_waited_for_it_goes_on(begin):
    server = begin(unread=5)
    client = server.connect(**SMALL_BUFFER)
    client.say(framed(MESSAGE))
    _wire, late = server.taken.pop()
    clog(client)

    server.clock.pump([1] * 5)

    assert client.ours.seat is None
    assert len(server.connections) == 0
    late(b"too late")


def test_a_client_that_reads_slowly_gets_everything(begin):
    """It is in time as long as it takes all that waits for it within the bound, again and again."""
    server = begin(unread=5)
    client = server.connect(**SMALL_BUFFER)

    for _ in range(3):
        clog(client)
        server.clock.pump([1] * 4)
        server.until(lambda: client._heard_all or client.ours._unsent is None)
    server.clock.pump([1] * 4)

    assert not client.ours.seat.held
    assert client.ours.seat is not None


def test_what_a_client_leaves_unread_is_bounded(begin):
    """Also where many answers become ready after it has stopped reading."""
    server = begin(in_flight=100)
    client = server.connect(**SMALL_BUFFER)
    client.say(framed(MESSAGE) * 90)
    held = []

    for _wire, reply in server.taken:
        reply(bytes(65_000))
        held.append(server.connections.held)

    assert client.ours.seat is None
    assert 0 < max(held) <= tcp.UNSENT
    assert server.connections.held == 0


def test_what_is_held_for_a_client_is_counted(begin):
    """An unfinished message counts from 512 octets on, and no longer than it waits."""
    server = begin()
    client = server.connect()
    long = bytes(2000)

    client.say(framed(long)[:600])
    assert server.connections.held == 600
    client.say(framed(long)[600:])

    assert server.connections.held == 0


def test_a_closing_connection_hears_nothing_more(begin):
    """A client that goes on talking after the close does not keep its seat."""
    server = begin(idle=3)
    client = server.connect(**SMALL_BUFFER)
    clog(client)
    server.clock.pump([1] * 3)
    assert client.ours.seat is not None

    client.say(framed(MESSAGE))
    server.clock.pump([1] * 2)

    assert server.taken == []
    assert len(server.connections) == 0


def test_who_has_asked_all_still_hears_the_answers(begin):
    """A client may close its side as soon as it has asked (RFC 7766 §6.2.3, RFC 9293 §3.6)."""
    server = begin()
    client = server.connect()
    client.socket.sendall(framed(MESSAGE) * 2)
    client.socket.shutdown(socket.SHUT_WR)
    server.turn()

    server.taken[1][1](b"second")
    assert len(server.connections) == 1
    server.taken[0][1](b"first")

    assert client.hear_all() == framed(b"second") + framed(b"first")
    assert len(server.connections) == 0


def test_who_ends_without_a_question_is_let_go(begin):
    server = begin()
    client = server.connect()

    client.socket.shutdown(socket.SHUT_WR)

    server.until(lambda: len(server.connections) == 0)
    assert client.closed


def test_who_resets_the_connection_is_let_go_and_answers_to_it_are_not_missed(begin):
    server = begin()
    client = server.connect()
    client.say(framed(MESSAGE))

    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()

    server.until(lambda: len(server.connections) == 0)
    server.taken[0][1](b"too late")


def test_a_bug_in_one_connection_ends_that_one_only(begin):
    server = begin()
    broken, other = server.connect(), server.connect()
    server.listener.serve = lambda wire, _source, reply: reply(b"ok") if wire == MESSAGE else 1 / 0

    broken.say(framed(MESSAGE + b"broken"))
    other.say(framed(MESSAGE))

    server.until(lambda: broken.closed)
    assert other.hear(4) == framed(b"ok")


def test_where_no_descriptor_is_left_others_are_accepted_later(begin, monkeypatch):
    """And no turn of the reactor is spent on trying again and again."""
    server = begin()
    tries = []

    class Exhausted:
        def accept(self) -> Any:
            tries.append(1)
            raise OSError(errno.EMFILE, "Too many open files")

        def __getattr__(self, name: str) -> Any:
            return getattr(sock, name)

    sock, server.listener._sock = server.listener._sock, Exhausted()
    with socket.create_connection(server.address) as client:
        server.turn()
        assert tries == [1]
        server.listener._sock = sock
        server.clock.advance(tcp.RECOVER)
        server.until(lambda: len(server.connections) == 1)
        client.sendall(framed(KNOWN))
        server.turn()
        assert client.recv(100) == framed(ANSWER)


def test_messages_that_come_together_cost_one_read_and_one_write(begin, monkeypatch):
    """What a message costs is mostly system calls: two for all that a client has sent."""
    server = begin()
    client = server.connect()
    exchange, calls = server.listener.exchange, []
    server.listener.exchange = lambda descriptor: calls.append(descriptor) or exchange(descriptor)

    client.say(framed(KNOWN) * 50)

    assert len(calls) == 1
    assert client.socket.recv(65536) == framed(ANSWER) * 50


def test_an_idle_connection_keeps_nothing_but_its_place(begin):
    """Ten thousand of them are some megabytes: no buffer, no dictionary, before and after its questions."""
    client = begin().connect()

    for octets in (b"", framed(KNOWN), framed(KNOWN)[:5], framed(KNOWN)[5:]):
        client.say(octets)

    assert not hasattr(client.ours, "__dict__")
    assert [getattr(client.ours, name) for name in ("_rest", "_gathered", "_unsent", "_waiting")] == [None] * 3 + [()]


def test_one_turn_serves_a_bounded_number_of_connections(begin):
    """The reactor gets its turn back, and the others come first in the next one."""
    server = begin(per_client=1000)
    clients = [server.connect() for _ in range(TURN + 5)]
    for client in clients:
        client.socket.sendall(framed(MESSAGE))

    server.streams.doRead()
    assert len(server.taken) == TURN
    server.streams.doRead()

    assert len(server.taken) == TURN + 5
